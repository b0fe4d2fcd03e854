//! What is measured, in which order, how often.

use std::{env, path::PathBuf};

use anyhow::{Context, Result};
use gantry_bench::net::System;

/// One measurement: a subcommand of this program, or a peer's.
#[derive(Clone, Debug)]
pub(super) struct Step {
    pub(super) name: String,
    pub(super) repeats: u32,
    program: Program,
    args: Vec<String>,
}

#[derive(Clone, Copy, Debug)]
enum Program {
    Own,
    /// Go iavl, at a path that the environment gives.
    Iavl,
}

impl Step {
    fn new(name: &str, repeats: u32, args: &str) -> Self {
        let args = args.split_whitespace().map(str::to_owned).collect();
        Self { name: name.to_owned(), repeats, program: Program::Own, args }
    }

    /// Its program and arguments.
    pub(super) fn command(&self) -> Result<(PathBuf, Vec<String>)> {
        let program = match self.program {
            Program::Own => env::current_exe()?,
            Program::Iavl => env::var_os("GANTRY_IAVL").context("GANTRY_IAVL is not set (./dev bench does)")?.into(),
        };
        Ok((program, self.args.clone()))
    }
}

/// Transactions of a run as fast as they are taken: about fifteen seconds on two cores, where a system is that fast.
fn supply(system: System, indexer: &str) -> usize {
    match (system, indexer) {
        (System::Kvstore, _) => 240_000,
        (System::KvstoreSocket, "null") => 180_000,
        (System::KvstoreSocket, _) => 90_000,
        (System::Simd | System::SimdSocket, _) => 20_000,
        (System::Gantryd, "null") => 120_000,
        (System::Gantryd, _) => 80_000,
    }
}

fn throughput(system: System, indexer: &str, senders: usize, repeats: u32) -> Step {
    let (name, txs) = (system.name(), supply(system, indexer));
    let args = format!("throughput --system {name} --indexer {indexer} --senders {senders} --txs {txs}");
    Step::new(&format!("throughput-{name}-{indexer}-{senders}"), repeats, &args)
}

fn hold(system: System, from: u32, seconds: u32, repeats: u32) -> Step {
    let name = system.name();
    let args = format!("hold --system {name} --validators 4 --from {from} --seconds {seconds}");
    Step::new(&format!("hold-{name}-4"), repeats, &args)
}

fn catch_up(system: System, txs: usize, ahead: u32, repeats: u32) -> Step {
    let name = system.name();
    let args = format!("catch-up --system {name} --txs {txs} --ahead {ahead} --outstanding 40000");
    Step::new(&format!("catch-up-{name}"), repeats, &args)
}

fn iavl(args: &str, repeats: u32) -> Step {
    Step { program: Program::Iavl, ..Step::new("tree-iavl", repeats, args) }
}

/// At most fifteen minutes on two cores; each once.
pub(super) fn quick() -> Vec<Step> {
    use System::{Gantryd, KvstoreSocket, Simd};
    let mut steps = Vec::new();
    for indexer in ["null", "kv"] {
        steps.extend([KvstoreSocket, Simd, Gantryd].map(|system| throughput(system, indexer, 200, 1)));
    }
    steps.extend([Simd, Gantryd].map(|system| throughput(system, "null", 2000, 1)));
    steps.extend([hold(KvstoreSocket, 2000, 8, 1), hold(Simd, 200, 8, 1), hold(Gantryd, 1000, 8, 1)]);
    steps.push(Step::new("tree", 1, "tree --updates 100000 --inserts 0"));
    steps.push(iavl("-keys 1000000 -updates 20000 -inserts 0", 1));
    steps.push(Step::new("exec", 1, "exec --accounts 10000,1000000 --txs 1000,10000 --blocks 2"));
    steps.push(Step::new("check-tx", 1, "check-tx"));
    steps.push(Step::new("rows", 1, "rows --reads 100000 --blocks 50"));
    steps.extend([catch_up(KvstoreSocket, 150_000, 15, 1), catch_up(Gantryd, 100_000, 15, 1)]);
    steps
}

/// All, with repeats.
pub(super) fn full() -> Vec<Step> {
    use System::{Gantryd, Kvstore, KvstoreSocket, Simd, SimdSocket};
    let all = [Kvstore, KvstoreSocket, Simd, SimdSocket, Gantryd];
    let mut steps = Vec::new();
    for indexer in ["null", "kv"] {
        for senders in [200, 2000] {
            steps.extend(all.map(|system| throughput(system, indexer, senders, 3)));
        }
    }
    for (system, from) in [(Kvstore, 4000), (KvstoreSocket, 2500), (Simd, 250), (SimdSocket, 200), (Gantryd, 1200)] {
        steps.push(hold(system, from, 20, 3));
    }
    steps.push(Step::new("tree", 3, "tree"));
    steps.push(iavl("-keys 1000000", 3));
    steps.push(Step::new("exec", 3, "exec --accounts 10000,1000000"));
    steps.push(Step::new("exec-10m", 1, "exec --accounts 10000000 --txs 1000,10000"));
    steps.push(Step::new("check-tx", 3, "check-tx"));
    steps.push(Step::new("rows", 3, "rows"));
    steps.extend([catch_up(KvstoreSocket, 400_000, 30, 3), catch_up(Simd, 60_000, 30, 3)]);
    steps.push(catch_up(Gantryd, 250_000, 30, 3));
    steps.push(Step::new("sustained-gantryd", 1, "sustained --system gantryd --of-peak 0.8"));
    steps
}

/// Every step once, then those that are repeated once more, and so on: what drifts on the machine meets all alike.
pub(super) fn interleaved(steps: &[Step]) -> Vec<(u32, &Step)> {
    let rounds = steps.iter().map(|step| step.repeats).max().unwrap_or(0);
    (0..rounds)
        .flat_map(|round| steps.iter().filter(move |step| round < step.repeats).map(move |step| (round, step)))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn rounds_take_turns() {
        let steps = [Step::new("a", 2, ""), Step::new("b", 1, ""), Step::new("c", 2, "")];
        let order: Vec<(u32, &str)> =
            interleaved(&steps).iter().map(|(round, step)| (*round, step.name.as_str())).collect();
        assert_eq!(order, [(0, "a"), (0, "b"), (0, "c"), (1, "a"), (1, "c")]);
    }

    #[test]
    fn names_of_steps_differ() {
        for steps in [quick(), full()] {
            let names: BTreeSet<&str> = steps.iter().map(|step| step.name.as_str()).collect();
            assert_eq!(names.len(), steps.len());
        }
    }
}
