//! Mutations that keep what they mutate readable: fields of protobuf with their lengths, values of JSON.

use serde_json::Value as Json;

/// What the bytes of an input are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Anything.
    Bytes,
    /// A protobuf message.
    Proto,
    /// A JSON document.
    Json,
}

/// Random numbers of a seed (SplitMix64): the same inputs on every machine.
#[derive(Clone, Debug)]
pub struct Rng(u64);

impl Rng {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, and 0 where that is 0.
    pub fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.number() % bound.max(1) as u64).unwrap_or(0)
    }

    /// One of these.
    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    fn byte(&mut self) -> u8 {
        self.number().to_le_bytes()[0]
    }
}

/// Numbers at the edges of types and of limits.
const NUMBERS: [u64; 16] = [
    0,
    1,
    2,
    7,
    255,
    256,
    1000,
    65_536,
    1 << 31,
    (1 << 32) - 1,
    1 << 32,
    (1 << 63) - 1,
    1 << 63,
    u64::MAX - 1,
    u64::MAX,
    10_000_000_000,
];

/// Texts that stand where amounts, names, addresses and paths do.
const TEXTS: [&str; 24] = [
    "",
    "0",
    "1",
    "-1",
    "+1",
    "00",
    "1e9",
    "1.5",
    "18446744073709551615",
    "18446744073709551616",
    "340282366920938463463374607431768211455",
    "340282366920938463463374607431768211456",
    "9999999999999999999999999999999999999999999999999999999999999999999999999999",
    "ugantry",
    "UGANTRY",
    "ibc/27394FB092D2ECCD56123C74F36E4C1F926001CEADA9CA97EA622B25F41E5EB2",
    "gantry1",
    "../../etc/passwd",
    "/cosmos.bank.v1beta1.MsgSend",
    "\u{0}",
    "\u{10ffff}",
    "null",
    "http://127.0.0.1:1",
    "bafkreigh2akiscaildcqabsyg3dfr6chu3fgpregiymsck7e7aqa4s52zy",
];

/// A mutation of `input`, of at most `max` bytes; parts may come from `other`.
#[must_use]
pub fn mutate(form: Form, input: &[u8], other: &[u8], max: usize, rng: &mut Rng) -> Vec<u8> {
    let by_structure = rng.below(8) > 0;
    let mut out = match form {
        Form::Proto if by_structure => proto(input, other, rng),
        Form::Json if by_structure => json(input, other, rng),
        _ => None,
    }
    .unwrap_or_else(|| {
        let mut out = input.to_vec();
        bytes(&mut out, other, rng);
        out
    });
    out.truncate(max);
    out
}

/// One to four changes of bytes.
fn bytes(out: &mut Vec<u8>, other: &[u8], rng: &mut Rng) {
    for _ in 0..=rng.below(4) {
        let at = rng.below(out.len() + 1);
        let end = at + rng.below((out.len() - at).min(32) + 1);
        match rng.below(8) {
            0 if at < out.len() => out[at] ^= 1 << rng.below(8),
            1 if at < out.len() => out[at] = rng.byte(),
            2 => out.insert(at, rng.byte()),
            3 => drop(out.drain(at..end)),
            4 => {
                let copy = out[at..end].to_vec();
                let to = rng.below(out.len() + 1);
                out.splice(to..to, copy);
            }
            5 => {
                let from = rng.below(other.len() + 1);
                let until = from + rng.below((other.len() - from).min(64) + 1);
                out.splice(at..at, other[from..until].iter().copied());
            }
            6 => drop(out.splice(at..end, rng.pick(&TEXTS).bytes())),
            _ => {
                let number = rng.pick(&NUMBERS).to_be_bytes();
                let width = *rng.pick(&[1, 2, 4, 8]);
                out.splice(at..end, number[8 - width..].iter().copied());
            }
        }
    }
}

// --- protobuf ---------------------------------------------------------------------------------------------------------

#[derive(Clone, Debug, PartialEq)]
enum Value {
    Varint(u64),
    Fixed64([u8; 8]),
    Fixed32([u8; 4]),
    Bytes(Vec<u8>),
    Message(Vec<Field>),
}

#[derive(Clone, Debug, PartialEq)]
struct Field {
    number: u64,
    value: Value,
}

/// Deeper than this, messages are bytes.
const DEPTH: usize = 16;

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first()?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Some(value);
        }
    }
    None
}

fn take<'a>(bytes: &mut &'a [u8], length: u64) -> Option<&'a [u8]> {
    let (head, rest) = bytes.split_at_checked(usize::try_from(length).ok()?)?;
    *bytes = rest;
    Some(head)
}

