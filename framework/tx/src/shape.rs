//! The fields of all known messages, as a flat table made from the descriptors once.

use std::{collections::BTreeMap, sync::LazyLock};

use prost_reflect::{DescriptorPool, Kind};

use crate::wire::WireType;

/// What a field holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Holds {
    /// A number, text or bytes.
    Scalar,
    /// A message of the shape with this index.
    Message(usize),
    /// A message of the type that the value names.
    Any,
}

/// A field.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    number: u32,
    pub(crate) wire: WireType,
    /// Whether several numbers may come in one length-delimited value.
    packable: bool,
    /// A bit of its own among the fields of a message that may come once; 0 for others.
    pub(crate) once: u128,
    pub(crate) holds: Holds,
}

impl Field {
    pub(crate) fn accepts(&self, wire: WireType) -> bool {
        wire == self.wire || (self.packable && wire == WireType::Bytes)
    }
}

/// A message type.
#[derive(Debug)]
pub(crate) struct Shape {
    pub(crate) name: String,
    /// Ascending by number.
    fields: Vec<Field>,
}

impl Shape {
    pub(crate) fn field(&self, number: u32) -> Option<&Field> {
        self.fields.binary_search_by_key(&number, |f| f.number).ok().map(|i| &self.fields[i])
    }
}

/// All message types.
#[derive(Debug)]
pub(crate) struct Shapes {
    shapes: Vec<Shape>,
    by_name: BTreeMap<String, usize>,
}

/// The types that the descriptor set of this software describes.
pub(crate) static SHAPES: LazyLock<Shapes> = LazyLock::new(|| {
    let pool = DescriptorPool::decode(gantry_proto::DESCRIPTOR_SET).expect("the committed descriptor set is valid");
    Shapes::of(&pool)
});

const ANY: &str = "google.protobuf.Any";

impl Shapes {
    fn of(pool: &DescriptorPool) -> Self {
        let by_name: BTreeMap<String, usize> =
            pool.all_messages().enumerate().map(|(i, m)| (m.full_name().to_owned(), i)).collect();
        let shapes = pool
            .all_messages()
            .map(|message| {
                let mut fields: Vec<Field> = message
                    .fields()
                    .map(|field| {
                        let (wire, holds) = match field.kind() {
                            Kind::Double | Kind::Fixed64 | Kind::Sfixed64 => (WireType::Fixed64, Holds::Scalar),
                            Kind::Float | Kind::Fixed32 | Kind::Sfixed32 => (WireType::Fixed32, Holds::Scalar),
                            Kind::String | Kind::Bytes => (WireType::Bytes, Holds::Scalar),
                            Kind::Message(m) if m.full_name() == ANY => (WireType::Bytes, Holds::Any),
                            Kind::Message(m) => (WireType::Bytes, Holds::Message(by_name[m.full_name()])),
                            _ => (WireType::Varint, Holds::Scalar),
                        };
                        let once = u128::from(holds != Holds::Scalar && !field.is_list() && !field.is_map());
                        Field { number: field.number(), wire, packable: field.is_list(), once, holds }
                    })
                    .collect();
                fields.sort_by_key(|f| f.number);
                assert!(fields.len() <= 128, "a message has more fields than bits");
                fields.iter_mut().enumerate().for_each(|(at, field)| field.once <<= at);
                Shape { name: message.full_name().to_owned(), fields }
            })
            .collect();
        Self { shapes, by_name }
    }

    pub(crate) fn get(&self, index: usize) -> &Shape {
        &self.shapes[index]
    }

    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.by_name.get(name).copied()
    }

    /// The shape that an `Any` names. One within another directly is not accepted, as in the SDK, where nothing
    /// registers it.
    pub(crate) fn resolve(&self, type_url: &str) -> Option<usize> {
        let name = type_url.strip_prefix('/')?;
        if name == ANY { None } else { self.find(name) }
    }
}
