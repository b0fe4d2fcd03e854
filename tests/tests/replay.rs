//! The scripted chain against its frozen app hashes: a state machine that comes to another one no longer agrees with the
//! chain that runs, and its node would stop at the first such block.

use std::fmt::Write as _;

use anyhow::{Result, ensure};
use gantry_tests::replay::{Node, Way, record};

const GOLDEN: &str = include_str!("../golden/app_hashes.txt");

const BREAK: &str = "\
THIS IS A CONSENSUS BREAK: equal blocks no longer come to an equal state or equal results. On a chain that runs, a node
with this code stops with another app hash than all the others, at this height.
If that was not intended, the change that brought it is wrong: look for what it writes, in which order, with how much gas.
If it was, it needs a coordinated upgrade of all validators (or no chain runs yet); then freeze the new hashes:
  cargo run -p gantry-tests --bin gantry-replay -- golden > tests/golden/app_hashes.txt
and say in the commit what changed in the state machine and why.";

const SCRIPT: &str = "\
The script sends other blocks than those that were frozen (tests/src/replay/script.rs, or what it reads of the state, was
changed), but nothing before it came to another state. If that was intended, freeze the new hashes:
  cargo run -p gantry-tests --bin gantry-replay -- golden > tests/golden/app_hashes.txt";

#[test]
fn the_scripted_chain_has_its_frozen_app_hashes() -> Result<()> {
    let (recording, _) = record()?;
    let mut frozen = GOLDEN.lines().filter(|line| !line.starts_with('#'));
    let mut failure = None;
    Node::temporary()?.play(&recording, Way::Decided, |_, outcome| {
        let (expected, found) = (frozen.next().unwrap_or("nothing"), outcome.golden());
        if expected != found {
            let mut both = String::new();
            let inputs = |line: &str| line.split(' ').nth(1).map(str::to_owned);
            let advice = if inputs(expected) == inputs(&found) { BREAK } else { SCRIPT };
            let _ = write!(both, "height {}\n  frozen {expected}\n  now    {found}\n{advice}", outcome.height);
            failure = Some(both);
        }
        failure.is_none()
    })?;
    ensure!(failure.is_none(), "{}", failure.unwrap_or_default());
    ensure!(frozen.next().is_none(), "the chain is shorter than the frozen one\n{SCRIPT}");
    Ok(())
}

/// What the chain must hold to be worth freezing.
#[test]
fn the_scripted_chain_leaves_nothing_out() -> Result<()> {
    let (_, seen) = record()?;
    let node = Node::temporary()?;
    for url in node.engine().messages().type_urls() {
        // Only in test builds: its handler panics.
        if url == "/cosmos.auth.v1beta1.MsgUpdateParams" {
            continue;
        }
        let [succeeded, failed] = seen.messages.get(url).copied().unwrap_or_default();
        ensure!(succeeded > 0 && failed > 0, "{url}: {succeeded} succeed, {failed} fail: the script must send both");
    }
    let missing = |what: &&&str| !seen.events.contains(**what);
    let expected = [
        "gantry_job.to=completed",
        "gantry_job.to=failed",
        "gantry_job.to=cancelled",
        "gantry_job.to=expired",
        "gantry_job.to=verifying",
        "gantry_job.reason=no_quorum",
        "gantry_job.reason=dependency_failed",
        "gantry_job.reason=program_failed",
        "gantry_job.reason=queue_timeout",
        "gantry_job.reason=deadline",
        "gantry_assignment.to=settled",
        "gantry_assignment.to=lapsed",
        "gantry_assignment.reason=wrong_result",
        "gantry_assignment.reason=reveal_withheld",
        "gantry_assignment.reason=staging_timeout",
        "gantry_assignment.reason=execution_timeout",
        "gantry_assignment.reason=commit_late",
        "gantry_assignment.reason=worker_declined",
        "gantry_verdict.outcome=accepted",
        "gantry_verdict.outcome=no_quorum",
        "gantry_slash.reason=wrong_result",
        "gantry_slash.reason=timeout",
    ];
    let missing: Vec<_> = expected.iter().filter(missing).collect();
    ensure!(missing.is_empty(), "not in the chain: {missing:?}; there are {:#?}", seen.events);
    for code in ["sdk/2", "sdk/4", "sdk/5", "sdk/11", "sdk/32"] {
        ensure!(seen.codes.contains(code), "nothing fails with {code}; there are {:?}", seen.codes);
    }
    Ok(())
}
