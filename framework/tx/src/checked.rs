//! The door: bytes in, a transaction whose form is right out. Nothing past it takes unchecked bytes.

use std::{collections::BTreeSet, sync::OnceLock};

use cosmos_sdk_proto::cosmos::tx::{
    signing::v1beta1::SignMode as ProtoSignMode,
    v1beta1::{AuthInfo, Fee as ProtoFee, SignerInfo as ProtoSignerInfo, TxBody, mode_info::Sum},
};
use gantry_core::{Address, Coins, DynMsg, Error, MsgRouter, PubKey, Result, sdk};
use prost::{Message, Name};
use sha2::{Digest, Sha256};

use crate::{
    limits::Limits,
    raw,
    strict::{Budget, walk},
};

/// The largest gas limit that ABCI can carry.
const MAX_GAS_WANTED: u64 = (1 << 63) - 1;

/// Memory that an encoded field or message may take beyond its bytes: a string of one byte, in its own allocation.
const PART_BYTES: usize = 64;

/// A transaction that was decoded strictly and passed every check that needs no state.
pub struct CheckedTx {
    pub(crate) messages: Vec<Box<dyn DynMsg>>,
    pub(crate) body_bytes: Vec<u8>,
    pub(crate) auth_info_bytes: Vec<u8>,
    pub(crate) fee: Fee,
    pub(crate) memo: String,
    pub(crate) timeout_height: u64,
    pub(crate) has_extension_options: bool,
    pub(crate) signers: Vec<Address>,
    pub(crate) signer_infos: Vec<SignerInfo>,
    /// Whether the key that a signer names, if any, gives its address.
    pub(crate) keys_match: Vec<bool>,
    /// What the curve said of each signature.
    pub(crate) verdicts: Vec<OnceLock<Verdict>>,
    pub(crate) signatures: Vec<Vec<u8>>,
    /// The hash of what all signers sign, before what is different for each.
    pub(crate) signed_by_all: OnceLock<Sha256>,
    pub(crate) hash: [u8; 32],
    pub(crate) size: usize,
    /// About how much memory it takes, in bytes.
    pub(crate) weight: usize,
}

/// Whether a signature is good, and what that depends on besides the transaction's bytes.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Verdict {
    pub(crate) is_good: bool,
    pub(crate) chain_id: String,
    pub(crate) account_number: u64,
    pub(crate) key: PubKey,
}

/// What a transaction offers and may use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fee {
    /// Taken even if the messages fail.
    pub amount: Coins,
    /// Gas that it may use.
    pub gas_limit: u64,
    /// Who pays: `fee.payer`, who must sign, or else the first signer.
    pub payer: Address,
    /// Who should pay by a grant instead.
    pub granter: Option<Address>,
}

/// How a signer says to have signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SignMode {
    /// Nothing said: only in a simulation.
    Absent,
    /// One key, with the number of the SDK's `SignMode`.
    Single(i32),
    /// A multisig.
    Multi,
}

impl SignMode {
    /// `SIGN_MODE_DIRECT`, the one that is supported.
    pub const DIRECT: Self = Self::Single(ProtoSignMode::Direct as i32);
    /// `SIGN_MODE_LEGACY_AMINO_JSON`.
    pub const AMINO_JSON: Self = Self::Single(ProtoSignMode::LegacyAminoJson as i32);
}

/// What a signer says of itself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignerInfo {
    /// Its key; may be left out when the account has one.
    pub pub_key: Option<PubKey>,
    /// How it signed.
    pub mode: SignMode,
    /// The sequence that it signed for.
    pub sequence: u64,
}

impl CheckedTx {
    /// The messages, at least one.
    #[must_use]
    pub fn messages(&self) -> &[Box<dyn DynMsg>] {
        &self.messages
    }

    /// Who must sign: the messages' signers in order, each once, then the fee payer.
    #[must_use]
    pub fn signers(&self) -> &[Address] {
        &self.signers
    }

    /// What the signers say of themselves, in the same order.
    #[must_use]
    pub fn signer_infos(&self) -> &[SignerInfo] {
        &self.signer_infos
    }

    /// Fee, gas limit and payer.
    #[must_use]
    pub fn fee(&self) -> &Fee {
        &self.fee
    }

    /// The memo.
    #[must_use]
    pub fn memo(&self) -> &str {
        &self.memo
    }

    /// The last height at which it may be executed; 0 for any.
    #[must_use]
    pub fn timeout_height(&self) -> u64 {
        self.timeout_height
    }

    /// SHA-256 of the bytes: the transaction's id.
    #[must_use]
    pub fn hash(&self) -> &[u8; 32] {
        &self.hash
    }

    /// How many bytes it came in.
    #[must_use]
    pub fn size(&self) -> usize {
        self.size
    }
}

impl std::fmt::Debug for CheckedTx {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CheckedTx")
            .field("messages", &self.messages.iter().map(|m| m.type_url()).collect::<Vec<_>>())
            .field("signers", &self.signers)
            .field("fee", &self.fee)
            .finish_non_exhaustive()
    }
}

/// Decodes a transaction and runs every check that needs no state.
///
/// # Errors
/// sdk/2 for bytes that are not exactly one transaction of known fields, sdk/21 for too many of them, then the code of
/// the first rule that is broken.
pub fn decode(bytes: &[u8], limits: &Limits, router: &MsgRouter) -> Result<CheckedTx> {
    check_size(bytes, limits)?;
    decode_hashed(bytes, Sha256::digest(bytes).into(), limits, router)
}

