//! Places at which a test can kill the process.

/// Aborts if the environment variable `GANTRY_STORE_FAIL` is `NAME#N` and this is the Nth time that `NAME` is passed.
#[cfg(test)]
pub(super) fn point(name: &str) {
    use std::collections::HashMap;
    use std::sync::{LazyLock, Mutex};
    static TARGET: LazyLock<Option<(String, u64)>> = LazyLock::new(|| {
        let target = std::env::var("GANTRY_STORE_FAIL").ok()?;
        let (name, count) = target.rsplit_once('#')?;
        Some((name.to_owned(), count.parse().unwrap()))
    });
    static PASSED: LazyLock<Mutex<HashMap<String, u64>>> = LazyLock::new(Mutex::default);
    if let Some((target, count)) = &*TARGET
        && target == name
    {
        let mut passed = PASSED.lock().unwrap();
        let passed = passed.entry(name.to_owned()).or_default();
        *passed += 1;
        if passed == count {
            std::process::abort();
        }
    }
}

/// Nothing, outside of tests.
#[cfg(not(test))]
pub(super) const fn point(_: &str) {}
