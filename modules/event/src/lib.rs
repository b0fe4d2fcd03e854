//! Every event of the market, typed, in one place. Kinds and attribute names are part of the interface (clients subscribe
//! to `gantry_job.to='completed'`), so a test freezes them.
//!
//! Attributes that carry an enum hold the proto name without its type's prefix, in lower case: `JOB_STATE_QUEUED` is
//! `queued`, and `unspecified` (no state before, no reason) is the empty string. Amounts are coins (`12ugantry`), hashes
//! are lower-case hexadecimal.

use gantry_core::{Address, Coin, Ctx, Event, attr};
use gantry_proto::gantry::{
    job::v1::{Actor, AssignmentState, JobState, Reason},
    verifier::v1::{Outcome, SlashReason},
};

/// Something that happened in the market.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MarketEvent<'a> {
    /// A job entered a state; `from` is unspecified for a new one.
    JobTransition {
        /// Id of the job.
        job: u64,
        /// Id of its graph.
        graph: u64,
        /// Who pays.
        renter: &'a Address,
        /// State before.
        from: JobState,
        /// State after.
        to: JobState,
        /// Why, where it ended otherwise than well.
        reason: Reason,
        /// Whose doing it was.
        actor: Actor,
    },
    /// An assignment entered a state; `from` is unspecified for a new one.
    AssignmentTransition {
        /// Id of the job.
        job: u64,
        /// Attempt, from 1.
        attempt: u32,
        /// Replica within the attempt.
        replica: u32,
        /// Who works.
        provider: u64,
        /// State before.
        from: AssignmentState,
        /// State after.
        to: AssignmentState,
        /// Why, where it ended otherwise than well.
        reason: Reason,
    },
    /// A provider was paid for a job.
    Settled {
        /// Id of the job.
        job: u64,
        /// Who was paid.
        provider: u64,
        /// What the provider got.
        net: &'a Coin,
        /// What the fee account got.
        fee: &'a Coin,
    },
    /// Bond was taken from a provider into the slash pool.
    Slashed {
        /// Who lost it.
        provider: u64,
        /// For which job.
        job: u64,
        /// For which attempt.
        attempt: u32,
        /// For which replica.
        replica: u32,
        /// What was really taken.
        amount: &'a Coin,
        /// Why.
        reason: SlashReason,
        /// What shows it: the offender's output digest, or nothing for silence.
        evidence: &'a [u8],
    },
    /// A job's results were judged.
    Verdict {
        /// Id of the job.
        job: u64,
        /// Attempt that was judged.
        attempt: u32,
        /// What came out.
        outcome: Outcome,
        /// Digest of the agreed result; empty without one.
        digest: &'a [u8],
        /// How many replicas agreed.
        votes: u32,
    },
    /// Money of a job was locked.
    EscrowOpened {
        /// Id of the job.
        job: u64,
        /// Whose money.
        renter: &'a Address,
        /// How much.
        amount: &'a Coin,
    },
    /// The rest of a job's money went back.
    Refunded {
        /// Id of the job.
        job: u64,
        /// To whom.
        renter: &'a Address,
        /// How much.
        amount: &'a Coin,
    },
    /// A provider was registered.
    ProviderRegistered {
        /// Its id.
        provider: u64,
        /// Its owner.
        owner: &'a Address,
    },
    /// A provider's moniker, endpoints or operators changed.
    ProviderUpdated {
        /// Its id.
        provider: u64,
    },
    /// A provider added to its bond.
    Bonded {
        /// Its id.
        provider: u64,
        /// What was added.
        amount: &'a Coin,
    },
    /// A provider began to withdraw bond.
    UnbondStarted {
        /// Its id.
        provider: u64,
        /// What is withdrawn.
        amount: &'a Coin,
        /// Height of the payout.
        release_height: u64,
    },
    /// Withdrawn bond was paid out to the owner.
    Unbonded {
        /// Its id.
        provider: u64,
        /// What was paid.
        amount: &'a Coin,
    },
    /// An offer was created or replaced.
    OfferSet {
        /// Whose.
        provider: u64,
        /// Its id within the provider.
        offer: u32,
        /// Its hardware class.
        class: &'a str,
    },
    /// An offer was withdrawn.
    OfferRemoved {
        /// Whose.
        provider: u64,
        /// Its id within the provider.
        offer: u32,
    },
    /// A provider said that it is alive.
    Heartbeat {
        /// Its id.
        provider: u64,
        /// Whole epochs without one since the last.
        missed: u64,
    },
}

