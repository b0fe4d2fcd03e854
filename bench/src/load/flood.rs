//! Posts streams of transactions until they are executed.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use bytes::Bytes;
use futures::{StreamExt, stream::FuturesUnordered};
use serde_json::json;
use tokio::time::{Instant, sleep};

use super::{
    Rpc, Stream,
    answer::{self, Verdict},
    gate::Gate,
    rpc::integer,
};

/// How often the application is asked for its height.
const WATCH: Duration = Duration::from_millis(20);
/// Pause before what was not taken is posted again.
const PAUSE: Duration = Duration::from_millis(50);
/// Posts in a row of one stream that may bring nothing.
const PATIENCE: u32 = 400;
/// Longest wait for blocks after the last post.
const DRAIN: Duration = Duration::from_secs(120);

/// How transactions are posted.
#[derive(Clone, Debug, PartialEq)]
pub struct FloodOptions {
    /// RPC addresses of the nodes, `HOST:PORT`. All of a stream go to one of them.
    pub nodes: Vec<String>,
    /// Keep-alive connections over all nodes; never more than there are streams.
    pub connections: usize,
    /// Transactions of one post, all of one sender.
    pub batch: usize,
    /// Transactions a second; `None` posts as fast as they are taken.
    pub rate: Option<f64>,
    /// Most transactions posted and not executed.
    pub outstanding: usize,
    /// When to stop posting, even if transactions are left.
    pub duration: Duration,
}

/// A block that was executed while posting went on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Seen {
    /// Its height.
    pub height: u64,
    /// Its transactions.
    pub txs: u64,
    /// Time since the first post at which the application was seen to have committed it.
    pub at: Duration,
}

/// What posting came to.
#[derive(Clone, Debug, Default)]
pub struct Flood {
    /// Blocks executed since the first post.
    pub blocks: Vec<Seen>,
    /// For each stream, when each transaction was posted first, since the first post; those beyond were not posted.
    pub posted: Vec<Vec<Duration>>,
    /// Posts that had to be repeated, in part or whole.
    pub repeated: u64,
}

/// Posts the streams; returns when all that was taken is executed, or when the nodes hold nothing of it any more.
///
/// # Errors
/// When a node refuses a transaction for another reason than a full mempool or its sequence, or stops making blocks.
pub async fn flood(streams: &[Stream], options: &FloodOptions) -> Result<Flood> {
    ensure!(!options.nodes.is_empty() && options.batch > 0 && !streams.is_empty(), "nothing to post, or nowhere");
    let connections = options.connections.clamp(1, streams.len());
    let mut lines = Vec::with_capacity(connections);
    for c in 0..connections {
        let address = options.nodes[c % options.nodes.len()].clone();
        let mine = (c..streams.len()).step_by(connections).map(|i| (i, Outgoing::new(&streams[i])));
        let rpc = Rpc::connect(&address).await?;
        lines.push(Line { address, rpc, batch: options.batch, streams: mine.collect(), repeated: 0 });
    }
    let mut watcher = Watcher::new(options).await?;

    let start = Instant::now();
    let gate = Gate::new(start, options.duration, options.rate, options.outstanding);
    let mut posting: FuturesUnordered<_> = lines.into_iter().map(|line| line.run(&gate, start)).collect();
    let mut flood = Flood { posted: vec![Vec::new(); streams.len()], ..Flood::default() };
    let mut taken = 0;
    let mut tick = tokio::time::interval(WATCH);
    while !posting.is_empty() {
        tokio::select! {
            Some(line) = posting.next() => {
                let line = line?;
                flood.repeated += line.repeated;
                for (i, stream) in line.streams {
                    taken += stream.posted.len() as u64;
                    flood.posted[i] = stream.posted;
                }
            }
            _ = tick.tick() => watcher.look(&gate, start).await?,
        }
    }
    watcher.drain(&gate, start, taken).await?;
    flood.blocks = watcher.blocks;
    Ok(flood)
}

/// What is left of a stream.
struct Outgoing<'a> {
    stream: &'a Stream,
    next: usize,
    posted: Vec<Duration>,
}

impl<'a> Outgoing<'a> {
    fn new(stream: &'a Stream) -> Self {
        Self { stream, next: 0, posted: Vec::new() }
    }

