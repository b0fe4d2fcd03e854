//! What a transaction may contain at most, checked before anything is allocated for it.

/// Limits of decoding. They are consensus: all nodes must agree on them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a transaction.
    pub bytes: usize,
    /// Messages of a transaction.
    pub messages: usize,
    /// Signatures of a transaction; the `tx_sig_limit` parameter is usually lower.
    pub signatures: usize,
    /// Messages within messages within messages, those in an `Any` included.
    pub depth: usize,
    /// Encoded sub-messages in all.
    pub submessages: usize,
    /// Encoded fields in all.
    pub fields: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 1 << 20, messages: 256, signatures: 64, depth: 24, submessages: 1 << 14, fields: 1 << 17 }
    }
}
