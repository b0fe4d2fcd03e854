//! Keys as bytes, in the encodings of the SDK's `collections`, so that rows of auth and bank are where its clients look.

use crate::StoreError;

/// A typed key with an order-preserving encoding that can be decoded back.
///
/// A key is a tuple of parts. The last part is written bare; a variable-length part before it carries its end with it:
/// bytes by a length byte, strings by a closing NUL. So bytes that are not last sort by length first.
///
/// Implemented for `u8` to `u64` (big endian), `bool`, `[u8; N]` (bare in every place), `[u8]` and `Vec<u8>`, `str` and
/// `String`, `()`, references to all these, and tuples of two to four. For a newtype over bytes use
/// [`bytes_key!`](crate::bytes_key).
pub trait KeyCodec {
    /// What decoding gives: the key without its borrows.
    type Owned: 'static;

    /// Appends the key as the last part.
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), StoreError>;

    /// Appends the key as a part with others after it.
    fn encode_part(&self, out: &mut Vec<u8>) -> Result<(), StoreError>;

    /// Reads the key from all of `bytes`.
    fn decode(bytes: &[u8]) -> Result<Self::Owned, StoreError>;

    /// Reads the key off the front of `bytes`.
    fn decode_part(bytes: &mut &[u8]) -> Result<Self::Owned, StoreError>;
}

/// The leading parts of a key `K`, to iterate over what shares them.
pub trait KeyPrefix<K> {
    /// Appends the parts as they stand in front of others.
    fn encode_prefix(&self, out: &mut Vec<u8>) -> Result<(), StoreError>;
}

/// The prefix of every key.
#[derive(Clone, Copy, Debug)]
pub struct All;

impl<K> KeyPrefix<K> for All {
    fn encode_prefix(&self, _: &mut Vec<u8>) -> Result<(), StoreError> {
        Ok(())
    }
}

/// The first byte string after all that start with `prefix`; `None` when there is none.
pub fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|byte| *byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

/// Splits `len` bytes off the front.
fn take<'a>(bytes: &mut &'a [u8], len: usize) -> Result<&'a [u8], StoreError> {
    let (head, tail) = bytes.split_at_checked(len).ok_or_else(|| StoreError::Corrupt("key is too short".into()))?;
    *bytes = tail;
    Ok(head)
}

/// Reads a fixed-size part that must be the whole of `bytes`.
fn whole<K: KeyCodec + ?Sized>(mut bytes: &[u8]) -> Result<K::Owned, StoreError> {
    let key = K::decode_part(&mut bytes)?;
    if bytes.is_empty() { Ok(key) } else { Err(StoreError::Corrupt("key is too long".into())) }
}

macro_rules! integer_key {
    ($($ty:ty),*) => {$(
        impl KeyCodec for $ty {
            type Owned = $ty;
            fn encode(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
                out.extend_from_slice(&self.to_be_bytes());
                Ok(())
            }
            fn encode_part(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
                self.encode(out)
            }
            fn decode(bytes: &[u8]) -> Result<$ty, StoreError> {
                whole::<$ty>(bytes)
            }
            fn decode_part(bytes: &mut &[u8]) -> Result<$ty, StoreError> {
                Ok(<$ty>::from_be_bytes(<[u8; size_of::<$ty>()]>::decode_part(bytes)?))
            }
        }
    )*};
}
integer_key!(u8, u16, u32, u64);

impl<const N: usize> KeyCodec for [u8; N] {
    type Owned = [u8; N];
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        out.extend_from_slice(self);
        Ok(())
    }
    fn encode_part(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        self.encode(out)
    }
    fn decode(bytes: &[u8]) -> Result<[u8; N], StoreError> {
        whole::<[u8; N]>(bytes)
    }
    fn decode_part(bytes: &mut &[u8]) -> Result<[u8; N], StoreError> {
        let mut key = [0; N];
        key.copy_from_slice(take(bytes, N)?);
        Ok(key)
    }
}

impl KeyCodec for bool {
    type Owned = bool;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        out.push(u8::from(*self));
        Ok(())
    }
    fn encode_part(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        self.encode(out)
    }
    fn decode(bytes: &[u8]) -> Result<bool, StoreError> {
        whole::<bool>(bytes)
    }
    fn decode_part(bytes: &mut &[u8]) -> Result<bool, StoreError> {
        match take(bytes, 1)? {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(StoreError::Corrupt("boolean key is neither 0 nor 1".into())),
        }
    }
}

impl KeyCodec for () {
    type Owned = ();
    fn encode(&self, _: &mut Vec<u8>) -> Result<(), StoreError> {
        Ok(())
    }
    fn encode_part(&self, _: &mut Vec<u8>) -> Result<(), StoreError> {
        Ok(())
    }
    fn decode(bytes: &[u8]) -> Result<(), StoreError> {
        whole::<()>(bytes)
    }
    fn decode_part(_: &mut &[u8]) -> Result<(), StoreError> {
        Ok(())
    }
}

impl KeyCodec for [u8] {
    type Owned = Vec<u8>;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        out.extend_from_slice(self);
        Ok(())
    }
    fn encode_part(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        let len = u8::try_from(self.len()).map_err(|_| StoreError::Key("bytes before another part exceed 255"))?;
        out.push(len);
        self.encode(out)
    }
    fn decode(bytes: &[u8]) -> Result<Vec<u8>, StoreError> {
        Ok(bytes.to_vec())
    }
    fn decode_part(bytes: &mut &[u8]) -> Result<Vec<u8>, StoreError> {
        let len = u8::decode_part(bytes)?;
        Ok(take(bytes, usize::from(len))?.to_vec())
    }
}

