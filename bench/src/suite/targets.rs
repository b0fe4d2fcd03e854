//! The figures that the chain has to reach, beside what was measured.

use serde_json::json;

use super::table::{Figures, number, on};

/// A figure of Gantry over a peer's, or alone.
struct Target {
    what: &'static str,
    must: &'static str,
    aim: &'static str,
    measured: Option<String>,
}

/// A row for each.
pub(super) fn rows(figures: &Figures) -> Vec<Vec<String>> {
    let line = |target: Target| {
        let measured = target.measured.unwrap_or_else(|| "not measured".to_owned());
        vec![target.what.to_owned(), target.must.to_owned(), target.aim.to_owned(), measured]
    };
    targets(figures).into_iter().map(line).collect()
}

fn targets(figures: &Figures) -> Vec<Target> {
    let value = |name: &str, settings: serde_json::Value| figures.find(name, &settings).map(|found| found.median);
    let network = |name: &str, peer: &str, validators: u64, indexer: &str| {
        let of = |system: &str| value(name, on(system, validators, indexer, 200));
        Some(of("gantryd")? / of(peer)?)
    };
    let part = |ratio: Option<f64>| ratio.map(|ratio| format!("{:.0} %", ratio * 100.0));
    let times = |ratio: Option<f64>| ratio.map(|ratio| format!("{ratio:.1}x"));
    let plain = |value: Option<f64>, unit: &str| value.map(|value| format!("{} {unit}", number(value)));
    let target = |what, must, aim, measured| Target { what, must, aim, measured };

    let tree_ratio = |batch: u64| {
        let of = |engine: &str| value("tree.updates", json!({"engine": engine, "batch": batch, "inserts_percent": 0}));
        Some(of("gantry")? / of("iavl")?)
    };
    let exec = |name: &str, accounts: u64| {
        value(name, json!({"accounts": accounts, "txs": 10_000, "signatures": "checked before"}))
    };
    let exec_ratio = || Some(exec("exec.cpu", 1_000_000)? / exec("exec.cpu", 10_000)?);
    let held = || value("held", on("gantryd", 4, "null", 200));
    let check = |name: &str| value(name, json!({}));
    vec![
        target(
            "committed transfers/s, 1 validator, of kvstore over a socket, indexer off",
            "50 %",
            "65 %",
            part(network("throughput", "kvstore-socket", 1, "null")),
        ),
        target("the same, indexer kv", "65 %", "80 %", part(network("throughput", "kvstore-socket", 1, "kv"))),
        target(
            "committed transfers/s, 1 validator, over simd, indexer off",
            "4x",
            "6x",
            times(network("throughput", "simd", 1, "null")),
        ),
        target(
            "CPU time of the application per committed transfer",
            "130 us",
            "75 us",
            plain(value("cpu.app", on("gantryd", 1, "null", 200)), "us"),
        ),
        target(
            "4 validators, rate held, of kvstore over sockets",
            "50 %",
            "70 %",
            part(network("held", "kvstore-socket", 4, "null")),
        ),
        target("4 validators, rate held, over simd", "4x", "7x", times(network("held", "simd", 4, "null"))),
        target(
            "tree updates/s with root, 1 M keys, batches of 1,000, over Go iavl",
            "10x",
            "25x",
            times(tree_ratio(1000)),
        ),
        target("the same, batches of 10,000", "10x", "25x", times(tree_ratio(10_000))),
        target(
            "execution only, blocks of 10,000 on 1 M accounts",
            "10,000/s",
            "30,000/s",
            plain(exec("exec.rate", 1_000_000), "/s"),
        ),
        target("execution cost per transfer at 1 M accounts over 10 k", "2x", "1.3x", times(exec_ratio())),
        target("CheckTx over the socket, mean", "100 us", "50 us", plain(check("check_tx.alone.mean"), "us")),
        target("recheck of 5,000", "0.3 s", "0.1 s", plain(check("check_tx.recheck.all").map(|ms| ms / 1000.0), "s")),
        target(
            "catch-up over production, each as fast as one processor can",
            "3x",
            "10x",
            times(value("catch-up", json!({"system": "gantryd"}))),
        ),
        target(
            "the same of kvstore over a socket",
            "",
            "",
            times(value("catch-up", json!({"system": "kvstore-socket"}))),
        ),
        target(
            "catch-up on one processor over the rate that 4 validators hold",
            "",
            "",
            times(
                value("catch-up.follower.rate", json!({"system": "gantryd"})).zip(held()).map(|(own, held)| own / held),
            ),
        ),
        target(
            "block interval, 4 validators under load",
            "0.7 s",
            "0.3 s",
            plain(value("block.interval.p50", on("gantryd", 4, "null", 200)), "s"),
        ),
    ]
}
