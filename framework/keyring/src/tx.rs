use cosmos_sdk_proto::Any;
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use cosmos_sdk_proto::cosmos::crypto::secp256k1::PubKey;
use cosmos_sdk_proto::cosmos::tx::signing::v1beta1::SignMode;
use cosmos_sdk_proto::cosmos::tx::v1beta1::mode_info::{Single, Sum};
use cosmos_sdk_proto::cosmos::tx::v1beta1::{AuthInfo, Fee, ModeInfo, SignDoc, SignerInfo, TxBody, TxRaw};
use prost::{Message, Name};

use crate::{PrivateKey, Signature, Signer};

/// What the chain knows of the signing account, and the chain's name: all that replay protection needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignerData {
    /// Chain id.
    pub chain_id: String,
    /// Account number; 0 for a transaction of genesis.
    pub account_number: u64,
    /// Sequence the account has now.
    pub sequence: u64,
}

/// Signs a transaction's parts under `SIGN_MODE_DIRECT` (ADR-020): SHA-256 over the encoded `SignDoc`.
pub fn sign_direct(
    key: &PrivateKey,
    body_bytes: &[u8],
    auth_info_bytes: &[u8],
    chain_id: &str,
    account_number: u64,
) -> Signature {
    key.sign(&sign_bytes(body_bytes, auth_info_bytes, chain_id, account_number))
}

fn sign_bytes(body_bytes: &[u8], auth_info_bytes: &[u8], chain_id: &str, account_number: u64) -> Vec<u8> {
    SignDoc {
        body_bytes: body_bytes.to_vec(),
        auth_info_bytes: auth_info_bytes.to_vec(),
        chain_id: chain_id.to_owned(),
        account_number,
    }
    .encode_to_vec()
}

/// A transaction of one signer in the making. Setters take and give it back; [`TxBuilder::sign`] and
/// [`TxBuilder::simulate`] may be called any number of times.
///
/// ```
/// # use gantry_keyring::*;
/// # use cosmos_sdk_proto::cosmos::{bank::v1beta1::MsgSend, base::v1beta1::Coin};
/// # fn main() -> Result<(), KeyringError> {
/// let keyring = Keyring::memory();
/// keyring.create("alice", HdPath::default())?;
/// let signer = keyring.signer("alice")?;
/// let send = MsgSend { from_address: signer.info.address.clone(), ..Default::default() };
/// let tx = TxBuilder::new().message(&send).fee(vec![Coin { denom: "ugantry".into(), amount: "500".into() }]).gas_limit(200_000);
/// let account = SignerData { chain_id: "gantry-1".into(), account_number: 7, sequence: 0 };
/// let bytes = tx.sign(&signer, &account); // ready for broadcast_tx_sync
/// # assert!(!bytes.is_empty());
/// # Ok(()) }
/// ```
#[derive(Clone, Debug, Default)]
pub struct TxBuilder {
    body: TxBody,
    fee: Fee,
}

impl TxBuilder {
    /// No messages, no fee, no gas.
    pub fn new() -> Self {
        Self::default()
    }

    /// Appends a message.
    #[must_use]
    pub fn message<M: Message + Name>(self, message: &M) -> Self {
        self.any(Any { type_url: format!("/{}", M::full_name()), value: message.encode_to_vec() })
    }

    /// Appends a message that is encoded already. The type URL starts with a slash.
    #[must_use]
    pub fn any(mut self, message: Any) -> Self {
        self.body.messages.push(message);
        self
    }

    /// What is paid, whatever becomes of the messages.
    #[must_use]
    pub fn fee(mut self, coins: Vec<Coin>) -> Self {
        self.fee.amount = coins;
        self
    }

    /// Most gas that may be used.
    #[must_use]
    pub fn gas_limit(mut self, gas: u64) -> Self {
        self.fee.gas_limit = gas;
        self
    }

    /// The account whose fee allowance pays (feegrant); bech32.
    #[must_use]
    pub fn fee_granter(mut self, address: &str) -> Self {
        address.clone_into(&mut self.fee.granter);
        self
    }

    /// A note of at most 256 bytes, in clear on the chain.
    #[must_use]
    pub fn memo(mut self, memo: &str) -> Self {
        memo.clone_into(&mut self.body.memo);
        self
    }

    /// Last height at which it may enter a block; 0 for no limit.
    #[must_use]
    pub fn timeout_height(mut self, height: u64) -> Self {
        self.body.timeout_height = height;
        self
    }

    /// The unsigned body, encoded.
    pub fn body_bytes(&self) -> Vec<u8> {
        self.body.encode_to_vec()
    }

    /// Fee and signer, encoded. Simulation may leave out the key.
    pub fn auth_info_bytes(&self, public_key: Option<&[u8; 33]>, sequence: u64) -> Vec<u8> {
        let public_key = public_key.map(|key| Any {
            type_url: format!("/{}", PubKey::full_name()),
            value: PubKey { key: key.to_vec() }.encode_to_vec(),
        });
        let mode = Single { mode: SignMode::Direct.into() };
        let mode_info = Some(ModeInfo { sum: Some(Sum::Single(mode)) });
        AuthInfo {
            signer_infos: vec![SignerInfo { public_key, mode_info, sequence }],
            fee: Some(self.fee.clone()),
            ..Default::default()
        }
        .encode_to_vec()
    }

    /// `TxRaw` bytes, signed: what a node's `broadcast_tx_*` takes.
    pub fn sign(&self, signer: &Signer, account: &SignerData) -> Vec<u8> {
        let body_bytes = self.body_bytes();
        let auth_info_bytes = self.auth_info_bytes(Some(signer.public_key()), account.sequence);
        let signature =
            signer.sign(&sign_bytes(&body_bytes, &auth_info_bytes, &account.chain_id, account.account_number));
        TxRaw { body_bytes, auth_info_bytes, signatures: vec![signature.to_vec()] }.encode_to_vec()
    }

    /// `TxRaw` bytes with an empty signature: what `Simulate` takes, and what `--generate-only` shows.
    pub fn simulate(&self, public_key: Option<&[u8; 33]>, sequence: u64) -> Vec<u8> {
        let (body_bytes, auth_info_bytes) = (self.body_bytes(), self.auth_info_bytes(public_key, sequence));
        TxRaw { body_bytes, auth_info_bytes, signatures: vec![Vec::new()] }.encode_to_vec()
    }
}
