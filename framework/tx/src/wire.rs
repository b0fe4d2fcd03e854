//! The protobuf wire format, read without copying.

use std::fmt;

/// Why bytes are no protobuf message; the texts are those of Go's `protowire`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum WireError {
    #[error("unexpected EOF")]
    Truncated,
    #[error("proto: invalid field number")]
    FieldNumber,
    #[error("proto: variable length integer overflow")]
    Overflow,
    #[error("proto: cannot parse reserved wire type")]
    Reserved,
    /// Nobody writes groups any more; skipping them would take a stack of their own.
    #[error("groups are not accepted")]
    Group,
}

/// How a field's value is encoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum WireType {
    Varint,
    Fixed64,
    Bytes,
    Fixed32,
}

impl fmt::Display for WireType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Varint => "varint",
            Self::Fixed64 => "fixed64",
            Self::Bytes => "bytes",
            Self::Fixed32 => "fixed32",
        })
    }
}

/// A field's number and encoding.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Tag {
    pub(crate) number: u32,
    pub(crate) wire: WireType,
}

/// A varint and how many bytes it took.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Varint {
    pub(crate) value: u64,
    pub(crate) bytes: u32,
}

impl Varint {
    /// How many bytes it needs.
    pub(crate) fn needed(self) -> u32 {
        (64 - (self.value | 1).leading_zeros()).div_ceil(7)
    }

    pub(crate) fn is_minimal(self) -> bool {
        self.bytes == self.needed()
    }
}

/// The largest field number.
const MAX_FIELD: u64 = (1 << 29) - 1;

/// The unread rest of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Reader<'a>(pub(crate) &'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(crate) fn varint(&mut self) -> Result<Varint, WireError> {
        let mut value = 0u64;
        for bytes in 1..=10 {
            let (&byte, rest) = self.0.split_first().ok_or(WireError::Truncated)?;
            self.0 = rest;
            if bytes == 10 && byte > 1 {
                return Err(WireError::Overflow);
            }
            value |= u64::from(byte & 0x7f) << (7 * (bytes - 1));
            if byte < 0x80 {
                return Ok(Varint { value, bytes });
            }
        }
        Err(WireError::Overflow)
    }

    /// A tag, and its varint for those who care how it was written.
    pub(crate) fn tag(&mut self) -> Result<(Tag, Varint), WireError> {
        let varint = self.varint()?;
        let number = varint.value >> 3;
        if number == 0 || number > MAX_FIELD {
            return Err(WireError::FieldNumber);
        }
        let wire = match varint.value & 7 {
            0 => WireType::Varint,
            1 => WireType::Fixed64,
            2 => WireType::Bytes,
            3 | 4 => return Err(WireError::Group),
            5 => WireType::Fixed32,
            _ => return Err(WireError::Reserved),
        };
        let number = u32::try_from(number).map_err(|_| WireError::FieldNumber)?;
        Ok((Tag { number, wire }, varint))
    }

    pub(crate) fn take(&mut self, len: u64) -> Result<&'a [u8], WireError> {
        let len = usize::try_from(len).map_err(|_| WireError::Truncated)?;
        let (head, rest) = self.0.split_at_checked(len).ok_or(WireError::Truncated)?;
        self.0 = rest;
        Ok(head)
    }

    /// The value of a field; empty unless it is length-delimited.
    pub(crate) fn value(&mut self, wire: WireType) -> Result<&'a [u8], WireError> {
        match wire {
            WireType::Varint => self.varint().map(|_| &[][..]),
            WireType::Fixed64 => self.take(8).map(|_| &[][..]),
            WireType::Fixed32 => self.take(4).map(|_| &[][..]),
            WireType::Bytes => {
                let len = self.varint()?.value;
                self.take(len)
            }
        }
    }
}
