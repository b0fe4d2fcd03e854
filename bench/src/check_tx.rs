//! CheckTx over a Unix socket, as CometBFT asks it: one at a time, many in flight, and again after a block.

use std::{
    io::{BufReader, BufWriter, Read, Write},
    os::unix::net::UnixStream,
    path::PathBuf,
    thread,
    time::{Duration, Instant},
};

use anyhow::{Context, Result, bail, ensure};
use bytes::Bytes;
use gantry_abci::{
    AbciApp,
    server::{Address, Server},
};
use gantry_bench::Measurement;
use prost::{Message, encoding::decode_varint};
use tendermint_proto::v0_38::abci::{
    Request, RequestCheckTx, RequestFlush, Response, ResponseCheckTx, request::Value as Ask, response::Value as Answer,
};

use crate::chain::{Chain, cpu_time};

/// Flags of `check-tx`.
#[derive(Clone, Debug, clap::Args)]
pub(crate) struct Args {
    /// Accounts of the state
    #[arg(long, default_value_t = 10_000)]
    accounts: u64,
    /// Accounts that send
    #[arg(long, default_value_t = 2_000)]
    senders: u64,
    /// Transactions of each measurement
    #[arg(long, default_value_t = 5_000)]
    txs: usize,
    /// Times each measurement is taken
    #[arg(long, default_value_t = 3)]
    rounds: u32,
    /// Where the state is kept for the next run; a temporary folder otherwise
    #[arg(long)]
    keep: Option<PathBuf>,
}

/// Measures each way to ask.
pub(crate) fn run(args: Args) -> Result<()> {
    let temporary = tempfile::tempdir()?;
    let home = args.keep.as_deref().unwrap_or(temporary.path()).join(format!("accounts-{}", args.accounts));
    let mut chain = Chain::open(&home, args.accounts, args.senders.min(args.accounts))?;
    let first = chain.transfers(args.senders.try_into()?);
    chain.finalize(first)?;
    chain.commit()?;

    let address = Address::Unix(temporary.path().join("abci.sock"));
    let app = AbciApp::new(chain.queries.clone(), |_| {});
    let server = Server::start(&address, app)?;
    let Address::Unix(path) = server.address() else { bail!("not a Unix socket") };
    let mut client = Client::connect(path)?;
    for _ in 0..args.rounds {
        round(args.txs, &mut chain, &mut client)?;
    }
    drop(client);
    server.stop();
    Ok(())
}

fn round(count: usize, chain: &mut Chain, client: &mut Client) -> Result<()> {
    let (accounts, senders) = (chain.accounts(), chain.senders());
    let report = |name: &str, unit: &str, value: f64| {
        let figure = Measurement::new(name, unit, value).with("accounts", accounts);
        figure.with("senders", senders).with("txs", count).print()
    };
    let each = |time: Duration| time.as_secs_f64() * 1e6 / count as f64;

    // One at a time: what `broadcast_tx_sync` waits for.
    let mut times = Vec::with_capacity(count);
    let singles = chain.transfers(count);
    let cpu = cpu_time();
    for tx in &singles {
        let start = Instant::now();
        client.check_one(tx)?;
        times.push(start.elapsed());
    }
    let cpu = cpu_time() - cpu;
    times.sort_unstable();
    report("check_tx.alone.mean", "us", each(times.iter().sum()))?;
    report("check_tx.alone.p99", "us", times[times.len() * 99 / 100].as_secs_f64() * 1e6)?;
    report("check_tx.alone.cpu", "us", each(cpu))?;

    // In flight together, as under a flood. The CPU time of the client is in the figure.
    let many = chain.transfers(count);
    let (start, cpu) = (Instant::now(), cpu_time());
    client.check(&many, false)?;
    report("check_tx.pipelined.mean", "us", each(start.elapsed()))?;
    report("check_tx.pipelined.cpu", "us", each(cpu_time() - cpu))?;

    // After a block of the first half, the second is checked again.
    chain.finalize(singles)?;
    chain.commit()?;
    let (start, cpu) = (Instant::now(), cpu_time());
    client.check(&many, true)?;
    report("check_tx.recheck.all", "ms", start.elapsed().as_secs_f64() * 1e3)?;
    report("check_tx.recheck.cpu", "us", each(cpu_time() - cpu))?;

    chain.finalize(many)?;
    chain.commit()
}

/// CometBFT's side of the socket: writes without waiting, and a Flush at the end.
struct Client {
    reader: BufReader<UnixStream>,
    writer: BufWriter<UnixStream>,
}

impl Client {
    fn connect(path: &std::path::Path) -> Result<Self> {
        let stream = UnixStream::connect(path)?;
        Ok(Self { reader: BufReader::new(stream.try_clone()?), writer: BufWriter::new(stream) })
    }

    /// Asks for one, and waits.
    fn check_one(&mut self, tx: &Bytes) -> Result<()> {
        ask(&mut self.writer, std::slice::from_ref(tx), false)?;
        answered(&mut self.reader, 1)
    }

    /// Asks for all of them, then for a Flush, and reads meanwhile.
    fn check(&mut self, txs: &[Bytes], again: bool) -> Result<()> {
        let Self { reader, writer } = self;
        thread::scope(|scope| {
            let asked = scope.spawn(move || ask(writer, txs, again));
            answered(reader, txs.len())?;
            asked.join().map_err(|_| anyhow::anyhow!("the writer panicked"))?
        })
    }
}

fn ask(writer: &mut impl Write, txs: &[Bytes], again: bool) -> Result<()> {
    for tx in txs {
        let ask = Ask::CheckTx(RequestCheckTx { tx: tx.clone(), r#type: i32::from(again) });
        writer.write_all(&Request { value: Some(ask) }.encode_length_delimited_to_vec())?;
    }
    let flush = Request { value: Some(Ask::Flush(RequestFlush {})) };
    writer.write_all(&flush.encode_length_delimited_to_vec())?;
    Ok(writer.flush()?)
}

/// Reads so many answers, every one of which must be code 0, and that to the Flush.
fn answered(reader: &mut BufReader<UnixStream>, count: usize) -> Result<()> {
    for _ in 0..count {
        let Some(Answer::CheckTx(ResponseCheckTx { code, log, .. })) = read(reader)? else {
            bail!("not an answer to CheckTx")
        };
        ensure!(code == 0, "CheckTx: {log}");
    }
    ensure!(matches!(read(reader)?, Some(Answer::Flush(_))), "not an answer to Flush");
    Ok(())
}

fn read(reader: &mut BufReader<UnixStream>) -> Result<Option<Answer>> {
    let mut prefix = Vec::with_capacity(5);
    loop {
        let mut byte = [0];
        reader.read_exact(&mut byte)?;
        prefix.push(byte[0]);
        if byte[0] < 0x80 {
            break;
        }
    }
    let length = decode_varint(&mut prefix.as_slice()).context("a length")?;
    let mut bytes = vec![0; usize::try_from(length)?];
    reader.read_exact(&mut bytes)?;
    Ok(Response::decode(bytes.as_slice())?.value)
}
