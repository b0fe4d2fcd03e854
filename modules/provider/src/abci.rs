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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{Chain, FUNDS, MIN_BOND, UNBONDING_BLOCKS, address};

    #[test]
    fn payouts_of_one_block_are_bounded_and_carry_over() {
        let mut chain = Chain::new();
        // 13 unbondings for each of 8 providers: 104, all due when nobody looked for a while.
        for n in 1..=8 {
            chain.register(n, MIN_BOND).unwrap();
            for height in 1..=13 {
                chain.height = height;
                chain.unbond(n, 1).unwrap();
            }
        }
        let paid = |chain: &Chain| (1..=8).map(|n| chain.balance(&address(n))).sum::<u128>() - 8 * (FUNDS - MIN_BOND);
        chain.height = UNBONDING_BLOCKS + 20;
        chain.keep(end_block).unwrap();
        assert_eq!(paid(&chain), 100);
        assert_eq!(chain.events.iter().filter(|e| e.kind == "gantry_provider").count(), 100);
        chain.keep(end_block).unwrap();
        assert_eq!(paid(&chain), 104);
        chain.keep(end_block).unwrap();
        assert!(chain.events.is_empty());
    }
}