impl MarketEvent<'_> {
    /// The ABCI form.
    #[must_use]
    pub fn to_event(&self) -> Event {
        match *self {
            Self::JobTransition { job, graph, renter, from, to, reason, actor } => Event::new(
                "gantry_job",
                [
                    attr("job_id", job),
                    attr("graph_id", graph),
                    attr("renter", renter),
                    attr("from", label(from.as_str_name(), "JOB_STATE_")),
                    attr("to", label(to.as_str_name(), "JOB_STATE_")),
                    attr("reason", label(reason.as_str_name(), "REASON_")),
                    attr("actor", label(actor.as_str_name(), "ACTOR_")),
                ],
            ),
            Self::AssignmentTransition { job, attempt, replica, provider, from, to, reason } => Event::new(
                "gantry_assignment",
                [
                    attr("job_id", job),
                    attr("attempt", attempt),
                    attr("replica", replica),
                    attr("provider_id", provider),
                    attr("from", label(from.as_str_name(), "ASSIGNMENT_STATE_")),
                    attr("to", label(to.as_str_name(), "ASSIGNMENT_STATE_")),
                    attr("reason", label(reason.as_str_name(), "REASON_")),
                ],
            ),
            Self::Settled { job, provider, net, fee } => Event::new(
                "gantry_settlement",
                [attr("job_id", job), attr("provider_id", provider), attr("net", net), attr("fee", fee)],
            ),
            Self::Slashed { provider, job, attempt, replica, amount, reason, evidence } => Event::new(
                "gantry_slash",
                [
                    attr("provider_id", provider),
                    attr("job_id", job),
                    attr("attempt", attempt),
                    attr("replica", replica),
                    attr("amount", amount),
                    attr("reason", label(reason.as_str_name(), "SLASH_REASON_")),
                    attr("evidence", hex::encode(evidence)),
                ],
            ),
            Self::Verdict { job, attempt, outcome, digest, votes } => Event::new(
                "gantry_verdict",
                [
                    attr("job_id", job),
                    attr("attempt", attempt),
                    attr("outcome", label(outcome.as_str_name(), "OUTCOME_")),
                    attr("output_digest", hex::encode(digest)),
                    attr("votes", votes),
                ],
            ),
            Self::EscrowOpened { job, renter, amount } => Event::new(
                "gantry_escrow",
                [attr("action", "opened"), attr("job_id", job), attr("renter", renter), attr("amount", amount)],
            ),
            Self::Refunded { job, renter, amount } => Event::new(
                "gantry_escrow",
                [attr("action", "refunded"), attr("job_id", job), attr("renter", renter), attr("amount", amount)],
            ),
            Self::ProviderRegistered { provider, owner } => of_provider("registered", provider, [attr("owner", owner)]),
            Self::ProviderUpdated { provider } => of_provider("updated", provider, []),
            Self::Bonded { provider, amount } => of_provider("bonded", provider, [attr("amount", amount)]),
            Self::UnbondStarted { provider, amount, release_height } => of_provider(
                "unbond_started",
                provider,
                [attr("amount", amount), attr("release_height", release_height)],
            ),
            Self::Unbonded { provider, amount } => of_provider("unbonded", provider, [attr("amount", amount)]),
            Self::OfferSet { provider, offer, class } => {
                of_provider("offer_set", provider, [attr("offer_id", offer), attr("class_id", class)])
            }
            Self::OfferRemoved { provider, offer } => of_provider("offer_removed", provider, [attr("offer_id", offer)]),
            Self::Heartbeat { provider, missed } => of_provider("heartbeat", provider, [attr("missed", missed)]),
        }
    }
}

/// Emits a market event.
pub fn emit(ctx: &mut dyn Ctx, event: MarketEvent<'_>) {
    ctx.emit(event.to_event());
}

/// An event about a provider; `action` says which.
fn of_provider<const N: usize>(action: &str, provider: u64, more: [(String, String); N]) -> Event {
    Event::new("gantry_provider", [attr("action", action), attr("provider_id", provider)].into_iter().chain(more))
}