fn parse(mut bytes: &[u8], depth: usize) -> Option<Vec<Field>> {
    let mut fields = Vec::new();
    while !bytes.is_empty() {
        let tag = varint(&mut bytes)?;
        let value = match tag & 7 {
            0 => Value::Varint(varint(&mut bytes)?),
            1 => Value::Fixed64(take(&mut bytes, 8)?.try_into().ok()?),
            5 => Value::Fixed32(take(&mut bytes, 4)?.try_into().ok()?),
            2 => {
                let length = varint(&mut bytes)?;
                let inner = take(&mut bytes, length)?;
                let text = inner.iter().all(|byte| (b' '..=b'~').contains(byte));
                match if text || depth == 0 { None } else { parse(inner, depth - 1) } {
                    Some(fields) => Value::Message(fields),
                    None => Value::Bytes(inner.to_vec()),
                }
            }
            _ => return None,
        };
        if tag >> 3 == 0 {
            return None;
        }
        fields.push(Field { number: tag >> 3, value });
    }
    Some(fields)
}

fn put_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value.to_le_bytes()[0] | 0x80);
        value >>= 7;
    }
    out.push(value.to_le_bytes()[0]);
}

fn encode(fields: &[Field]) -> Vec<u8> {
    let mut out = Vec::new();
    for Field { number, value } in fields {
        let mut delimited = |bytes: &[u8]| {
            put_varint(number << 3 | 2, &mut out);
            put_varint(bytes.len() as u64, &mut out);
            out.extend_from_slice(bytes);
        };
        match value {
            Value::Bytes(bytes) => delimited(bytes),
            Value::Message(fields) => delimited(&encode(fields)),
            Value::Varint(value) => {
                put_varint(number << 3, &mut out);
                put_varint(*value, &mut out);
            }
            Value::Fixed64(bytes) => {
                put_varint(number << 3 | 1, &mut out);
                out.extend_from_slice(bytes);
            }
            Value::Fixed32(bytes) => {
                put_varint(number << 3 | 5, &mut out);
                out.extend_from_slice(bytes);
            }
        }
    }
    out
}

/// How many fields there are at any depth.
fn count(fields: &[Field]) -> usize {
    fields.iter().map(size).sum()
}

fn size(field: &Field) -> usize {
    match &field.value {
        Value::Message(inner) => 1 + count(inner),
        _ => 1,
    }
}

/// The list that holds the `n`th field, and its place there.
fn nth(fields: &mut Vec<Field>, mut n: usize) -> (&mut Vec<Field>, usize) {
    let mut at = 0;
    while n > 0 && n >= size(&fields[at]) {
        n -= size(&fields[at]);
        at += 1;
    }
    if n > 0 && matches!(fields[at].value, Value::Message(_)) {
        let Value::Message(inner) = &mut fields[at].value else { unreachable!("just seen") };
        return nth(inner, n - 1);
    }
    (fields, at)
}

fn random_field(fields: &mut Vec<Field>, rng: &mut Rng) -> Option<Field> {
    let n = count(fields);
    if n == 0 {
        return None;
    }
    let (list, at) = nth(fields, rng.below(n));
    Some(list[at].clone())
}

fn proto(input: &[u8], other: &[u8], rng: &mut Rng) -> Option<Vec<u8>> {
    let mut fields = parse(input, DEPTH)?;
    let mut donor = if rng.below(2) == 0 { fields.clone() } else { parse(other, DEPTH).unwrap_or_default() };
    for _ in 0..=rng.below(3) {
        let n = count(&fields);
        if n == 0 {
            fields.extend(random_field(&mut donor, rng));
            continue;
        }
        let (list, at) = nth(&mut fields, rng.below(n));
        match rng.below(12) {
            0 => drop(list.remove(at)),
            1 => {
                let copies = *rng.pick(&[1, 1, 1, 2, 8, 40]);
                let field = list[at].clone();
                list.splice(at..at, std::iter::repeat_n(field, copies));
            }
            2 => list[at].number = 1 + rng.below(20) as u64,
            3 => {
                let to = rng.below(list.len());
                list.swap(at, to);
            }
            4 => {
                let inner = list[at].clone();
                list[at].value = Value::Message(vec![inner]);
            }
            5 => {
                if let Some(field) = random_field(&mut donor, rng) {
                    list.insert(at, field);
                }
            }
            6 | 7 => {
                if let Some(field) = random_field(&mut donor, rng) {
                    list[at].value = field.value;
                }
            }
            _ => scalar(&mut list[at].value, other, rng),
        }
    }
    Some(encode(&fields))
}

fn scalar(value: &mut Value, other: &[u8], rng: &mut Rng) {
    match value {
        Value::Varint(number) => {
            *number = match rng.below(4) {
                0 => number.wrapping_add(1),
                1 => number.wrapping_sub(1),
                2 => rng.below(16) as u64,
                _ => *rng.pick(&NUMBERS),
            }
        }
        Value::Fixed64(bytes) => *bytes = rng.pick(&NUMBERS).to_le_bytes(),
        Value::Fixed32(bytes) => bytes.copy_from_slice(&rng.number().to_le_bytes()[..4]),
        Value::Bytes(text) => match rng.below(4) {
            0 => *text = rng.pick(&TEXTS).as_bytes().to_vec(),
            1 => *text = text.repeat(*rng.pick(&[0, 2, 20])),
            _ => bytes(text, other, rng),
        },
        Value::Message(_) => *value = Value::Bytes(rng.pick(&TEXTS).as_bytes().to_vec()),
    }
}

