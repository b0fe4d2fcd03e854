//! Who sends, and what: keys made from numbers, streams of transactions signed ahead of time.

use anyhow::{Context, Result, ensure};
use cosmos_sdk_proto::cosmos::{
    auth::v1beta1::{BaseAccount, QueryAccountRequest, QueryAccountResponse},
    bank::v1beta1::{MsgSend, QueryBalanceRequest, QueryBalanceResponse},
    base::v1beta1::Coin,
};
use gantry_keyring::{PrivateKey, Signer, SignerData, TxBuilder, address_of, encode_address};
use prost::Message;
use rayon::prelude::*;
use sha2::{Digest, Sha256};

use super::Rpc;

/// What the senders send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// `key=value` of so many bytes, as CometBFT's kvstore takes it; unsigned.
    KeyValue {
        /// Size of a transaction, in bytes.
        size: usize,
    },
    /// `MsgSend` of one base unit, under `SIGN_MODE_DIRECT`.
    Bank(Bank),
}

/// What transfers differ by from chain to chain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bank {
    /// Chain id.
    pub chain_id: String,
    /// What is sent, and what pays the fee.
    pub denom: String,
    /// Prefix of addresses.
    pub prefix: String,
    /// Fee of a transfer, in `denom`.
    pub fee: u64,
    /// Gas limit of a transfer.
    pub gas: u64,
}

/// One sender: it pays one recipient of its own.
#[derive(Clone, Debug)]
struct Sender {
    signer: Signer,
    recipient: String,
    number: u64,
    next: u64,
    /// What the recipient had when we met it.
    balance: u128,
}

/// The senders of a load, each with its next sequence.
#[derive(Clone, Debug)]
pub struct Senders {
    payload: Payload,
    all: Vec<Sender>,
}

/// Consecutive transactions of one sender.
#[derive(Clone, Debug, Default)]
pub struct Stream {
    /// Sequence of the first.
    pub first: u64,
    /// The transactions, signed.
    pub txs: Vec<Vec<u8>>,
}

impl Senders {
    /// So many senders, made from their numbers: equal wherever they are made.
    ///
    /// # Errors
    /// When the prefix is none of bech32.
    pub fn new(payload: Payload, count: usize) -> Result<Self> {
        let prefix = match &payload {
            Payload::KeyValue { .. } => "kv",
            Payload::Bank(bank) => bank.prefix.as_str(),
        };
        let make = |i| {
            let signer = Signer::new(&format!("sender{i}"), key("sender", i)?, prefix)?;
            let recipient = encode_address(prefix, &address_of(key("recipient", i)?.public_key()))?;
            Ok(Sender { signer, recipient, number: 0, next: 0, balance: 0 })
        };
        let all = (0..count).into_par_iter().map(make).collect::<Result<_>>()?;
        Ok(Self { payload, all })
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.all.is_empty()
    }

    /// Addresses to fund at genesis.
    pub fn addresses(&self) -> impl Iterator<Item = &str> {
        self.all.iter().map(|sender| sender.signer.info.address.as_str())
    }

    /// Asks the chain for the numbers and sequences of the accounts, and for what the recipients have. Not needed for
    /// [`Payload::KeyValue`], which has neither.
    ///
    /// # Errors
    /// When a sender has no account.
    pub async fn meet(&mut self, rpc: &mut Rpc) -> Result<()> {
        let Payload::Bank(bank) = &self.payload else { return Ok(()) };
        for sender in &mut self.all {
            let account = account(rpc, &sender.signer.info.address).await?;
            sender.number = account.account_number;
            sender.next = account.sequence;
            sender.balance = balance(rpc, &sender.recipient, &bank.denom).await?;
        }
        Ok(())
    }

    /// Signs each one's next transactions, `total` of all together, on all processors.
    #[must_use]
    pub fn sign(&self, total: usize) -> Vec<Stream> {
        let each = total.div_ceil(self.all.len().max(1));
        let sign = |(i, sender): (usize, &Sender)| Stream {
            first: sender.next,
            txs: (sender.next..).take(each).map(|sequence| self.one(i, sender, sequence)).collect(),
        };
        self.all.par_iter().enumerate().map(sign).collect()
    }

    fn one(&self, i: usize, sender: &Sender, sequence: u64) -> Vec<u8> {
        match &self.payload {
            Payload::KeyValue { size } => {
                let mut tx = format!("{i}-{sequence}=").into_bytes();
                tx.resize(*size, b'x');
                tx
            }
            Payload::Bank(bank) => {
                let coin = |amount: u64| Coin { denom: bank.denom.clone(), amount: amount.to_string() };
                let message = MsgSend {
                    from_address: sender.signer.info.address.clone(),
                    to_address: sender.recipient.clone(),
                    amount: vec![coin(1)],
                };
                let fee = if bank.fee == 0 { Vec::new() } else { vec![coin(bank.fee)] };
                let account = SignerData { chain_id: bank.chain_id.clone(), account_number: sender.number, sequence };
                TxBuilder::new().message(&message).fee(fee).gas_limit(bank.gas).sign(&sender.signer, &account)
            }
        }
    }

