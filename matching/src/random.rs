use sha2::{Digest, Sha256};

/// What one draw's randomness starts from.
pub type Seed = [u8; 32];

/// The seed of a block: `H(domain, app_hash(height - 1), height)`.
///
/// The proposer of the block before can try several contents and keep the seed it likes best ("grinding"). What is
/// matched at `height` must therefore have been admitted at or before `height - 2`, so that at least nobody can fit a
/// job or an offer to a seed already known; a better source replaces this function without touching its callers.
pub fn seed(domain: &str, app_hash: &[u8], height: u64) -> Seed {
    digest("gantry/seed/v1", &[domain.as_bytes(), app_hash, &height.to_be_bytes()])
}

/// SHA-256 over parts, each preceded by its length, so that no two lists of parts read the same.
pub(crate) fn digest(domain: &str, parts: &[&[u8]]) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in std::iter::once(&domain.as_bytes()).chain(parts) {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    hash.finalize().into()
}

/// Random numbers from a seed: SHA-256 over the seed and a counter.
pub(crate) struct Stream {
    seed: Seed,
    block: u64,
}

impl Stream {
    pub(crate) fn new(seed: Seed) -> Self {
        Self { seed, block: 0 }
    }

    fn next(&mut self) -> [u8; 32] {
        let mut hash = Sha256::new();
        hash.update(self.seed);
        hash.update(self.block.to_be_bytes());
        self.block += 1;
        hash.finalize().into()
    }

    /// A number below `bound`, at most 2^96: a 256-bit number modulo `bound`, so the bias is below 2^-160 and nothing
    /// is ever drawn twice.
    pub(crate) fn below(&mut self, bound: u128) -> u128 {
        debug_assert!(bound > 0 && bound <= 1 << 96);
        self.next().as_chunks::<4>().0.iter().fold(0, |rest, word| {
            // rest < 2^96, so the shift loses nothing.
            ((rest << 32) | u128::from(u32::from_be_bytes(*word))) % bound
        })
    }

    /// Fisher and Yates' shuffle; 64 random bits a step, so the bias of a step is below 2^-32 for any list that fits.
    pub(crate) fn shuffle<T>(&mut self, items: &mut [T]) {
        let mut buffer = [0u8; 32];
        let mut at = 4;
        for last in (1..items.len()).rev() {
            if at == 4 {
                (buffer, at) = (self.next(), 0);
            }
            let random = u64::from_be_bytes(buffer.as_chunks::<8>().0[at]);
            at += 1;
            let chosen = (u128::from(random) * (last as u128 + 1)) >> 64;
            // chosen <= last, which is a usize.
            items.swap(last, usize::try_from(chosen).unwrap_or(last));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Consensus depends on it. Computed apart from this crate, with another SHA-256.
    #[test]
    fn the_seed_is_what_the_design_says() {
        let app_hash: Vec<u8> = (0..32).collect();
        assert_eq!(
            hex::encode(seed("gantry/matching", &app_hash, 7)),
            "837321962ae183013f4afb196f7da4528e607fe2d79e70112a038dbdf5aeef27"
        );
        // No two lists of parts read the same.
        assert_ne!(digest("d", &[b"ab", b"c"]), digest("d", &[b"a", b"bc"]));
        assert_ne!(digest("d", &[b"ab"]), digest("d", &[b"ab", b""]));
    }

    #[test]
    fn a_stream_stays_below_its_bound_and_reaches_it() {
        let mut stream = Stream::new([3; 32]);
        let mut seen = [0u32; 7];
        for _ in 0..7_000 {
            seen[usize::try_from(stream.below(7)).unwrap_or(7)] += 1;
        }
        assert!(seen.iter().all(|count| count.abs_diff(1_000) < 200), "{seen:?}");
        assert!((0..100).all(|_| stream.below(1) == 0 && stream.below(1 << 96) < 1 << 96));
        let mut items: Vec<u32> = (0..100).collect();
        stream.shuffle(&mut items);
        assert!(items.iter().enumerate().filter(|(at, item)| *at == **item as usize).count() < 10);
        items.sort_unstable();
        assert_eq!(items, (0..100).collect::<Vec<_>>());
    }
}
