use gantry_core::{Address, Ctx, Handler, Result, TxCtx};
use gantry_job::{keeper as jobs, settle, spec};
use gantry_proto::{
    digest::{Commitment, output_digest},
    gantry::{
        job::v1::{AssignmentState, Reason},
        verifier::v1::{ExitKind, MsgRevealResult, MsgRevealResultResponse, Reveal},
    },
};

use super::hash;
use crate::{errors::VerifierError, keeper::revealed, state::SUBMISSIONS};

/// Most locations of one output.
const MAX_LOCATIONS: usize = 4;

/// Opens a commitment. Refused while other commitments may still come; a wrong opening may be tried again until
/// reveals close.
pub struct RevealResult;

impl Handler for RevealResult {
    type Msg = MsgRevealResult;
    type Response = MsgRevealResultResponse;

    fn signers(msg: &MsgRevealResult) -> Result<Vec<Address>> {
        Ok(vec![Address::parse(&msg.operator)?])
    }

    fn check(msg: &MsgRevealResult) -> Result<()> {
        let reveal = msg.reveal.as_ref().ok_or(VerifierError::NoReveal)?;
        check_exit(reveal)?;
        hash("output_root", &reveal.output_root)?;
        hash("manifest_digest", &reveal.manifest_digest)?;
        hash("possession_root", &reveal.possession_root)?;
        hash("nonce", &reveal.nonce)?;
        if reveal.locations.len() > MAX_LOCATIONS {
            let have = reveal.locations.len() as u64;
            return Err(VerifierError::TooManyLocations { have, most: MAX_LOCATIONS as u64 }.into());
        }
        reveal.locations.iter().try_for_each(|location| spec::check_endpoint(location))
    }

    fn execute(ctx: &mut TxCtx<'_>, msg: &MsgRevealResult) -> Result<MsgRevealResultResponse> {
        let operator = Address::parse(&msg.operator)?;
        let (job, mut a) = jobs::assigned(ctx, &operator, (msg.job_id, msg.attempt, msg.replica))?;
        let reveal = msg.reveal.as_ref().ok_or(VerifierError::NoReveal)?;
        match a.state {
            AssignmentState::Committed => {}
            AssignmentState::Revealed | AssignmentState::Settled => {
                return Err(VerifierError::AlreadyRevealed { job: job.id, replica: a.replica }.into());
            }
            _ if a.reason() == Reason::RevealWithheld => return Err(VerifierError::RevealTooLate(job.id).into()),
            _ => return Err(VerifierError::NoCommitment { job: job.id, replica: a.replica }.into()),
        }
        if job.reveal_close_height == 0 {
            return Err(VerifierError::RevealTooEarly(job.id).into());
        }
        let mut row =
            SUBMISSIONS.get(ctx, a.key())?.ok_or(VerifierError::NoCommitment { job: job.id, replica: a.replica })?.0;
        let output_digest = output_digest(
            reveal.exit_kind(),
            reveal.exit_code,
            &reveal.output_cid,
            &hash("output_root", &reveal.output_root)?,
        );
        let commitment = Commitment {
            chain_id: &ctx.block().chain_id,
            job: job.id,
            attempt: a.attempt,
            provider: a.provider_id,
            output_digest,
            manifest_digest: hash("manifest_digest", &reveal.manifest_digest)?,
            possession_root: hash("possession_root", &reveal.possession_root)?,
            nonce: hash("nonce", &reveal.nonce)?,
        };
        if row.commitment != commitment.hash() {
            return Err(VerifierError::WrongOpening.into());
        }
        settle::reveal(ctx, &mut a)?;
        row.reveal = Some(reveal.clone());
        row.revealed_height = ctx.block().height;
        row.output_digest = output_digest.to_vec();
        SUBMISSIONS.set(ctx, a.key(), &row.into())?;
        revealed(ctx, &job)?;
        Ok(MsgRevealResultResponse {})
    }
}

/// An exit must be one of the kinds that may be committed, spelled in one way; a program that ended by itself has an
/// output folder, a program that was stopped may have none.
fn check_exit(reveal: &Reveal) -> Result<()> {
    match reveal.exit_kind() {
        ExitKind::Unspecified => return Err(VerifierError::BadExit("the kind is unknown").into()),
        ExitKind::OutOfFuel if reveal.exit_code != 0 => {
            return Err(VerifierError::BadExit("spent fuel has code 0").into());
        }
        ExitKind::Trap | ExitKind::OutOfFuel if reveal.output_cid.is_empty() => return Ok(()),
        ExitKind::Exit | ExitKind::Trap | ExitKind::OutOfFuel => {}
    }
    spec::check_cid(&reveal.output_cid)
}
