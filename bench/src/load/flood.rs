//! Posts streams of transactions until they are executed.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, ensure};
use base64::{Engine, prelude::BASE64_STANDARD};
use futures::{StreamExt, stream::FuturesUnordered};
use tokio::time::{Instant, sleep};

use super::{
    Rpc, Stream,
    answer::{self, Verdict},
    gate::Gate,
};

/// How often the application is asked for its height.
const WATCH: Duration = Duration::from_millis(20);
/// Pause before what was not taken is posted again.
const PAUSE: Duration = Duration::from_millis(50);
/// Posts in a row of one connection that may have to be repeated.
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
    /// Transactions of one post.
    pub batch: usize,
    /// Whether those are of as many senders, and not of one. Between nodes, transactions of one sender that follow each
    /// other closely may change places: CometBFT adds them to a mempool after it has let go of the application.
    pub spread: bool,
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
    // A post is full: of one sender's transactions, or of one of each of several senders.
    let (of_one, connections) = if options.spread {
        (1, options.connections.min(streams.len() / options.batch).max(1))
    } else {
        (options.batch, options.connections.clamp(1, streams.len()))
    };
    let mut lines = Vec::with_capacity(connections);
    for c in 0..connections {
        let rpc = Rpc::connect(&options.nodes[c % options.nodes.len()]).await?;
        let own = (c..streams.len()).step_by(connections);
        let streams = own.map(|i| (i, Outgoing { stream: &streams[i], next: 0, posted: Vec::new() })).collect();
        lines.push(Line { rpc, batch: options.batch, of_one, streams, turn: 0, repeated: 0 });
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
                    // What was posted and not taken when time was over may still have been.
                    taken += stream.next as u64;
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
    /// When each was posted first.
    posted: Vec<Duration>,
}

impl Outgoing<'_> {
    fn left(&self) -> usize {
        self.stream.txs.len() - self.next
    }

    /// Takes in what became of the transaction at `index`.
    fn heed(&mut self, index: usize, verdict: Verdict) -> Result<()> {
        match verdict {
            Verdict::Taken => self.next = self.next.max(index + 1),
            Verdict::Again => self.next = self.next.min(index),
            Verdict::Sequence(sequence) => {
                let next = sequence.checked_sub(self.stream.first).and_then(|next| usize::try_from(next).ok());
                let next = next.filter(|next| *next <= self.posted.len());
                self.next =
                    next.with_context(|| format!("the account is at sequence {sequence}, which we never sent"))?;
            }
        }
        Ok(())
    }
}

/// One connection and the streams that go over it, in turn.
struct Line<'a> {
    rpc: Rpc,
    batch: usize,
    /// Transactions of one stream in one post.
    of_one: usize,
    streams: Vec<(usize, Outgoing<'a>)>,
    turn: usize,
    repeated: u64,
}

impl Line<'_> {
    async fn run(mut self, gate: &Gate, start: Instant) -> Result<Self> {
        let mut in_vain = 0;
        loop {
            let post = self.next_post();
            if post.is_empty() {
                return Ok(self);
            }
            let new = post.iter().filter(|(s, i)| *i >= self.streams[*s].1.posted.len()).count();
            if !gate.pass(u32::try_from(new)?).await {
                return Ok(self);
            }
            if self.post(&post, start).await? {
                in_vain = 0;
            } else {
                in_vain += 1;
                self.repeated += 1;
                ensure!(in_vain < PATIENCE, "the node takes nothing more of a sender");
                if gate.closed() {
                    return Ok(self);
                }
                sleep(PAUSE).await;
            }
        }
    }

    /// The next transactions, by stream and index: the next ones of the next streams that have any.
    fn next_post(&mut self) -> Vec<(usize, usize)> {
        let mut post = Vec::with_capacity(self.batch);
        for _ in 0..self.streams.len() {
            let stream = &self.streams[self.turn].1;
            let count = stream.left().min(self.of_one).min(self.batch - post.len());
            post.extend((stream.next..stream.next + count).map(|index| (self.turn, index)));
            self.turn = (self.turn + 1) % self.streams.len();
            if post.len() == self.batch {
                break;
            }
        }
        post
    }

    /// Posts transactions; false when some of them must be posted again.
    async fn post(&mut self, post: &[(usize, usize)], start: Instant) -> Result<bool> {
        let now = start.elapsed();
        let mut calls = Vec::with_capacity(post.len());
        for (s, index) in post {
            let stream = &mut self.streams[*s].1;
            if *index >= stream.posted.len() {
                stream.posted.push(now);
            }
            let tx = BASE64_STANDARD.encode(&stream.stream.txs[*index]);
            calls.push(format!(r#"{{"jsonrpc":"2.0","id":1,"method":"broadcast_tx_sync","params":{{"tx":"{tx}"}}}}"#));
        }
        let verdicts = match self.rpc.post(format!("[{}]", calls.join(",")).into()).await {
            Ok(answer) => answer::read(&answer, post.len()).map_err(|said| anyhow!(said))?,
            // Whether they were taken is unknown; the node says so when it meets them again.
            Err(_) => vec![Verdict::Again; post.len()],
        };
        for ((s, index), verdict) in post.iter().zip(&verdicts) {
            self.streams[*s].1.heed(*index, *verdict)?;
        }
        Ok(verdicts.iter().all(|verdict| *verdict == Verdict::Taken))
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
            let txs = self.rpcs[0].txs_of(self.height).await?;
            gate.executed(txs);
            self.executed += txs;
            self.blocks.push(Seen { height: self.height, txs, at });
        }
        Ok(())
    }

    /// Until the mempools are empty, and all that was taken is executed or two more blocks brought nothing.
    async fn drain(&mut self, gate: &Gate, start: Instant, taken: u64) -> Result<()> {
        let deadline = Instant::now() + DRAIN;
        let mut empty_since = None;
        loop {
            let before = self.executed;
            self.look(gate, start).await?;
            let mut waiting = 0;
            for rpc in &mut self.rpcs {
                waiting += rpc.waiting().await?;
            }
            if waiting > 0 || self.executed > before {
                empty_since = None;
            } else if self.executed >= taken || empty_since.is_some_and(|height| self.height >= height + 2) {
                return Ok(());
            } else {
                empty_since.get_or_insert(self.height);
            }
            ensure!(Instant::now() < deadline, "{} of {taken} transactions are executed", self.executed);
            sleep(WATCH).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stream_goes_on_where_the_node_says() {
        let stream = Stream { first: 10, txs: vec![Vec::new(); 8] };
        let mut out = Outgoing { stream: &stream, next: 0, posted: vec![Duration::ZERO; 5] };
        for (index, verdict) in [Verdict::Taken, Verdict::Taken, Verdict::Again, Verdict::Taken].into_iter().enumerate()
        {
            out.heed(index, verdict).unwrap();
        }
        assert_eq!(out.next, 4, "one that was taken ends the doubt about those before it");
        out.heed(4, Verdict::Sequence(12)).unwrap();
        assert_eq!(out.next, 2, "what was dropped is posted again");
        out.heed(2, Verdict::Sequence(15)).unwrap();
        assert_eq!((out.next, out.left()), (5, 3), "what was taken is not");
        assert!(out.heed(5, Verdict::Sequence(9)).is_err(), "before the stream");
        assert!(out.heed(5, Verdict::Sequence(16)).is_err(), "after what was posted");
    }
}
