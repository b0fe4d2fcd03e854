//! Genesis states travel as proto JSON, driven by the descriptors.

use std::sync::LazyLock;

use prost::{Message, Name};
use prost_reflect::{DescriptorPool, DeserializeOptions, DynamicMessage, SerializeOptions};
use serde_json::Value;

use crate::error::{Error, Result, sdk};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    DescriptorPool::decode(gantry_proto::DESCRIPTOR_SET).expect("the committed descriptor set is valid")
});

/// Reads a typed message from proto JSON; unknown fields are refused.
pub fn genesis_from_json<M: Message + Name + Default>(module: &str, json: &Value) -> Result<M> {
    let descriptor = POOL
        .get_message_by_name(&M::full_name())
        .ok_or_else(|| Error::fatal(format!("{} is not in the descriptor set", M::full_name())))?;
    let message = DynamicMessage::deserialize_with_options(descriptor, json, &DeserializeOptions::new())
        .map_err(|e| sdk::invalid_request(format!("app_state.{module}: {e}")))?;
    message.transcode_to().map_err(|e| Error::fatal(format!("app_state.{module}: {e}")))
}

/// Writes a message as the SDK writes genesis: proto field names, all fields, 64-bit integers as strings.
pub fn genesis_to_json<M: Message + Name>(message: &M) -> Result<Value> {
    let descriptor = POOL
        .get_message_by_name(&M::full_name())
        .ok_or_else(|| Error::fatal(format!("{} is not in the descriptor set", M::full_name())))?;
    let mut dynamic = DynamicMessage::new(descriptor);
    dynamic.transcode_from(message).map_err(|e| Error::fatal(e.to_string()))?;
    let options = SerializeOptions::new().use_proto_field_name(true).skip_default_fields(false);
    dynamic.serialize_with_options(serde_json::value::Serializer, &options).map_err(|e| Error::fatal(e.to_string()))
}
