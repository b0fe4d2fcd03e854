//! `TxRaw`: the part of a transaction that no signature covers, so that its encoding must be the only one (ADR-027).

use crate::wire::{Reader, WireType};

/// The parts of a transaction as they came.
#[derive(Debug, Default)]
pub(crate) struct Raw<'a> {
    pub(crate) body: &'a [u8],
    pub(crate) auth_info: &'a [u8],
    pub(crate) signatures: Vec<&'a [u8]>,
}

/// Splits a transaction. Fields ascend, varints are minimal, nothing is unknown; and, beyond the SDK, tags are minimal,
/// too, and body and auth info come once: else anyone could change a transaction's hash.
pub(crate) fn split(bytes: &[u8], max_signatures: usize) -> Result<Raw<'_>, String> {
    let mut raw = Raw::default();
    let mut previous = 0;
    let mut reader = Reader(bytes);
    while !reader.is_empty() {
        let (tag, written) = reader.tag().map_err(|e| format!("invalid length; {e}"))?;
        let number = tag.number;
        if tag.wire != WireType::Bytes {
            let got = written.value & 7;
            return Err(format!("expected 2 wire type, got {got}"));
        }
        if number < previous {
            return Err(format!("txRaw must follow ADR-027, got tagNum {number} after tagNum {previous}"));
        }
        let length = reader.varint().map_err(|e| format!("invalid length; {e}"))?;
        for varint in [written, length] {
            if !varint.is_minimal() {
                return Err(format!(
                    "length prefix varint for tagNum {number} is not as short as possible, read {}, only need {}",
                    varint.bytes,
                    varint.needed()
                ));
            }
        }
        let value = reader.take(length.value).map_err(|e| format!("invalid length; {e}"))?;
        match number {
            1 | 2 if number == previous => {
                return Err(format!("txRaw must follow ADR-027, got tagNum {number} twice"));
            }
            1 => raw.body = value,
            2 => raw.auth_info = value,
            3 if raw.signatures.len() >= max_signatures => return Err("too many signatures".to_owned()),
            3 => raw.signatures.push(value),
            _ => {
                return Err(format!(
                    "errUnknownField \"cosmos.tx.v1beta1.TxRaw\": {{TagNum: {number}, WireType:\"bytes\"}}"
                ));
            }
        }
        previous = number;
    }
    Ok(raw)
}
