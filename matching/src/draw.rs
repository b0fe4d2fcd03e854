//! Drawing distinct owners at random by bond.
//!
//! The probability that an owner is drawn is *exactly* proportional to its weight: `seats * weight / total`. An owner
//! for whom that is one or more is seated for certain (it can hold one seat only), and the rest is shared among the
//! others by the same rule. This is systematic sampling with unequal probabilities: owners are laid end to end on a
//! line in random order, each as long as `seats * weight`, and every `total`-th point is taken, beginning at a random
//! one. All of it is exact in integers.
//!
//! What that promises:
//! - **Splitting gains nothing.** An owner with weight `w` expects `seats * w / total` seats. Split over any number of
//!   owners the parts expect the same sum. Only an owner held at one seat by the rule above can gain, and never more
//!   than what every other owner gets for a unit of bond. (Successive draws weighted by bond, the usual way, do not
//!   have this property: what a large owner cannot take twice goes to the small ones beyond their share.)
//! - **Places cannot be chosen.** The order on the line is drawn anew for each draw, so that nobody can place two of
//!   his owners one step apart to have both drawn together.
//!
//! What it does not: whoever holds more than half of the free bond expects more than half of the seats.

use crate::random::{Seed, Stream};

/// Most seats of one draw. Keeps `seats * total` within 128 bits.
pub const MAX_SEATS: u16 = 256;

/// The largest total weight; larger ones are scaled down together.
const MAX_TOTAL: u128 = 1 << 96;

/// Draws `seats` distinct places of `weights`, in random order; `None` when there are fewer places than seats, no
/// seats, or more than [`MAX_SEATS`]. A weight of 0 counts as 1. The caller fixes the order of `weights`: it must not
/// depend on anything but the candidates (ascending owners, say).
pub fn draw_seats(weights: &[u128], seats: u16, seed: Seed) -> Option<Vec<usize>> {
    if seats == 0 || seats > MAX_SEATS || weights.len() < usize::from(seats) {
        return None;
    }
    let weights = scaled(weights);
    let mut stream = Stream::new(seed);
    let mut order: Vec<usize> = (0..weights.len()).collect();
    stream.shuffle(&mut order);

    let mut chosen = vec![false; weights.len()];
    let (seats, total) = seat_certain(&weights, seats, &mut chosen);
    if seats > 0 {
        let start = stream.below(total);
        systematic(&weights, seats, total, start, &order, &mut chosen);
    }
    order.retain(|at| chosen[*at]);
    Some(order)
}

/// Brings the sum of the weights below [`MAX_TOTAL`], keeping their proportions, and none at 0.
fn scaled(weights: &[u128]) -> Vec<u128> {
    let largest = weights.iter().copied().max().unwrap_or(0);
    let limit = MAX_TOTAL / (weights.len() as u128).max(1);
    let shift = (0..u128::BITS).find(|shift| largest >> shift <= limit).unwrap_or(0);
    weights.iter().map(|weight| (weight >> shift).max(1)).collect()
}

/// Seats whoever is too large for the rest: returns the seats and the weight that are left.
fn seat_certain(weights: &[u128], seats: u16, chosen: &mut [bool]) -> (u128, u128) {
    let (mut seats, mut total) = (u128::from(seats), weights.iter().sum::<u128>());
    while seats > 0 {
        // Of equal weights the first; with one gone the bar is higher, so one at a time.
        let rest = (0..weights.len()).filter(|at| !chosen[*at]);
        let largest = rest.max_by_key(|at| (weights[*at], usize::MAX - at));
        match largest.filter(|at| seats * weights[*at] >= total) {
            Some(at) => {
                chosen[at] = true;
                seats -= 1;
                total -= weights[at];
            }
            None => break,
        }
    }
    (seats, total)
}

