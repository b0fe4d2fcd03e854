//! Refuses what a reader of the signed bytes could not see: unknown fields, types and encodings, at any depth.
//!
//! prost drops unknown fields silently; this walk over the wire bytes finds them first. It keeps its own stack and
//! counts everything, so that neither depth nor number can exhaust the machine.

use crate::{
    limits::Limits,
    shape::{Holds, SHAPES, Shape},
    wire::{Reader, Tag, WireError},
};

/// Field numbers with this bit may be unknown where the SDK allows it (ADR-020).
const NON_CRITICAL: u32 = 1 << 10;

/// What a whole transaction may still contain.
#[derive(Debug)]
pub(crate) struct Budget {
    depth: usize,
    submessages: usize,
    fields: usize,
}

impl Budget {
    pub(crate) fn new(limits: &Limits) -> Self {
        Self { depth: limits.depth, submessages: limits.submessages, fields: limits.fields }
    }

    /// Fields and messages that were found.
    pub(crate) fn spent(&self, limits: &Limits) -> usize {
        (limits.submessages - self.submessages) + (limits.fields - self.fields)
    }

    fn field(&mut self) -> Result<(), String> {
        self.fields = self.fields.checked_sub(1).ok_or("too many fields")?;
        Ok(())
    }
}

/// Walks a message of a known type. Answers whether unknown non-critical fields were seen; they are refused unless
/// `allow_non_critical`.
pub(crate) fn walk(bytes: &[u8], root: &str, allow_non_critical: bool, budget: &mut Budget) -> Result<bool, String> {
    let shapes = &*SHAPES;
    let root = shapes.find(root).ok_or_else(|| format!("failed to retrieve the message of type {root:?}"))?;
    let (mut seen, mut twice) = (false, None);
    let mut stack = vec![(shapes.get(root), Reader(bytes), 0u128)];
    while let Some((shape, reader, came)) = stack.last_mut() {
        if reader.is_empty() {
            stack.pop();
            continue;
        }
        budget.field()?;
        let (tag, _) = reader.tag().map_err(|e| format!("invalid length; {e}"))?;
        let field = shape.field(tag.number);
        match field {
            Some(field) if !field.accepts(tag.wire) => {
                return Err(format!(
                    "Mismatched {:?}: {{TagNum: {}, GotWireType: \"{}\" != WantWireType: \"{}\"}}",
                    shape.name, tag.number, tag.wire, field.wire
                ));
            }
            // A decoder would merge them into what this walk has not seen. Told last, for what else is wrong has the SDK's words.
            Some(field) if field.once & *came != 0 => twice = Some((*shape, tag)),
            Some(field) => *came |= field.once,
            None => seen |= unknown(shape, tag, allow_non_critical)?,
        }
        let value = reader.value(tag.wire).map_err(|e| no_value(tag, e))?;
        let inner = match field.map(|f| f.holds) {
            None | Some(Holds::Scalar) => continue,
            Some(Holds::Message(index)) => (shapes.get(index), Reader(value), 0),
            Some(Holds::Any) => {
                let (type_url, inner, unknown) = any(value, allow_non_critical, budget)?;
                seen |= unknown;
                let index = shapes.resolve(type_url).ok_or_else(|| format!("unable to resolve type URL {type_url}"))?;
                (shapes.get(index), Reader(inner), 0)
            }
        };
        if stack.len() >= budget.depth {
            return Err("recursion limit reached".to_owned());
        }
        budget.submessages = budget.submessages.checked_sub(1).ok_or("too many messages")?;
        stack.push(inner);
    }
    match twice {
        Some((shape, tag)) => Err(format!("{:?}: the message {{TagNum: {}}} is given twice", shape.name, tag.number)),
        None => Ok(seen),
    }
}

/// The type URL and the value of an `Any`; the last of each counts, as for any decoder.
fn any<'a>(
    bytes: &'a [u8],
    allow_non_critical: bool,
    budget: &mut Budget,
) -> Result<(&'a str, &'a [u8], bool), String> {
    let shapes = &*SHAPES;
    let shape = shapes.get(shapes.find("google.protobuf.Any").ok_or("no descriptor of Any")?);
    let mut reader = Reader(bytes);
    let (mut type_url, mut inner, mut seen): (&[u8], &[u8], bool) = (&[], &[], false);
    while !reader.is_empty() {
        budget.field()?;
        let (tag, _) = reader.tag().map_err(|e| format!("invalid length; {e}"))?;
        let field = shape.field(tag.number);
        if field.is_none() {
            seen |= unknown(shape, tag, allow_non_critical)?;
        } else if field.is_some_and(|f| !f.accepts(tag.wire)) {
            return Err(format!(
                "Mismatched {:?}: {{TagNum: {}, GotWireType: \"{}\" != WantWireType: \"bytes\"}}",
                shape.name, tag.number, tag.wire
            ));
        }
        let value = reader.value(tag.wire).map_err(|e| no_value(tag, e))?;
        match tag.number {
            1 => type_url = value,
            2 => inner = value,
            _ => {}
        }
    }
    let type_url = std::str::from_utf8(type_url).map_err(|_| "type URL is not UTF-8")?;
    Ok((type_url, inner, seen))
}

fn unknown(shape: &Shape, tag: Tag, allow_non_critical: bool) -> Result<bool, String> {
    if tag.number & NON_CRITICAL == 0 || !allow_non_critical {
        return Err(format!("errUnknownField {:?}: {{TagNum: {}, WireType:\"{}\"}}", shape.name, tag.number, tag.wire));
    }
    Ok(true)
}

fn no_value(tag: Tag, error: WireError) -> String {
    format!("could not consume field value for tagNum: {}, wireType: \"{}\"; {error}", tag.number, tag.wire)
}