    /// Moves each sender to the sequence after its last taken transaction, and remembers what its recipient must have.
    pub fn advance(&mut self, taken: &[u64], committed: &[u64]) {
        for (sender, (taken, committed)) in self.all.iter_mut().zip(taken.iter().zip(committed)) {
            sender.next += taken;
            sender.balance += u128::from(*committed);
        }
    }

    /// Asks the application whether each recipient has what the blocks say that it got.
    ///
    /// # Errors
    /// With the first that has not.
    pub async fn check_balances(&self, rpc: &mut Rpc) -> Result<()> {
        for (i, sender) in self.all.iter().enumerate() {
            match &self.payload {
                Payload::KeyValue { size } => {
                    let Some(last) = sender.next.checked_sub(1) else { continue };
                    let key = format!("{i}-{last}");
                    let value = rpc.query("", key.as_bytes()).await?;
                    ensure!(value.len() == size - key.len() - 1, "key {key} has a value of {} bytes", value.len());
                }
                Payload::Bank(bank) => {
                    let has = balance(rpc, &sender.recipient, &bank.denom).await?;
                    let due = sender.balance;
                    ensure!(has == due, "{} has {has}{}, the blocks paid {due}", sender.recipient, bank.denom);
                }
            }
        }
        Ok(())
    }
}

/// A key made from a name and a number.
fn key(role: &str, i: usize) -> Result<PrivateKey> {
    Ok(PrivateKey::from_bytes(&Sha256::digest(format!("gantry bench {role} {i}")))?)
}

async fn account(rpc: &mut Rpc, address: &str) -> Result<BaseAccount> {
    let request = QueryAccountRequest { address: address.to_owned() };
    let answer = rpc.query("/cosmos.auth.v1beta1.Query/Account", &request.encode_to_vec()).await?;
    let any = QueryAccountResponse::decode(answer.as_slice())?.account.context("an answer without an account")?;
    Ok(BaseAccount::decode(any.value.as_slice())?)
}

async fn balance(rpc: &mut Rpc, address: &str, denom: &str) -> Result<u128> {
    let request = QueryBalanceRequest { address: address.to_owned(), denom: denom.to_owned() };
    let answer = rpc.query("/cosmos.bank.v1beta1.Query/Balance", &request.encode_to_vec()).await?;
    let coin = QueryBalanceResponse::decode(answer.as_slice())?.balance;
    Ok(coin.map_or(Ok(0), |coin| coin.amount.parse())?)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use cosmos_sdk_proto::cosmos::tx::v1beta1::{AuthInfo, TxBody, TxRaw};

    use super::*;

    fn bank() -> Payload {
        Payload::Bank(Bank { chain_id: "c-1".into(), denom: "stake".into(), prefix: "cosmos".into(), fee: 5, gas: 9 })
    }

    #[test]
    fn senders_are_equal_wherever_they_are_made() {
        let (a, b) = (Senders::new(bank(), 3).unwrap(), Senders::new(bank(), 5).unwrap());
        assert!(a.addresses().eq(b.addresses().take(3)));
        assert!(a.addresses().all(|address| address.starts_with("cosmos1")));
        assert_eq!(b.addresses().collect::<BTreeSet<_>>().len(), 5);
        assert_eq!(b.all.iter().map(|s| &s.recipient).collect::<BTreeSet<_>>().len(), 5, "each pays its own");
    }

    #[test]
    fn a_stream_has_consecutive_sequences_and_goes_on_where_it_stopped() {
        let mut senders = Senders::new(bank(), 2).unwrap();
        senders.all[1].next = 7;
        let sequences = |stream: &Stream| -> Vec<u64> {
            let one = |tx: &Vec<u8>| {
                let raw = TxRaw::decode(tx.as_slice()).unwrap();
                let body = TxBody::decode(raw.body_bytes.as_slice()).unwrap();
                assert_eq!(body.messages[0].type_url, "/cosmos.bank.v1beta1.MsgSend");
                assert_eq!(raw.signatures[0].len(), 64);
                AuthInfo::decode(raw.auth_info_bytes.as_slice()).unwrap().signer_infos[0].sequence
            };
            stream.txs.iter().map(one).collect()
        };
        let streams = senders.sign(5);
        assert_eq!((streams[0].first, streams[1].first), (0, 7));
        assert_eq!(sequences(&streams[0]), [0, 1, 2]);
        assert_eq!(sequences(&streams[1]), [7, 8, 9]);
        senders.advance(&[2, 3], &[2, 1]);
        assert_eq!(sequences(&senders.sign(2)[0]), [2]);
        assert_eq!(sequences(&senders.sign(2)[1]), [10]);
        assert_eq!(senders.all[1].balance, 1);
    }

    #[test]
    fn key_value_transactions_have_their_size_and_differ() {
        let streams = Senders::new(Payload::KeyValue { size: 320 }, 3).unwrap().sign(9);
        let all: BTreeSet<&[u8]> = streams.iter().flat_map(|s| &s.txs).map(Vec::as_slice).collect();
        assert_eq!(all.len(), 9);
        assert!(all.iter().all(|tx| tx.len() == 320 && tx.iter().filter(|b| **b == b'=').count() == 1));
    }
}