pub(crate) fn check_size(bytes: &[u8], limits: &Limits) -> Result<()> {
    if bytes.len() > limits.bytes {
        return Err(sdk::tx_too_large(format!("{} bytes, limit: {}", bytes.len(), limits.bytes)));
    }
    Ok(())
}

/// [`decode`] of bytes whose size was checked and whose SHA-256 is known.
pub(crate) fn decode_hashed(bytes: &[u8], hash: [u8; 32], limits: &Limits, router: &MsgRouter) -> Result<CheckedTx> {
    let raw = raw::split(bytes, limits.signatures).map_err(sdk::tx_decode)?;
    let mut budget = Budget::new(limits);
    let body: TxBody = decode_known(raw.body, true, &mut budget)?;
    let auth_info: AuthInfo = decode_known(raw.auth_info, false, &mut budget)?;

    if body.messages.is_empty() {
        return Err(sdk::invalid_request("must contain at least one message"));
    }
    if body.messages.len() > limits.messages {
        return Err(sdk::invalid_request(format!(
            "too many messages: {}, limit: {}",
            body.messages.len(),
            limits.messages
        )));
    }
    let messages = body.messages.iter().map(|any| router.decode(any)).collect::<Result<Vec<_>>>()?;
    messages.iter().try_for_each(|message| message.check())?;

    let fee = auth_info.fee.ok_or_else(|| sdk::invalid_request("missing fee"))?;
    if fee.gas_limit > MAX_GAS_WANTED {
        return Err(sdk::invalid_request(format!("invalid gas supplied; {} > {MAX_GAS_WANTED}", fee.gas_limit)));
    }
    let payer = optional_address(&fee.payer, "Invalid fee payer address")?;
    if raw.signatures.is_empty() {
        return Err(Error::user(sdk::CODESPACE, 15, "no signatures supplied"));
    }

    let signers = signers(&messages, payer.as_ref())?;
    if raw.signatures.len() != signers.len() {
        return Err(sdk::unauthorized(format!(
            "wrong number of signers; expected {}, got {}",
            signers.len(),
            raw.signatures.len()
        )));
    }
    if auth_info.signer_infos.len() != signers.len() {
        return Err(sdk::unauthorized(format!(
            "invalid number of signer;  expected: {}, got {}",
            signers.len(),
            auth_info.signer_infos.len()
        )));
    }
    let signer_infos = auth_info.signer_infos.into_iter().map(signer_info).collect::<Result<Vec<_>>>()?;
    let named = signers.iter().zip(&signer_infos);
    let keys_match = named.map(|(signer, info)| info.pub_key.is_none_or(|key| key.address() == *signer)).collect();
    let first = signers.first().ok_or_else(|| sdk::unauthorized("no message names a signer"))?;

    Ok(CheckedTx {
        fee: Fee {
            amount: fee_amount(&fee)?,
            gas_limit: fee.gas_limit,
            payer: payer.unwrap_or_else(|| first.clone()),
            granter: optional_address(&fee.granter, "Invalid fee granter address")?,
        },
        messages,
        body_bytes: raw.body.to_vec(),
        auth_info_bytes: raw.auth_info.to_vec(),
        memo: body.memo,
        timeout_height: body.timeout_height,
        has_extension_options: !body.extension_options.is_empty(),
        verdicts: signers.iter().map(|_| OnceLock::new()).collect(),
        signers,
        signer_infos,
        keys_match,
        signatures: raw.signatures.into_iter().map(<[u8]>::to_vec).collect(),
        signed_by_all: OnceLock::new(),
        hash,
        size: bytes.len(),
        weight: bytes.len().saturating_add(budget.spent(limits).saturating_mul(PART_BYTES)),
    })
}

/// Decodes a message in which nothing is unknown, but for non-critical fields where they are allowed.
fn decode_known<M: Message + Name + Default>(bytes: &[u8], allow_non_critical: bool, budget: &mut Budget) -> Result<M> {
    walk(bytes, &M::full_name(), allow_non_critical, budget).map_err(sdk::tx_decode)?;
    M::decode(bytes).map_err(|e| sdk::tx_decode(e.to_string()))
}

fn signers(messages: &[Box<dyn DynMsg>], payer: Option<&Address>) -> Result<Vec<Address>> {
    let mut seen = BTreeSet::new();
    let mut signers = Vec::new();
    for message in messages {
        signers.extend(message.signers()?.into_iter().filter(|signer| seen.insert(signer.clone())));
    }
    signers.extend(payer.filter(|payer| !seen.contains(*payer)).cloned());
    Ok(signers)
}

fn signer_info(info: ProtoSignerInfo) -> Result<SignerInfo> {
    let mode = match info.mode_info.and_then(|mode| mode.sum) {
        None => SignMode::Absent,
        Some(Sum::Single(single)) => SignMode::Single(single.mode),
        Some(Sum::Multi(_)) => SignMode::Multi,
    };
    let pub_key = info.public_key.as_ref().map(PubKey::from_any).transpose()?;
    Ok(SignerInfo { pub_key, mode, sequence: info.sequence })
}

fn optional_address(text: &str, words: &str) -> Result<Option<Address>> {
    if text.is_empty() {
        return Ok(None);
    }
    Address::parse(text).map(Some).map_err(|e| sdk::invalid_address(format!("{words} ({e})")))
}

/// The fee as coins. Zero amounts mean no fee, because wallets write them where gas is free.
fn fee_amount(fee: &ProtoFee) -> Result<Coins> {
    if fee.amount.iter().all(|coin| coin.amount == "0") {
        return Ok(Coins::new());
    }
    Coins::from_proto(&fee.amount).map_err(|e| sdk::insufficient_fee(format!("invalid fee amount: {e}")))
}
