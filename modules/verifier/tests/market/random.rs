//! Random lives of a market. Whatever is sent in whatever order: every invariant holds after every block, the supply
//! never changes, every job ends, and when all have ended nothing is held any more; also when the state is exported on
//! the way and another chain goes on with it.

use gantry_core::Coin;
use gantry_job::{Assignment, table};
use gantry_proto::gantry::{
    job::v1::*,
    provider::v1::{MsgBond, MsgRemoveOffer, MsgUnbond},
};
use proptest::prelude::*;

use crate::chain::*;

#[derive(Clone, Debug)]
enum Op {
    /// A job or a small graph.
    Submit {
        shape: u8,
        retries: u32,
        deadline: u64,
    },
    Cancel(usize),
    /// The next step of a worker, with a good or a wrong result.
    Step {
        which: usize,
        honest: bool,
    },
    /// Any message of a worker, in place or not.
    Wild {
        which: usize,
        what: u8,
    },
    Report {
        which: usize,
        reason: usize,
    },
    Unbond(u64),
    Bond(u64),
    RemoveOffer(u64),
    SetOffer(u64),
    Sleep(u64),
    Blocks(u64),
    Halt,
    /// The state becomes the genesis of a chain that goes on with it.
    Export,
}

fn op() -> impl Strategy<Value = Op> {
    let worker = 1..=PROVIDERS;
    prop_oneof![
        3 => (0..6u8, 0..3u32, 0..40u64).prop_map(|(shape, retries, deadline)| Op::Submit { shape, retries, deadline }),
        1 => any::<usize>().prop_map(Op::Cancel),
        30 => (any::<usize>(), prop::bool::weighted(0.75)).prop_map(|(which, honest)| Op::Step { which, honest }),
        4 => (any::<usize>(), 0..7u8).prop_map(|(which, what)| Op::Wild { which, what }),
        2 => (any::<usize>(), 0..4usize).prop_map(|(which, reason)| Op::Report { which, reason }),
        1 => worker.clone().prop_map(Op::Unbond),
        1 => worker.clone().prop_map(Op::Bond),
        1 => worker.clone().prop_map(Op::RemoveOffer),
        1 => worker.clone().prop_map(Op::SetOffer),
        1 => worker.prop_map(Op::Sleep),
        8 => (1..4u64).prop_map(Op::Blocks),
        1 => Just(Op::Halt),
        1 => Just(Op::Export),
    ]
}

const PROVIDERS: u64 = 5;

fn jobs(shape: u8, retries: u32, deadline: u64) -> Vec<JobSpec> {
    let after = |mut spec: JobSpec, on: &[&str]| {
        spec.dependencies = on.iter().map(|s| (*s).to_owned()).collect();
        spec
    };
    let mut jobs = match shape {
        0 => vec![spec("a")],
        1 => vec![quorum("a", 2, 3)],
        2 => vec![quorum("a", 3, 5)],
        3 => vec![quorum("a", 2, 2)],
        4 => vec![spec("a"), after(quorum("b", 2, 3), &["a"]), after(spec("c"), &["a", "b"])],
        _ => vec![quorum("a", 2, 3), spec("b"), after(spec("c"), &["a"])],
    };
    for job in &mut jobs {
        job.retries = retries;
        job.deadline_seconds = if deadline > 30 { deadline } else { 0 };
        job.timeouts = Some(Timeouts { queue_seconds: 25, staging_seconds: 8, execution_seconds: 12 });
        // Less than the longest run costs, for some.
        if deadline.is_multiple_of(3) {
            let replicas = job.max_price_total.as_ref().unwrap().amount.parse::<u128>().unwrap() / 120_000;
            job.max_price_total = Some(Coin::base(replicas * 5000).to_proto());
        }
    }
    jobs
}

/// All live assignments of all jobs.
fn at_work(c: &Chain, jobs: &[u64]) -> Vec<Assignment> {
    jobs.iter().filter(|id| gantry_job::keeper::get(&c.state, **id).is_ok()).flat_map(|id| c.live(*id)).collect()
}

