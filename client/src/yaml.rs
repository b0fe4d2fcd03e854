//! YAML within limits: a document costs what it says and not what its anchors multiply it to.

use std::{cell::Cell, fmt};

use serde::de::{self, DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Largest document, in bytes.
pub(crate) const MAX_BYTES: usize = 1 << 20;
/// Most that a document may come to once its anchors are resolved, in values and bytes of text together. A document
/// without anchors never comes to more than twice its length.
const MAX_COST: usize = 2 * MAX_BYTES;
/// Brackets inside one another. The scanner takes time in proportion to them at every token.
const MAX_BRACKETS: usize = 512;

/// Reads a document.
///
/// # Errors
/// What is wrong and where, or which limit it exceeds.
pub(crate) fn parse(text: &str) -> Result<Value, String> {
    if text.len() > MAX_BYTES {
        return Err(format!("it has {} bytes, at most {MAX_BYTES} are read", text.len()));
    }
    let mut open = 0usize;
    for byte in text.bytes() {
        match byte {
            b'[' | b'{' => open += 1,
            b']' | b'}' => open = open.saturating_sub(1),
            _ => {}
        }
        if open > MAX_BRACKETS {
            return Err(format!("more than {MAX_BRACKETS} brackets are open at once"));
        }
    }
    let left = Cell::new(MAX_COST);
    Bounded(&left).deserialize(serde_yaml_ng::Deserializer::from_str(text)).map_err(|e| e.to_string())
}

/// Builds a value, and counts down what it costs.
#[derive(Clone, Copy)]
struct Bounded<'a>(&'a Cell<usize>);

impl Bounded<'_> {
    fn spend<E: de::Error>(self, bytes: usize) -> Result<(), E> {
        let left = self.0.get().checked_sub(bytes.saturating_add(1));
        self.0.set(left.ok_or_else(|| E::custom("its anchors multiply it beyond what is read"))?);
        Ok(())
    }

    fn scalar<E: de::Error>(self, value: impl Into<Value>) -> Result<Value, E> {
        self.spend(0)?;
        Ok(value.into())
    }
}

impl<'de> DeserializeSeed<'de> for Bounded<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Bounded<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("text, a number, a truth value, a list or a mapping")
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        self.scalar(Value::Null)
    }

    fn visit_bool<E: de::Error>(self, value: bool) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_u64<E: de::Error>(self, value: u64) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_i64<E: de::Error>(self, value: i64) -> Result<Value, E> {
        self.scalar(value)
    }

    fn visit_f64<E: de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("a number that is none"))?;
        self.scalar(number)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        self.spend(text.len())?;
        Ok(text.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        self.spend(0)?;
        let mut items = Vec::new();
        while let Some(item) = seq.next_element_seed(self)? {
            items.push(item);
        }
        Ok(Value::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        self.spend(0)?;
        let mut map = Map::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.spend(key.len())?;
            let value = entries.next_value_seed(self)?;
            if map.insert(key.clone(), value).is_some() {
                return Err(de::Error::custom(format!("{key} is given twice")));
            }
        }
        Ok(Value::Object(map))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write as _;

    use serde_json::json;

    use super::*;

    #[test]
    fn plain_documents_and_anchors_are_read() {
        let text = "a: &x [1, two, true, null, 2.5]\nb: *x\n";
        let list = json!([1, "two", true, null, 2.5]);
        assert_eq!(parse(text).unwrap(), json!({ "a": list, "b": list }));
        assert!(parse("a: 1\na: 2").unwrap_err().contains("given twice"));
    }

    #[test]
    fn deep_nesting_is_refused_and_soon() {
        for text in ["[".repeat(MAX_BYTES), "{a: ".repeat(MAX_BYTES / 4), "- ".repeat(100_000)] {
            assert!(parse(&text).is_err(), "{}…", &text[..8]);
        }
        let honest = format!("{}1{}", "[".repeat(20), "]".repeat(20));
        assert!(parse(&honest).is_ok());
    }

    #[test]
    fn anchors_multiply_to_no_more_than_the_limit() {
        // Each level names the one before nine times.
        let mut laughs = "a0: &a0 [lol]\n".to_owned();
        for level in 1..30 {
            let one = format!("*a{}, ", level - 1);
            writeln!(laughs, "a{level}: &a{level} [{}]", one.repeat(9)).unwrap();
        }
        // One large list, named often.
        let square = format!("a: &a [{}]\nb: [{}]\n", "1, ".repeat(50_000), "*a, ".repeat(50_000));
        // One long text, named often.
        let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(400_000), "*a, ".repeat(50_000));
        for bomb in [laughs, square, text] {
            let error = parse(&bomb).unwrap_err();
            assert!(error.contains("anchors") || error.contains("repetition"), "{error}");
        }
        assert!(parse(&" ".repeat(MAX_BYTES + 1)).unwrap_err().contains("bytes"));
    }
}
