//! End of block: withdrawals that are due.

use gantry_core::{Ctx, Error, Result};
use gantry_event::{MarketEvent, emit};

use crate::{
    keeper::{get, pay_out},
    state::{DUE, UNBONDINGS},
};

/// Payouts of one block; more carry over, and stay slashable until then.
const MAX_PAYOUTS: usize = 100;

/// Pays out unbondings whose time has come, oldest first.
pub(crate) fn end_block(ctx: &mut dyn Ctx) -> Result<()> {
    let height = ctx.block().height;
    for (due, id) in DUE.pop_due(ctx, height, MAX_PAYOUTS)? {
        let unbonding = UNBONDINGS
            .get(ctx, (id, due))?
            .ok_or_else(|| Error::fatal(format!("unbonding of provider {id} due at {due} is missing")))?;
        UNBONDINGS.remove(ctx, (id, due))?;
        let owner = get(ctx, id)?.owner;
        pay_out(ctx, &owner, &unbonding.amount)?;
        emit(ctx, MarketEvent::Unbonded { provider: id, amount: &unbonding.amount });
    }
    Ok(())
}
