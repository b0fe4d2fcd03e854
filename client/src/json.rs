use std::sync::LazyLock;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DynamicMessage, SerializeOptions};
use serde_json::Value;

use crate::ClientError;

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(gantry_proto::DESCRIPTOR_SET).expect("the descriptor set is part of the program")
});

/// A message as the JSON that `gantryd query --output json` prints: proto names, 64-bit integers as strings, all fields.
///
/// # Errors
/// [`ClientError::Protocol`] for a message that no node serves.
pub fn to_json<M: Message + Name>(message: &M) -> Result<Value, ClientError> {
    let failed = |reason: String| ClientError::Protocol(format!("{} as JSON: {reason}", M::full_name()));
    let descriptor = POOL.get_message_by_name(&M::full_name()).ok_or_else(|| failed("unknown type".into()))?;
    let dynamic = DynamicMessage::decode(descriptor, message.encode_to_vec().as_slice())
        .map_err(|error| failed(error.to_string()))?;
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
    dynamic.serialize_with_options(serde_json::value::Serializer, &options).map_err(|error| failed(error.to_string()))
}

#[cfg(test)]
mod tests {
    use gantry_proto::gantry::job::v1::{End, Reason};
    use serde_json::json;

    use super::*;

    #[test]
    fn messages_read_like_those_of_the_node() {
        let end = End { reason: Reason::Deadline.into(), actor: 0, evidence: vec![1] };
        let expected = json!({ "reason": "REASON_DEADLINE", "actor": "ACTOR_UNSPECIFIED", "evidence": "AQ==" });
        assert_eq!(to_json(&end).unwrap(), expected);
    }
}
