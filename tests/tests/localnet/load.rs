//! Load on a network that is being broken, and the account of it: every transaction is followed until it is in a block,
//! handed in again by the rule that clients live by, and must end there exactly once.
//!
//! The rule: a code 0 of `broadcast_tx_sync` is no promise (a full mempool drops, a mempool dies with its node), an error is
//! no refusal (the answer may be what was lost), and one sender's transactions go to one node in order. So a sender that
//! sees no progress hands in all it has open, from the oldest, to another node. The sequence makes that safe.

use std::{
    collections::BTreeMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use cosmos_sdk_proto::cosmos::bank::v1beta1::QueryTotalSupplyRequest;
use gantry_client::Chain;
use gantry_core::Address;
use gantry_keyring::{PrivateKey, Signer, SignerData};
use gantry_localnet::Node;
use sha2::{Digest, Sha256};
use tendermint_rpc::{Client, HttpClient};
use tokio::{sync::watch, task::JoinSet};

use gantry_tests::tx::{FEE, base_account, paid, send};

/// Money of each sender at genesis.
pub(crate) const COINS: u128 = 1_000_000_000;
/// A sender without progress for this long hands in again, elsewhere.
const EXPIRY: Duration = Duration::from_secs(5);
/// Between questions for the next block.
const POLL: Duration = Duration::from_millis(50);
/// Between tries at a mempool that is full or a node that is gone.
const RETRY: Duration = Duration::from_millis(300);

/// A key that sends, and the address that it alone sends to.
#[derive(Debug)]
pub(crate) struct Party {
    signer: Signer,
    friend: String,
}

/// Senders to fund with [`COINS`] at genesis.
pub(crate) fn parties(count: usize) -> Result<Vec<Party>> {
    let party = |i: usize| {
        let key = PrivateKey::from_bytes(&Sha256::digest(format!("sender {i}")))?;
        let friend = Address::new(Sha256::digest(format!("friend {i}"))[..20].to_vec())?.to_string();
        Ok(Party { signer: Signer::new(&format!("sender-{i}"), key, gantry_keyring::ACCOUNT_PREFIX)?, friend })
    };
    (0..count).map(party).collect()
}

impl Party {
    /// Bech32 address of the sender.
    #[must_use]
    pub(crate) fn address(&self) -> &str {
        &self.signer.info.address
    }
}

/// A transaction's place: whose, and its sequence.
type Place = (usize, u64);

/// What the blocks say.
#[derive(Debug, Default)]
struct Book {
    /// By hash, of everything that was signed.
    signed: BTreeMap<[u8; 32], (Place, Instant)>,
    /// Sequence of each sender after the last block.
    sequences: Vec<u64>,
    /// From signing to the sight of the block.
    latencies: Vec<Duration>,
    /// Broken promises: in a block twice, or before one of a lower sequence.
    wrong: Vec<String>,
    /// Time of each block in nanoseconds, and the bytes of its transactions.
    blocks: Vec<(i128, usize)>,
    again: u64,
    full: u64,
}

/// A stream of transfers to the validators of a network.
#[derive(Debug)]
pub(crate) struct Load {
    book: Arc<Mutex<Book>>,
    parties: Arc<Vec<Party>>,
    window: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    senders: JoinSet<Result<()>>,
    follower: tokio::task::JoinHandle<()>,
}

/// What became of it.
#[derive(Clone, Debug)]
pub(crate) struct Report {
    /// Transactions, each in exactly one block.
    pub(crate) committed: u64,
    /// Handed in more than once.
    pub(crate) again: u64,
    /// Refused by a full mempool, and tried again.
    pub(crate) full: u64,
    /// Blocks seen.
    pub(crate) blocks: usize,
    /// Bytes of transactions in the largest.
    pub(crate) largest: usize,
    /// From one block's time to the next: sorted.
    pub(crate) intervals: Vec<Duration>,
    /// From signing to the sight of the block: sorted.
    pub(crate) latencies: Vec<Duration>,
}

impl Report {
    /// A quantile of sorted durations, in milliseconds.
    #[must_use]
    pub(crate) fn quantile(sorted: &[Duration], percent: usize) -> u128 {
        let last = sorted.len().saturating_sub(1);
        sorted.get(last * percent / 100).map_or(0, Duration::as_millis)
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let line = |sorted: &[Duration]| [50, 99].map(|percent| Report::quantile(sorted, percent));
        let ([block, block_99], [wait, wait_99]) = (line(&self.intervals), line(&self.latencies));
        write!(
            f,
            "{} transactions in {} blocks of up to {} kB; {} handed in again, {} refused by a full mempool at first; \
             block interval {block} ms (p99 {block_99}), from signing to block {wait} ms (p99 {wait_99})",
            self.committed,
            self.blocks,
            self.largest / 1000,
            self.again,
            self.full
        )
    }
}

impl Load {
    /// Starts sending through `nodes`: each sender keeps `window` transactions of as many `messages` open. There is gas
    /// for one: those of more pay for their bytes, and fail.
    pub(crate) async fn start(nodes: &[Node], parties: Vec<Party>, window: usize, messages: usize) -> Result<Self> {
        let chain = nodes.first().context("no nodes")?.chain().await?;
        let rpcs: Arc<[HttpClient]> = nodes.iter().map(|node| node.rpc().clone()).collect();
        let from = nodes[0].height().await?;
        let book = Arc::new(Mutex::new(Book { sequences: vec![0; parties.len()], ..Book::default() }));
        let (window, stop) = (Arc::new(AtomicUsize::new(window)), Arc::new(AtomicBool::new(false)));
        let (tell, told) = watch::channel(());
        let follower = tokio::spawn(follow(Arc::clone(&book), Arc::clone(&rpcs), from, tell));
        let parties = Arc::new(parties);
        let mut senders = JoinSet::new();
        for i in 0..parties.len() {
            let number = base_account(&chain, parties[i].address()).await?.account_number;
            let sender = Sending {
                i,
                parties: Arc::clone(&parties),
                data: SignerData { chain_id: chain.chain_id().into(), account_number: number, sequence: 0 },
                rpcs: Arc::clone(&rpcs),
                book: Arc::clone(&book),
                window: Arc::clone(&window),
                stop: Arc::clone(&stop),
                messages,
                open: Vec::new(),
                handed_in: 0,
            };
            senders.spawn(sender.run(told.clone()));
        }
        Ok(Self { book, parties, window, stop, senders, follower })
    }

    /// How many transactions each sender keeps open from now on.
    pub(crate) fn set_window(&self, window: usize) {
        self.window.store(window, Ordering::Relaxed);
    }

    /// Transactions in blocks so far.
    #[must_use]
    pub(crate) fn committed(&self) -> u64 {
        lock(&self.book).sequences.iter().sum()
    }

    /// Times that a full mempool refused.
    #[must_use]
    pub(crate) fn refused(&self) -> u64 {
        lock(&self.book).full
    }

    /// Signs no more, hands in what is open until all of it is in blocks, and checks that it is there once. Then the
    /// network is at rest; the parties come back for [`settled`].
    ///
    /// # Errors
    /// When a transaction did not come into a block within `limit`, or one came twice or too early.
    pub(crate) async fn finish(mut self, limit: Duration) -> Result<(Report, Arc<Vec<Party>>)> {
        self.stop.store(true, Ordering::Relaxed);
        let drained = tokio::time::timeout(limit, async {
            while let Some(ended) = self.senders.join_next().await {
                ended??;
            }
            anyhow::Ok(())
        });
        let drained = drained.await;
        self.follower.abort();
        let book = std::mem::take(&mut *lock(&self.book));
        let committed = book.sequences.iter().sum();
        match drained {
            Ok(ended) => ended?,
            Err(_) => anyhow::bail!(
                "lost: {} of {} transactions are in no block {} s after the end of the load",
                book.signed.len() as u64 - committed,
                book.signed.len(),
                limit.as_secs()
            ),
        }
        ensure!(
            book.wrong.is_empty(),
            "{} wrong blocks: {:?}",
            book.wrong.len(),
            &book.wrong[..book.wrong.len().min(5)]
        );
        ensure!(book.signed.len() as u64 == committed, "{} signed, {committed} in blocks", book.signed.len());
        let gap =
            |pair: &[(i128, usize)]| Duration::from_nanos(u64::try_from(pair[1].0 - pair[0].0).unwrap_or_default());
        let mut intervals: Vec<Duration> = book.blocks.windows(2).map(gap).collect();
        intervals.sort_unstable();
        let mut latencies = book.latencies;
        latencies.sort_unstable();
        let report = Report {
            committed,
            again: book.again,
            full: book.full,
            blocks: book.blocks.len(),
            largest: book.blocks.iter().map(|(_, bytes)| *bytes).max().unwrap_or_default(),
            intervals,
            latencies,
        };
        Ok((report, self.parties))
    }
}

/// Checks one node's state after [`Load::finish`]: every transfer moved one coin and paid one fee, none did so twice, and
/// the supply is what genesis made. Returns the number of transfers.
pub(crate) async fn settled(chain: &Chain, parties: &[Party], supply: u128) -> Result<u64> {
    let mut sum: u64 = 0;
    for party in parties {
        let sent = base_account(chain, party.address()).await?.sequence;
        let has = chain.balance(party.address(), "ugantry").await?;
        let friend = chain.balance(&party.friend, "ugantry").await?;
        let right = friend == u128::from(sent) && has == COINS - u128::from(sent) * (1 + FEE);
        ensure!(right, "{}: {sent} sent, and yet it has {has} and its friend {friend}", party.address());
        sum += sent;
    }
    let fees = chain.balance(&Address::module("fee_collector").to_string(), "ugantry").await?;
    ensure!(fees == u128::from(sum) * FEE, "{sum} fees are {fees}");
    let total = chain.bank().total_supply(QueryTotalSupplyRequest::default()).await?.into_inner().supply;
    let total = total.iter().find(|coin| coin.denom == "ugantry").context("no supply")?.amount.parse::<u128>()?;
    ensure!(total == supply, "genesis made {supply}, and now there are {total}");
    Ok(sum)
}

fn lock(book: &Mutex<Book>) -> MutexGuard<'_, Book> {
    book.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads block after block from whichever node answers, and tells those who wait.
async fn follow(book: Arc<Mutex<Book>>, rpcs: Arc<[HttpClient]>, from: u64, tell: watch::Sender<()>) {
    let mut node = 0;
    let mut height = from + 1;
    loop {
        let asked = u32::try_from(height).expect("heights of tests are small");
        match rpcs[node % rpcs.len()].block(asked).await {
            Ok(answer) => {
                let block = answer.block;
                enter(&mut lock(&book), height, block.header.time.unix_timestamp_nanos(), &block.data);
                height += 1;
                // Nobody waits when all have ended.
                let _ = tell.send(());
            }
            // Not there yet: which also says a node that is behind or cut off, so the next one is asked.
            Err(_) => {
                node += 1;
                tokio::time::sleep(POLL).await;
            }
        }
    }
}

fn enter(book: &mut Book, height: u64, time: i128, txs: &[Vec<u8>]) {
    let now = Instant::now();
    book.blocks.push((time, txs.iter().map(Vec::len).sum()));
    for tx in txs {
        let hash: [u8; 32] = Sha256::digest(tx).into();
        let Some(((i, sequence), since)) = book.signed.get(&hash).copied() else { continue };
        let next = book.sequences[i];
        if sequence == next {
            book.sequences[i] += 1;
            book.latencies.push(now - since);
        } else {
            book.wrong.push(format!("height {height}: sender {i} is at {next}, its {sequence} is there"));
        }
    }
}

/// What a node said of a transaction.
enum Answer {
    /// It has it.
    Taken,
    /// It has no room.
    Full,
    /// It refuses it now: one before it is missing there, or it is in a block by now.
    Refused,
    /// Nobody knows.
    None,
}

async fn hand_in(rpc: &HttpClient, tx: &[u8]) -> Answer {
    match rpc.broadcast_tx_sync(tx).await {
        Ok(answer) if answer.code.is_ok() => Answer::Taken,
        Ok(answer) if answer.code.value() == 20 => Answer::Full,
        Ok(_) => Answer::Refused,
        Err(error) => match error.to_string() {
            text if text.contains("already exists in cache") => Answer::Taken,
            text if text.contains("mempool is full") => Answer::Full,
            _ => Answer::None,
        },
    }
}

/// One sender at work.
struct Sending {
    i: usize,
    parties: Arc<Vec<Party>>,
    data: SignerData,
    rpcs: Arc<[HttpClient]>,
    book: Arc<Mutex<Book>>,
    window: Arc<AtomicUsize>,
    stop: Arc<AtomicBool>,
    messages: usize,
    /// Signed and in no block yet, in order of sequence.
    open: Vec<Vec<u8>>,
    /// How many of those the node has been given.
    handed_in: usize,
}

impl Sending {
    async fn run(mut self, mut told: watch::Receiver<()>) -> Result<()> {
        let mut node = self.i;
        let mut progress = Instant::now();
        loop {
            let gone = self.settle();
            if gone > 0 {
                progress = Instant::now();
            }
            if self.stop.load(Ordering::Relaxed) && self.open.is_empty() {
                return Ok(());
            }
            if progress.elapsed() > EXPIRY {
                lock(&self.book).again += self.handed_in as u64;
                (node, self.handed_in, progress) = (node + 1, 0, Instant::now());
            }
            self.sign();
            while let Some(tx) = self.open.get(self.handed_in) {
                match hand_in(&self.rpcs[node % self.rpcs.len()], tx).await {
                    Answer::Taken => self.handed_in += 1,
                    Answer::Full => {
                        lock(&self.book).full += 1;
                        break;
                    }
                    Answer::Refused => break,
                    Answer::None => {
                        node += 1;
                        self.handed_in = 0;
                        break;
                    }
                }
            }
            // A block, or time to try again.
            let _ = tokio::time::timeout(RETRY, told.changed()).await;
        }
    }

    /// Drops what is in blocks; how many those are.
    fn settle(&mut self) -> usize {
        let on_chain = lock(&self.book).sequences[self.i];
        let oldest = self.data.sequence - self.open.len() as u64;
        let gone = usize::try_from(on_chain - oldest).unwrap_or(0).min(self.open.len());
        self.open.drain(..gone);
        self.handed_in = self.handed_in.saturating_sub(gone);
        gone
    }

    /// Signs as many as the window has room for.
    fn sign(&mut self) {
        let party = &self.parties[self.i];
        while !self.stop.load(Ordering::Relaxed) && self.open.len() < self.window.load(Ordering::Relaxed) {
            let transfer = send(party.address(), &party.friend, 1);
            let tx = (0..self.messages).fold(paid(), |tx, _| tx.message(&transfer)).sign(&party.signer, &self.data);
            let place = (self.i, self.data.sequence);
            lock(&self.book).signed.insert(Sha256::digest(&tx).into(), (place, Instant::now()));
            self.open.push(tx);
            self.data.sequence += 1;
        }
    }
}
