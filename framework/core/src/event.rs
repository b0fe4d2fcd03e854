//! ABCI events.

use std::fmt::Display;

/// One event: a type and attributes, as the SDK emits them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// For instance `transfer` or `gantry_job`.
    pub kind: String,
    /// Keys are never empty.
    pub attributes: Vec<(String, String)>,
}

/// Attributes that CometBFT does not index, because they tell one transaction from no other or come with one that does;
/// the SDK indexes all by default. They are half of the attributes of a transfer, and a key in CometBFT's index each.
pub(crate) const NOT_INDEXED: [&str; 5] = ["amount", "fee", "mode", "msg_index", "signature"];

/// An attribute from anything that prints.
pub fn attr(key: &str, value: impl Display) -> (String, String) {
    debug_assert!(!key.is_empty(), "clients refuse events with an empty key");
    (key.to_owned(), value.to_string())
}

impl Event {
    /// An event with attributes made by [`attr`].
    pub fn new(kind: &str, attributes: impl IntoIterator<Item = (String, String)>) -> Self {
        Self { kind: kind.to_owned(), attributes: attributes.into_iter().collect() }
    }

    /// The ABCI form: `index: true` on all attributes but those of `NOT_INDEXED`.
    #[must_use]
    pub fn into_abci(self) -> tendermint_proto::v0_38::abci::Event {
        tendermint_proto::v0_38::abci::Event {
            r#type: self.kind,
            attributes: self
                .attributes
                .into_iter()
                .map(|(key, value)| {
                    let index = !NOT_INDEXED.contains(&key.as_str());
                    tendermint_proto::v0_38::abci::EventAttribute { key, value, index }
                })
                .collect(),
        }
    }
}
