//! Places at which a test can kill the process.

/// Aborts if the environment variable `GANTRY_STORE_FAIL` is `NAME#N` and this is the Nth time that `name` is passed.
#[cfg(test)]
pub(super) fn point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};
    static TARGET: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let target = std::env::var("GANTRY_STORE_FAIL").ok()?;
        let (name, count) = target.rsplit_once('#')?;
        Some((name.to_owned(), count.parse().unwrap()))
    });
    static PASSED: AtomicU64 = AtomicU64::new(0);
    if let Some((target, count)) = &*TARGET
        && target == name
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *count
    {
        std::process::abort();
    }
}

/// Nothing, outside of tests.
#[cfg(not(test))]
pub(super) const fn point(_: &str) {}
