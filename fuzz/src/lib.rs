//! Bytes that no one meant: targets for fuzzing.
//!
//! A target is a plain function over bytes, which panics when a promise is broken. Two drivers call it: a test, which
//! replays the committed corpus and mutates it for seconds by [`short`], and libFuzzer, which follows coverage for hours
//! (`./dev fuzz`, the programs in `fuzz_targets`). Both mutate by structure ([`mutate`]), because what matters lies behind
//! decoders that refuse nearly everything that a flipped byte makes.

pub mod chain;
pub mod iavl;
pub mod mutate;
pub mod seeds;
pub mod short;
pub mod targets;

use mutate::Form;

/// What is fuzzed.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    /// Its name: of the program, and of the folder of its corpus.
    pub name: &'static str,
    /// What its inputs are, for mutation.
    pub form: Form,
    /// Panics when a promise is broken.
    pub run: fn(&[u8]),
}

/// The program of a target under libFuzzer.
#[cfg(feature = "libfuzzer")]
#[macro_export]
macro_rules! program {
    ($target:expr) => {
        libfuzzer_sys::fuzz_target!(|data: &[u8]| { ($target.run)(data) });

        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
            // libFuzzer's own mutations know what comparisons the program made; ours know the structure.
            if seed.is_multiple_of(4) {
                return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
            }
            let mut rng = $crate::mutate::Rng::new(u64::from(seed));
            let mutated = $crate::mutate::mutate($target.form, &data[..size], &data[..size], max_size, &mut rng);
            data[..mutated.len()].copy_from_slice(&mutated);
            mutated.len()
        });
    };
}