/// A proto enum's name as an attribute: without prefix, lower case, nothing for `UNSPECIFIED`.
fn label(name: &str, prefix: &str) -> String {
    match name.strip_prefix(prefix).unwrap_or(name) {
        "UNSPECIFIED" => String::new(),
        rest => rest.to_ascii_lowercase(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use gantry_core::{BlockCtx, BlockInfo, Empty};
    use gantry_store::Overlay;

    /// `kind key=value key=value`
    fn line(event: MarketEvent<'_>) -> String {
        let event = event.to_event();
        let attributes = event.attributes.iter().map(|(k, v)| format!(" {k}={v}"));
        std::iter::once(event.kind.clone()).chain(attributes).collect()
    }

    #[test]
    fn kinds_and_attributes_are_frozen() {
        let renter = &Address::module("escrow");
        let coin = &Coin::base(12);
        let events = [
            MarketEvent::JobTransition {
                job: 7,
                graph: 2,
                renter,
                from: JobState::Unspecified,
                to: JobState::Pending,
                reason: Reason::Unspecified,
                actor: Actor::Renter,
            },
            MarketEvent::AssignmentTransition {
                job: 7,
                attempt: 1,
                replica: 2,
                provider: 3,
                from: AssignmentState::Offered,
                to: AssignmentState::Lapsed,
                reason: Reason::NoAcknowledgement,
            },
            MarketEvent::Settled { job: 7, provider: 3, net: coin, fee: &Coin::base(1) },
            MarketEvent::Slashed {
                provider: 3,
                job: 7,
                attempt: 1,
                replica: 2,
                amount: coin,
                reason: SlashReason::WrongResult,
                evidence: &[0xab, 0x01],
            },
            MarketEvent::Verdict { job: 7, attempt: 1, outcome: Outcome::NoQuorum, digest: &[], votes: 1 },
            MarketEvent::EscrowOpened { job: 7, renter, amount: coin },
            MarketEvent::Refunded { job: 7, renter, amount: coin },
            MarketEvent::ProviderRegistered { provider: 3, owner: renter },
            MarketEvent::ProviderUpdated { provider: 3 },
            MarketEvent::Bonded { provider: 3, amount: coin },
            MarketEvent::UnbondStarted { provider: 3, amount: coin, release_height: 99 },
            MarketEvent::Unbonded { provider: 3, amount: coin },
            MarketEvent::OfferSet { provider: 3, offer: 1, class: "wasm-48-x86_64" },
            MarketEvent::OfferRemoved { provider: 3, offer: 1 },
            MarketEvent::Heartbeat { provider: 3, missed: 0 },
        ];
        let expected = [
            format!("gantry_job job_id=7 graph_id=2 renter={renter} from= to=pending reason= actor=renter"),
            "gantry_assignment job_id=7 attempt=1 replica=2 provider_id=3 from=offered to=lapsed reason=no_acknowledgement"
                .to_owned(),
            "gantry_settlement job_id=7 provider_id=3 net=12ugantry fee=1ugantry".to_owned(),
            "gantry_slash provider_id=3 job_id=7 attempt=1 replica=2 amount=12ugantry reason=wrong_result evidence=ab01"
                .to_owned(),
            "gantry_verdict job_id=7 attempt=1 outcome=no_quorum output_digest= votes=1".to_owned(),
            format!("gantry_escrow action=opened job_id=7 renter={renter} amount=12ugantry"),
            format!("gantry_escrow action=refunded job_id=7 renter={renter} amount=12ugantry"),
            format!("gantry_provider action=registered provider_id=3 owner={renter}"),
            "gantry_provider action=updated provider_id=3".to_owned(),
            "gantry_provider action=bonded provider_id=3 amount=12ugantry".to_owned(),
            "gantry_provider action=unbond_started provider_id=3 amount=12ugantry release_height=99".to_owned(),
            "gantry_provider action=unbonded provider_id=3 amount=12ugantry".to_owned(),
            "gantry_provider action=offer_set provider_id=3 offer_id=1 class_id=wasm-48-x86_64".to_owned(),
            "gantry_provider action=offer_removed provider_id=3 offer_id=1".to_owned(),
            "gantry_provider action=heartbeat provider_id=3 missed=0".to_owned(),
        ];
        assert_eq!(events.map(line), expected);
    }

    #[test]
    fn emitted_events_reach_the_phase() {
        let mut state = Overlay::new(Empty);
        let block = BlockInfo::default();
        let mut ctx = BlockCtx::new(&mut state, &block);
        let event = MarketEvent::ProviderUpdated { provider: 1 };
        emit(&mut ctx, event);
        assert_eq!(ctx.into_events(), [event.to_event()]);
    }
}