fn apply(c: &mut Chain, ids: &mut Vec<u64>, op: &Op) {
    let pick = |c: &Chain, ids: &[u64], which: usize| {
        let all = at_work(c, ids);
        (!all.is_empty()).then(|| all[which % all.len()].clone())
    };
    match op {
        Op::Submit { shape, retries, deadline } => {
            if let Ok(new) = c.submit_as("renter", jobs(*shape, *retries, *deadline)) {
                ids.extend(new);
            }
        }
        Op::Cancel(which) if !ids.is_empty() => {
            let id = ids[which % ids.len()];
            let committed = at_work(c, &[id]).iter().any(|a| table::is_committed(a.state));
            let over = gantry_job::keeper::get(&c.state, id).map_or(true, |job| job.is_ended());
            assert_eq!(c.cancel(id).is_ok(), !committed && !over);
        }
        Op::Step { which, honest } => {
            let Some(a) = pick(c, ids, *which) else { return };
            // The wrong ones collude by parity.
            let result = if *honest { good() } else { wrong((a.provider_id % 2) as u8) };
            let done = match a.state {
                AssignmentState::Offered => c.ack(&a),
                AssignmentState::Acked => c.stage(&a),
                AssignmentState::Staging => c.run(&a),
                AssignmentState::Running => c.commit(&a, &result),
                AssignmentState::Committed => {
                    let open = c.job(a.job_id).reveal_close_height > 0;
                    let result =
                        [good(), wrong(0), wrong(1), wrong(3)].into_iter().find(|r| committed_to(c, &a, r)).unwrap();
                    assert_eq!(c.reveal(&a, &result).is_ok(), open);
                    return;
                }
                _ => return,
            };
            done.unwrap_or_else(|e| panic!("{:?}: {e}", a.state));
        }
        Op::Wild { which, what } => {
            let Some(a) = pick(c, ids, *which) else { return };
            let _ = match what {
                0 => c.ack(&a),
                1 => c.stage(&a),
                2 => c.run(&a),
                3 => c.commit(&a, &wrong(3)),
                4 => c.reveal(&a, &wrong(3)),
                5 => c.reveal_as(&operator(a.provider_id % PROVIDERS + 1), &a, &good()),
                _ => c.reveal(&a, &good()),
            };
        }
        Op::Report { which, reason } => {
            let Some(a) = pick(c, ids, *which) else { return };
            let _ = c.report(&a, table::REPORTABLE[*reason]);
        }
        Op::Unbond(n) => {
            let amount = Some(Coin::base(BOND / 3).to_proto());
            let _ = c.tx(&MsgUnbond { owner: account(&format!("owner{n}")).to_string(), amount });
        }
        Op::Bond(n) => {
            let amount = Some(Coin::base(BOND / 3).to_proto());
            let _ = c.tx(&MsgBond { owner: account(&format!("owner{n}")).to_string(), amount });
        }
        Op::RemoveOffer(n) => {
            let offers = gantry_provider::keeper::offers_of(&c.state, *n).unwrap();
            if let Some(offer) = offers.first() {
                let _ = c.tx(&MsgRemoveOffer { operator: operator(*n).to_string(), offer_id: offer.offer_id });
            }
        }
        Op::SetOffer(n) => {
            if gantry_provider::keeper::offers_of(&c.state, *n).unwrap().len() < 4 {
                c.set_offer(*n, 500 * u128::from(*n));
            }
        }
        Op::Sleep(n) => match c.asleep.iter().position(|id| id == n) {
            Some(at) => drop(c.asleep.remove(at)),
            None => c.asleep.push(*n),
        },
        Op::Blocks(n) => {
            for _ in 0..*n {
                c.end();
                c.begin();
            }
        }
        Op::Halt => {
            c.interval_ms = 500_000;
            c.end();
            c.begin();
            c.interval_ms = 1000;
        }
        Op::Export => {
            c.end();
            c.reimport();
            c.begin();
        }
        Op::Cancel(_) => {}
    }
}

fn committed_to(c: &Chain, a: &Assignment, result: &Outcome) -> bool {
    let submissions = gantry_verifier::keeper::submissions(&c.state, a.job_id, a.attempt).unwrap();
    submissions.iter().any(|s| s.replica == a.replica && s.commitment == commitment(a, result))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, max_shrink_iters: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_market_stays_whole(ops in prop::collection::vec(op(), 20..160)) {
        let mut c = Chain::with(PROVIDERS, |p| { p.retention_blocks = 60; p.max_replacements = 3; }, |v| { v.commit_window_blocks = 6; v.reveal_window_blocks = 4; });
        let mut ids = Vec::new();
        c.begin();
        for op in &ops {
            apply(&mut c, &mut ids, op);
        }
        c.end();
        // Nobody moves any more: time alone ends everything.
        for _ in 0..600 {
            c.blocks(1);
        }
        for id in &ids {
            let gone = gantry_job::keeper::get(&c.state, *id).is_err();
            prop_assert!(gone, "job {} did not end and shrink: {:?}", id, c.job(*id).state);
            let escrow = gantry_escrow::keeper::get(&c.state, *id).unwrap().unwrap();
            prop_assert_eq!(escrow.left(), 0);
            prop_assert!(c.verdict(*id).is_none());
        }
        for n in 1..=PROVIDERS {
            prop_assert_eq!(gantry_provider::keeper::get(&c.state, n).unwrap().reserved, 0);
            prop_assert!(gantry_provider::keeper::offers_of(&c.state, n).unwrap().iter().all(|o| o.in_use == 0));
        }
        // Nothing but receipts, graphs and slashes is left of them.
        for (store, key, value) in c.state.changes().iter() {
            let live = match store.as_str() {
                "job" => matches!(key[0], 0x10..=0x11 | 0x13..=0x19),
                "verifier" => key[0] != 0,
                _ => false,
            };
            prop_assert!(!live || value.is_none(), "{store} keeps {key:02x?}");
        }
    }
}