    /// The body of a post of the transactions up to `until`.
    fn body(&self, until: usize) -> Bytes {
        let call = |tx: &Vec<u8>| {
            let tx = BASE64_STANDARD.encode(tx);
            format!(r#"{{"jsonrpc":"2.0","id":1,"method":"broadcast_tx_sync","params":{{"tx":"{tx}"}}}}"#)
        };
        let calls: Vec<String> = self.stream.txs[self.next..until].iter().map(call).collect();
        format!("[{}]", calls.join(",")).into()
    }

    /// Where the next post of so many ends.
    fn until(&self, batch: usize) -> usize {
        (self.next + batch).min(self.stream.txs.len())
    }

    fn done(&self) -> bool {
        self.next == self.stream.txs.len()
    }
}

/// One connection and the streams that go over it, in turn.
struct Line<'a> {
    address: String,
    rpc: Rpc,
    batch: usize,
    streams: Vec<(usize, Outgoing<'a>)>,
    repeated: u64,
}

impl Line<'_> {
    async fn run(mut self, gate: &Gate, start: Instant) -> Result<Self> {
        loop {
            let mut idle = true;
            for at in 0..self.streams.len() {
                if !self.streams[at].1.done() {
                    idle = false;
                    let stream = &self.streams[at].1;
                    let until = stream.until(self.batch);
                    if !gate.pass(u32::try_from(until - stream.next)?).await {
                        return Ok(self);
                    }
                    self.post(at, until, gate, start).await?;
                }
            }
            if idle {
                return Ok(self);
            }
        }
    }

    /// Posts the transactions of a stream up to `until` until they are taken.
    async fn post(&mut self, at: usize, until: usize, gate: &Gate, start: Instant) -> Result<()> {
        let stream = &mut self.streams[at].1;
        let mut body = stream.body(until);
        let now = start.elapsed();
        stream.posted.extend((stream.posted.len()..until).map(|_| now));
        for _ in 0..PATIENCE {
            let verdict = match self.rpc.post(body.clone()).await {
                Ok(answer) => answer::read(&answer, until - stream.next).map_err(|said| anyhow!(said))?,
                Err(_) => {
                    // Whether they were taken is unknown; the node says so when it meets them again.
                    self.rpc = Rpc::connect(&self.address).await?;
                    Verdict::Again { from: 0 }
                }
            };
            match verdict {
                Verdict::All => {
                    stream.next = until;
                    return Ok(());
                }
                Verdict::Again { from } => stream.next += from,
                Verdict::Sequence(sequence) => {
                    let next = sequence.checked_sub(stream.stream.first).and_then(|n| usize::try_from(n).ok());
                    stream.next = next.filter(|n| *n <= until).with_context(|| format!("sequence {sequence}"))?;
                    if stream.next == until {
                        return Ok(());
                    }
                }
            }
            self.repeated += 1;
            if gate.closed() {
                // What is not taken now is not posted.
                stream.posted.truncate(stream.next);
                return Ok(());
            }
            sleep(PAUSE).await;
            body = stream.body(until);
        }
        bail!("{} takes nothing more of a sender", self.address)
    }
}

/// Follows the application's height at the first node.
struct Watcher {
    rpcs: Vec<Rpc>,
    height: u64,
    blocks: Vec<Seen>,
    executed: u64,
}

impl Watcher {
    async fn new(options: &FloodOptions) -> Result<Self> {
        let mut rpcs = Vec::new();
        for address in &options.nodes {
            rpcs.push(Rpc::connect(address).await?);
        }
        let height = rpcs[0].height().await?;
        Ok(Self { rpcs, height, blocks: Vec::new(), executed: 0 })
    }

    async fn look(&mut self, gate: &Gate, start: Instant) -> Result<()> {
        let now = self.rpcs[0].height().await?;
        let at = start.elapsed();
        while self.height < now {
            self.height += 1;
            let range = json!({"minHeight": self.height.to_string(), "maxHeight": self.height.to_string()});
            let metas = self.rpcs[0].call("blockchain", range).await?;
            let txs = integer(&metas["block_metas"][0]["num_txs"]).context("num_txs of a block")?;
            gate.executed(txs);
            self.executed += txs;
            self.blocks.push(Seen { height: self.height, txs, at });
        }
        Ok(())
    }

    /// Until all that was taken is executed, or the mempools are empty and two more blocks brought nothing.
    async fn drain(&mut self, gate: &Gate, start: Instant, taken: u64) -> Result<()> {
        let deadline = Instant::now() + DRAIN;
        let mut empty_since = None;
        while self.executed < taken {
            ensure!(Instant::now() < deadline, "{} of {taken} transactions are executed", self.executed);
            sleep(WATCH).await;
            let before = self.executed;
            self.look(gate, start).await?;
            if self.executed > before {
                empty_since = None;
            } else if empty_since.is_none_or(|height| self.height >= height + 2) {
                let mut waiting = 0;
                for rpc in &mut self.rpcs {
                    waiting += rpc.waiting().await?;
                }
                match empty_since {
                    _ if waiting > 0 => empty_since = None,
                    Some(_) => return Ok(()),
                    None => empty_since = Some(self.height),
                }
            }
        }
        Ok(())
    }
}