/// Takes the places on which the points `start`, `start + total`, … of the line lie: exactly `seats` of them, because
/// the line is `seats * total` long, `start` is below `total`, and no place is as long as a step.
fn systematic(weights: &[u128], seats: u128, total: u128, start: u128, order: &[usize], chosen: &mut [bool]) {
    let (mut end, mut point) = (0, start);
    for at in order {
        if chosen[*at] {
            continue;
        }
        end += seats * weights[*at];
        if point < end {
            chosen[*at] = true;
            point += total;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// In how many of all possible starts each place is taken, for one order: exact, no statistics. Returns the number
    /// of starts too.
    fn inclusion(weights: &[u128], seats: u16, order: &[usize]) -> (Vec<u128>, u128) {
        let mut certain = vec![false; weights.len()];
        let (seats, total) = seat_certain(weights, seats, &mut certain);
        if seats == 0 {
            return (certain.into_iter().map(u128::from).collect(), 1);
        }
        let mut counts = vec![0u128; weights.len()];
        for start in 0..total {
            let mut chosen = certain.clone();
            systematic(weights, seats, total, start, order, &mut chosen);
            for (count, chosen) in counts.iter_mut().zip(chosen) {
                *count += u128::from(chosen);
            }
        }
        (counts, total)
    }

    fn order(len: usize, seed: u8) -> Vec<usize> {
        let mut order: Vec<usize> = (0..len).collect();
        Stream::new([seed; 32]).shuffle(&mut order);
        order
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn the_chance_of_a_seat_is_exactly_the_share_of_bond(
            weights in proptest::collection::vec(1u128..60, 2..12), seats in 1u16..6, seed: u8,
        ) {
            prop_assume!(usize::from(seats) <= weights.len());
            let (counts, starts) = inclusion(&weights, seats, &order(weights.len(), seed));
            let mut certain = vec![false; weights.len()];
            let (rest, total) = seat_certain(&weights, seats, &mut certain);
            for at in 0..weights.len() {
                if certain[at] {
                    prop_assert_eq!(counts[at], starts);
                } else {
                    // count / starts = rest * weight / total, and starts = total (or nothing is left to draw).
                    prop_assert_eq!(counts[at] * total, rest * weights[at] * starts);
                }
            }
            prop_assert_eq!(counts.iter().sum::<u128>(), u128::from(seats) * starts);
        }

        /// Expected seats of one owner, whole and in parts, by exact enumeration.
        #[test]
        fn splitting_an_identity_gains_nothing(
            others in proptest::collection::vec(1u128..40, 3..9), parts in proptest::collection::vec(1u128..12, 2..6),
            seats in 1u16..4, seed: u8,
        ) {
            let whole: u128 = parts.iter().sum();
            let mut single = others.clone();
            single.push(whole);
            let (counts, starts) = inclusion(&single, seats, &order(single.len(), seed));
            let alone = (counts[others.len()], starts);

            let mut split = others.clone();
            split.extend(&parts);
            let (counts, starts) = inclusion(&split, seats, &order(split.len(), seed));
            let together = (counts[others.len()..].iter().sum::<u128>(), starts);

            if alone.0 < alone.1 {
                // Not held at one seat: exactly the same expectation.
                prop_assert_eq!(together.0 * alone.1, alone.0 * together.1);
            } else {
                // Held at one seat: splitting cannot beat what an ordinary owner gets for each unit of bond...
                let ordinary = (0..others.len()).filter(|at| counts[*at] < starts).max_by_key(|at| others[*at]);
                if let Some(at) = ordinary {
                    prop_assert!(together.0 * others[at] <= counts[at] * whole);
                }
                // ...and with nobody held at one seat, that is its share of all bond.
                if counts.iter().all(|count| *count < starts) {
                    let total: u128 = split.iter().sum();
                    prop_assert_eq!(together.0 * total, u128::from(seats) * whole * together.1);
                }
            }
        }

        #[test]
        fn any_weights_give_distinct_seats(weights in proptest::collection::vec(any::<u128>(), 0..40), seats in 0u16..12, seed: [u8; 32]) {
            match draw_seats(&weights, seats, seed) {
                None => prop_assert!(seats == 0 || weights.len() < usize::from(seats)),
                Some(mut drawn) => {
                    prop_assert_eq!(drawn.len(), usize::from(seats));
                    drawn.sort_unstable();
                    drawn.dedup();
                    prop_assert_eq!(drawn.len(), usize::from(seats));
                    prop_assert!(drawn.iter().all(|at| *at < weights.len()));
                }
            }
        }
    }

    #[test]
    fn the_extremes_fit() {
        let drawn = draw_seats(&[u128::MAX; 300], MAX_SEATS, [1; 32]).unwrap();
        assert_eq!(drawn.len(), 256);
        assert_eq!(draw_seats(&[1; 300], MAX_SEATS + 1, [1; 32]), None);
        assert_eq!(draw_seats(&[0, 0], 2, [1; 32]).unwrap().len(), 2);
        // One whale, and dust: the whale once, the rest among the dust.
        let drawn = draw_seats(&[u128::MAX, 1, 0, 1], 3, [2; 32]).unwrap();
        assert!(drawn.contains(&0));
    }

    /// 20,000 draws from fixed seeds: each owner's count lies within 5 standard deviations of its share, and pairs are
    /// drawn together about as often as independent draws would have it (order is random, so no pair is favoured).
    #[test]
    fn draws_follow_the_weights() {
        let weights = [50u128, 100, 150, 200, 250, 250];
        let (draws, seats) = (20_000u64, 3u16);
        let mut counts = [0u64; 6];
        let mut first = [0u64; 6];
        let mut pairs = [[0u64; 6]; 6];
        for n in 0..draws {
            let drawn = draw_seats(&weights, seats, crate::seed("test", b"hash", n)).unwrap();
            first[drawn[0]] += 1;
            for a in &drawn {
                counts[*a] += 1;
                for b in &drawn {
                    pairs[*a][*b] += 1;
                }
            }
        }
        for (at, count) in counts.into_iter().enumerate() {
            let share = u64::try_from(weights[at]).unwrap() * u64::from(seats); // of 1000
            let expected = draws * share / 1000;
            // (count - expected)^2 <= 25 * draws * p * (1 - p), all times 10^6.
            let square = count.abs_diff(expected).pow(2) * 1_000_000;
            assert!(square <= 25 * draws * share * (1000 - share), "place {at}: {count} of {expected}");
            // Nobody is the first replica more often than by its share.
            assert!(first[at].abs_diff(expected / 3) <= expected / 20 + 150, "place {at}: {} first", first[at]);
        }
        for a in 0..6 {
            for b in 0..a {
                assert!(pairs[a][b] > 0, "{a} and {b} are never drawn together");
                assert!(pairs[a][b] < counts[a].min(counts[b]), "{a} and {b} are always drawn together");
            }
        }
    }
}
