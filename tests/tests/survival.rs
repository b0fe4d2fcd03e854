//! kill -9 of each part in the middle of work: everything completes, nothing is lost, and the state stays one.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use gantry_client::Chain;
use gantry_localnet::{Localnet, until};
use gantry_proto::gantry::{
    escrow::v1::QueryTotalsRequest,
    job::v1::{Assignment, AssignmentState, JobState},
};
use gantry_tests::{TestNet, finished, graph, tiles};
use tendermint_rpc::Client;

const LIMIT: Duration = Duration::from_secs(90);

/// Waits for an assignment in a state, of one provider or of any.
async fn assignment_in(
    chain: &Chain,
    id: u64,
    states: &[AssignmentState],
    provider: Option<u64>,
) -> Result<Assignment> {
    until(&format!("an assignment in {states:?}"), LIMIT, async || {
        let (_, assignments) = graph(chain, id).await?;
        let fits = |a: &Assignment| states.contains(&a.state()) && provider.is_none_or(|p| p == a.provider_id);
        Ok(assignments.into_iter().find(fits))
    })
    .await
}

async fn progress(net: &mut Localnet, chain: &Chain) -> Result<()> {
    let height = until("the node answers", LIMIT, async || Ok(Some(chain.height().await?))).await?;
    net.wait_for_height(height + 2).await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn every_part_can_be_killed_and_a_follower_reaches_the_same_state() -> Result<()> {
    let mut test = TestNet::start(4).await?;
    let chain = test.net.chain().await?;
    let id = test.submit(&tiles(5, "{ quorum: { k: 2, n: 3 } }"))?;

    assignment_in(&chain, id, &[AssignmentState::Running], None).await?;
    test.net.kill_cometbft()?;
    progress(&mut test.net, &chain).await?;

    test.net.kill_node()?;
    test.net.restart_node()?;
    progress(&mut test.net, &chain).await?;

    // A worker dies between its run and its reveal, or in the run.
    let states = [AssignmentState::Running, AssignmentState::Committed];
    let victim = assignment_in(&chain, id, &states, None).await?;
    let name = chain
        .providers()
        .provider(gantry_proto::gantry::provider::v1::QueryProviderRequest { id: victim.provider_id })
        .await?
        .into_inner()
        .provider
        .context("provider")?
        .moniker;
    let worker = test.net.workers.iter_mut().find(|w| w.options.name == name).context("worker")?;
    worker.process.kill()?;
    worker.restart()?;

    let (jobs, assignments) = finished(&chain, id, 180).await?;
    for job in &jobs {
        ensure!(job.state() == JobState::Completed, "job {} ended as {:?}: {:?}", job.id, job.state(), job.end);
    }
    let after = assignments
        .iter()
        .find(|a| (a.job_id, a.attempt, a.replica) == (victim.job_id, victim.attempt, victim.replica))
        .context("the killed worker's assignment")?;
    ensure!(after.state() == AssignmentState::Settled, "the killed worker's assignment ended as {:?}", after.state());

    let totals = chain.escrow().totals(QueryTotalsRequest::default()).await?.into_inner();
    ensure!(totals.conserved, "escrow is not conserved: {totals:?}");
    for t in &totals.totals {
        ensure!(t.locked == "0" && t.accrued == "0", "all jobs ended, and yet money is held: {t:?}");
    }

    follower_agrees(&mut test.net, &chain).await?;
    test.net.stop().await
}

/// A second node replays everything from genesis; its app hash must be the one in the validator's headers.
async fn follower_agrees(net: &mut Localnet, chain: &Chain) -> Result<()> {
    let target = chain.height().await?;
    let follower = net.start_follower().await?;
    follower.wait_for_height(target, LIMIT).await?;
    let (height, app_hash) = follower.app().await?;
    let next = height + 1;
    until("the validator's next block", LIMIT, async || Ok((chain.height().await? >= next).then_some(()))).await?;
    let header = chain.rpc().commit(u32::try_from(next)?).await?.signed_header.header;
    ensure!(header.app_hash.as_bytes() == app_hash, "app hashes differ at height {height}");
    Ok(())
}
