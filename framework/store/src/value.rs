//! Values as bytes.

use crate::StoreError;
use std::ops::{Deref, DerefMut};

/// A value with a deterministic encoding.
///
/// Implemented for `u64` (8 bytes, big endian, as `collections.Uint64Value`), `bool` (one byte), `()` (the byte `0x01`,
/// because no stored value may be empty), `String`, `Vec<u8>` and [`Proto`]. The empty string, empty bytes and a message
/// of nothing but defaults encode to nothing, so writing one is [`StoreError::EmptyValue`].
///
/// For a domain type that converts to and from a message use [`value_via_proto!`](crate::value_via_proto).
pub trait ValueCodec: Sized {
    /// The bytes to store.
    fn encode(&self) -> Vec<u8>;

    /// The value of stored bytes; anything that `encode` does not give is [`StoreError::Corrupt`].
    fn decode(bytes: &[u8]) -> Result<Self, StoreError>;
}

/// A protobuf message as a value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Proto<M>(pub M);

impl<M> Deref for Proto<M> {
    type Target = M;
    fn deref(&self) -> &M {
        &self.0
    }
}

impl<M> DerefMut for Proto<M> {
    fn deref_mut(&mut self) -> &mut M {
        &mut self.0
    }
}

impl<M> From<M> for Proto<M> {
    fn from(message: M) -> Self {
        Self(message)
    }
}

impl<M: prost::Message + Default> ValueCodec for Proto<M> {
    fn encode(&self) -> Vec<u8> {
        self.0.encode_to_vec()
    }
    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        M::decode(bytes).map(Self).map_err(|error| StoreError::Corrupt(format!("stored message: {error}")))
    }
}

impl ValueCodec for u64 {
    fn encode(&self) -> Vec<u8> {
        self.to_be_bytes().to_vec()
    }
    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        let bytes = bytes.try_into().map_err(|_| StoreError::Corrupt("stored u64 is not 8 bytes".into()))?;
        Ok(Self::from_be_bytes(bytes))
    }
}

impl ValueCodec for bool {
    fn encode(&self) -> Vec<u8> {
        vec![u8::from(*self)]
    }
    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        match bytes {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(StoreError::Corrupt("stored boolean is neither 0 nor 1".into())),
        }
    }
}

impl ValueCodec for () {
    fn encode(&self) -> Vec<u8> {
        vec![1]
    }
    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        if bytes == [1] { Ok(()) } else { Err(StoreError::Corrupt("stored unit is not 0x01".into())) }
    }
}

impl ValueCodec for String {
    fn encode(&self) -> Vec<u8> {
        self.as_bytes().to_vec()
    }
    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        Self::from_utf8(bytes.to_vec()).map_err(|_| StoreError::Corrupt("stored string is not UTF-8".into()))
    }
}

impl ValueCodec for Vec<u8> {
    fn encode(&self) -> Vec<u8> {
        self.clone()
    }
    fn decode(bytes: &[u8]) -> Result<Self, StoreError> {
        Ok(bytes.to_vec())
    }
}

/// Implements [`ValueCodec`] for a domain type through a message: `value_via_proto!(Job => pb::Job);` needs
/// `From<&Job> for pb::Job` and `TryFrom<pb::Job> for Job`.
#[macro_export]
macro_rules! value_via_proto {
    ($domain:ty => $message:ty) => {
        impl $crate::ValueCodec for $domain {
            fn encode(&self) -> Vec<u8> {
                $crate::ValueCodec::encode(&$crate::Proto(<$message>::from(self)))
            }
            fn decode(bytes: &[u8]) -> Result<Self, $crate::StoreError> {
                let message = <$crate::Proto<$message> as $crate::ValueCodec>::decode(bytes)?.0;
                Self::try_from(message).map_err(|error| {
                    $crate::StoreError::Corrupt(::std::format!("stored {}: {}", ::std::stringify!($domain), error))
                })
            }
        }
    };
}
