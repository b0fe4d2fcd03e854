//! Proto JSON as the SDK writes it: proto field names in the order of declaration, all fields (`null` for a message that
//! is not set), 64-bit integers as text, `Any` with its message inlined beside `@type`.

use base64::{display::Base64Display, engine::general_purpose::STANDARD};
use prost_reflect::{DynamicMessage, Kind, MapKey, ReflectMessage, Value};
use serde::ser::{Error, Serialize, SerializeMap, Serializer};

use super::dynamic;

/// A message to be written.
pub(super) struct Shown<'a>(pub(super) &'a DynamicMessage);

/// A value of a field, with the field's kind (a map's value: the kind of its entries' values).
struct Shape<'a>(&'a Value, &'a Kind);

impl Serialize for Shown<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let descriptor = self.0.descriptor();
        if descriptor.full_name() == "google.protobuf.Any" {
            return any(self.0, serializer);
        }
        // Times, durations and the like have forms of their own.
        if descriptor.package_name() == "google.protobuf" {
            return self.0.serialize(serializer);
        }
        let mut map = serializer.serialize_map(None)?;
        entries(self.0, &mut map)?;
        map.end()
    }
}

fn any<S: Serializer>(message: &DynamicMessage, serializer: S) -> Result<S::Ok, S::Error> {
    let field = |name| message.get_field_by_name(name).map(|value| value.into_owned());
    let (Some(Value::String(url)), Some(Value::Bytes(bytes))) = (field("type_url"), field("value")) else {
        return Err(S::Error::custom("an Any without its two fields"));
    };
    let kind = dynamic::message_named(url.trim_start_matches('/')).map_err(S::Error::custom)?;
    let inner = DynamicMessage::decode(kind, bytes).map_err(S::Error::custom)?;
    let mut map = serializer.serialize_map(None)?;
    map.serialize_entry("@type", &url)?;
    entries(&inner, &mut map)?;
    map.end()
}

fn entries<M: SerializeMap>(message: &DynamicMessage, map: &mut M) -> Result<(), M::Error> {
    for field in message.descriptor().fields() {
        let singular = !field.is_list() && !field.is_map();
        match (message.has_field(&field), field.kind()) {
            (false, _) if field.containing_oneof().is_some() => {}
            (false, Kind::Message(_)) if singular => map.serialize_entry(field.name(), &())?,
            (_, Kind::Message(entry)) if field.is_map() => {
                let kind = entry.map_entry_value_field().kind();
                map.serialize_entry(field.name(), &Shape(&message.get_field(&field), &kind))?;
            }
            (_, kind) => map.serialize_entry(field.name(), &Shape(&message.get_field(&field), &kind))?,
        }
    }
    Ok(())
}

impl Serialize for Shape<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(value, kind) = *self;
        match value {
            Value::Bool(value) => serializer.serialize_bool(*value),
            Value::I32(value) => serializer.serialize_i32(*value),
            Value::U32(value) => serializer.serialize_u32(*value),
            Value::I64(value) => serializer.collect_str(value),
            Value::U64(value) => serializer.collect_str(value),
            Value::F32(value) => serializer.serialize_f32(*value),
            Value::F64(value) => serializer.serialize_f64(*value),
            Value::String(value) => serializer.serialize_str(value),
            Value::Bytes(value) => serializer.collect_str(&Base64Display::new(value, &STANDARD)),
            Value::EnumNumber(number) => match kind.as_enum().and_then(|names| names.get_value(*number)) {
                Some(known) => serializer.serialize_str(known.name()),
                None => serializer.serialize_i32(*number),
            },
            Value::Message(message) => Shown(message).serialize(serializer),
            Value::List(list) => serializer.collect_seq(list.iter().map(|item| Shape(item, kind))),
            Value::Map(map) => {
                let sorted: std::collections::BTreeMap<_, _> = map.iter().map(|(key, v)| (key_text(key), v)).collect();
                serializer.collect_map(sorted.into_iter().map(|(key, item)| (key, Shape(item, kind))))
            }
        }
    }
}

fn key_text(key: &MapKey) -> String {
    match key {
        MapKey::Bool(key) => key.to_string(),
        MapKey::I32(key) => key.to_string(),
        MapKey::I64(key) => key.to_string(),
        MapKey::U32(key) => key.to_string(),
        MapKey::U64(key) => key.to_string(),
        MapKey::String(key) => key.clone(),
    }
}