// --- JSON -------------------------------------------------------------------------------------------------------------

fn nodes(value: &Json) -> usize {
    1 + match value {
        Json::Array(items) => items.iter().map(nodes).sum(),
        Json::Object(fields) => fields.values().map(nodes).sum(),
        _ => 0,
    }
}

fn json_nth(value: &mut Json, mut n: usize) -> &mut Json {
    if n == 0 || !(value.is_array() || value.is_object()) {
        return value;
    }
    n -= 1;
    let inner: Vec<&mut Json> = match value {
        Json::Array(items) => items.iter_mut().collect(),
        Json::Object(fields) => fields.values_mut().collect(),
        _ => unreachable!("just seen"),
    };
    for node in inner {
        let size = nodes(node);
        if n < size {
            return json_nth(node, n);
        }
        n -= size;
    }
    unreachable!("n is below the number of nodes")
}

fn json(input: &[u8], other: &[u8], rng: &mut Rng) -> Option<Vec<u8>> {
    let mut value: Json = serde_json::from_slice(input).ok()?;
    let donor: Json = serde_json::from_slice(other).unwrap_or(Json::Null);
    for _ in 0..=rng.below(3) {
        let mut donor = if rng.below(2) == 0 { value.clone() } else { donor.clone() };
        let at = rng.below(nodes(&value));
        let part = rng.below(nodes(&donor));
        let part = json_nth(&mut donor, part).clone();
        let node = json_nth(&mut value, at);
        match (rng.below(8), &mut *node) {
            (0 | 1, Json::Array(items)) if !items.is_empty() => {
                let at = rng.below(items.len());
                if rng.below(2) == 0 {
                    items.remove(at);
                } else {
                    items.push(items[at].clone());
                }
            }
            (2, Json::Array(items)) => items.push(part),
            (0..=2, Json::Object(fields)) if !fields.is_empty() => {
                let key = fields.keys().nth(rng.below(fields.len())).cloned().unwrap_or_default();
                let removed = fields.remove(&key);
                if rng.below(4) == 0 {
                    fields.insert((*rng.pick(&TEXTS)).to_owned(), removed.unwrap_or_default());
                }
            }
            (0..=4, Json::String(text)) => {
                let mut changed = std::mem::take(text).into_bytes();
                if rng.below(2) == 0 {
                    changed = rng.pick(&TEXTS).as_bytes().to_vec();
                } else {
                    bytes(&mut changed, other, rng);
                }
                *text = String::from_utf8_lossy(&changed).into_owned();
            }
            (0..=4, Json::Number(_)) => *node = (*rng.pick(&NUMBERS)).into(),
            (5, _) => {
                *node = match rng.below(6) {
                    0 => Json::Null,
                    1 => true.into(),
                    2 => (-1).into(),
                    3 => (*rng.pick(&NUMBERS)).into(),
                    4 => serde_json::json!({}),
                    _ => (*rng.pick(&TEXTS)).into(),
                }
            }
            _ => *node = part,
        }
    }
    serde_json::to_vec(&value).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_parsed_is_written_as_it_was() {
        let inner = Field { number: 3, value: Value::Varint(300) };
        let text = Field { number: 1, value: Value::Bytes(b"ugantry".to_vec()) };
        let fields = vec![
            Field { number: 1, value: Value::Message(vec![inner, text]) },
            Field { number: 9, value: Value::Fixed64([1; 8]) },
            Field { number: 15, value: Value::Fixed32([2; 4]) },
        ];
        let bytes = encode(&fields);
        assert_eq!(parse(&bytes, DEPTH).unwrap(), fields);
        assert_eq!(count(&fields), 5);
        let mut fields = fields;
        let (list, at) = nth(&mut fields, 2);
        assert_eq!(list[at].number, 1);
        let (list, at) = nth(&mut fields, 4);
        assert_eq!(list[at].number, 15);
    }

    #[test]
    fn mutations_of_messages_are_mostly_messages_and_of_a_seed_always_the_same() {
        let input = encode(&[
            Field { number: 1, value: Value::Message(vec![Field { number: 2, value: Value::Varint(7) }]) },
            Field { number: 2, value: Value::Bytes(b"text".to_vec()) },
        ]);
        let run = || {
            let mut rng = Rng::new(1);
            (0..200).map(|_| mutate(Form::Proto, &input, &input, 4096, &mut rng)).collect::<Vec<_>>()
        };
        let outputs = run();
        assert_eq!(outputs, run());
        assert!(outputs.iter().filter(|bytes| parse(bytes, DEPTH).is_some()).count() > 150);
        assert!(outputs.iter().filter(|bytes| **bytes != input).count() > 150);
    }
}