impl KeyCodec for str {
    type Owned = String;
    fn encode(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        out.extend_from_slice(self.as_bytes());
        Ok(())
    }
    fn encode_part(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
        if self.as_bytes().contains(&0) {
            return Err(StoreError::Key("a string before another part holds NUL"));
        }
        self.encode(out)?;
        out.push(0);
        Ok(())
    }
    fn decode(bytes: &[u8]) -> Result<String, StoreError> {
        String::from_utf8(bytes.to_vec()).map_err(|_| StoreError::Corrupt("string key is not UTF-8".into()))
    }
    fn decode_part(bytes: &mut &[u8]) -> Result<String, StoreError> {
        let end = bytes.iter().position(|byte| *byte == 0);
        let end = end.ok_or_else(|| StoreError::Corrupt("string key has no end".into()))?;
        let key = Self::decode(take(bytes, end)?)?;
        take(bytes, 1)?;
        Ok(key)
    }
}

/// Implements [`KeyCodec`] for a type by that of what it borrows as.
macro_rules! key_as {
    ($([$($generics:tt)*] $ty:ty => $target:ty),* $(,)?) => {$(
        impl<$($generics)*> KeyCodec for $ty {
            type Owned = <$target as KeyCodec>::Owned;
            fn encode(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
                <$target>::encode(self, out)
            }
            fn encode_part(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
                <$target>::encode_part(self, out)
            }
            fn decode(bytes: &[u8]) -> Result<Self::Owned, StoreError> {
                <$target>::decode(bytes)
            }
            fn decode_part(bytes: &mut &[u8]) -> Result<Self::Owned, StoreError> {
                <$target>::decode_part(bytes)
            }
        }
    )*};
}
key_as!([] Vec<u8> => [u8], [] String => str, [T: KeyCodec + ?Sized] &T => T);

macro_rules! tuple_key {
    ($($part:ident),+; $last:ident) => {
        impl<$($part: KeyCodec,)+ $last: KeyCodec> KeyCodec for ($($part,)+ $last) {
            type Owned = ($($part::Owned,)+ $last::Owned);
            #[expect(non_snake_case, reason = "the parts are named by their types")]
            fn encode(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
                let ($($part,)+ $last) = self;
                $($part.encode_part(out)?;)+
                $last.encode(out)
            }
            #[expect(non_snake_case, reason = "the parts are named by their types")]
            fn encode_part(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
                let ($($part,)+ $last) = self;
                $($part.encode_part(out)?;)+
                $last.encode_part(out)
            }
            fn decode(mut bytes: &[u8]) -> Result<Self::Owned, StoreError> {
                Ok(($($part::decode_part(&mut bytes)?,)+ $last::decode(bytes)?))
            }
            fn decode_part(bytes: &mut &[u8]) -> Result<Self::Owned, StoreError> {
                Ok(($($part::decode_part(bytes)?,)+ $last::decode_part(bytes)?))
            }
        }
    };
}
tuple_key!(A; B);
tuple_key!(A, B; C);
tuple_key!(A, B, C; D);

/// A prefix given by value or by reference, of a key with the parts `$rest` after it.
macro_rules! key_prefix {
    ($prefix:ty => ($($part:ident),+) / $($rest:ident),+) => {
        impl<$($part: KeyCodec,)+ $($rest,)+> KeyPrefix<($($part,)+ $($rest,)+)> for $prefix {
            fn encode_prefix(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
                self.encode_part(out)
            }
        }
        impl<$($part: KeyCodec,)+ $($rest,)+> KeyPrefix<($($part,)+ $($rest,)+)> for &$prefix {
            fn encode_prefix(&self, out: &mut Vec<u8>) -> Result<(), StoreError> {
                self.encode_part(out)
            }
        }
    };
}
key_prefix!(A => (A) / B);
key_prefix!(A => (A) / B, C);
key_prefix!((A, B) => (A, B) / C);
key_prefix!(A => (A) / B, C, D);
key_prefix!((A, B) => (A, B) / C, D);
key_prefix!((A, B, C) => (A, B, C) / D);

/// Implements [`KeyCodec`] for a newtype over bytes (an address) that is `AsRef<[u8]>` and `TryFrom<&[u8]>`:
/// bare when last, behind a length byte when not, as the SDK writes addresses.
#[macro_export]
macro_rules! bytes_key {
    ($ty:ty) => {
        impl $crate::KeyCodec for $ty {
            type Owned = $ty;
            fn encode(&self, out: &mut Vec<u8>) -> Result<(), $crate::StoreError> {
                <[u8] as $crate::KeyCodec>::encode(self.as_ref(), out)
            }
            fn encode_part(&self, out: &mut Vec<u8>) -> Result<(), $crate::StoreError> {
                <[u8] as $crate::KeyCodec>::encode_part(self.as_ref(), out)
            }
            fn decode(bytes: &[u8]) -> Result<$ty, $crate::StoreError> {
                <$ty>::try_from(bytes).map_err(|error| {
                    $crate::StoreError::Corrupt(::std::format!("{} key: {}", ::std::stringify!($ty), error))
                })
            }
            fn decode_part(bytes: &mut &[u8]) -> Result<$ty, $crate::StoreError> {
                let part = <[u8] as $crate::KeyCodec>::decode_part(bytes)?;
                <$ty as $crate::KeyCodec>::decode(&part)
            }
        }
    };
}
