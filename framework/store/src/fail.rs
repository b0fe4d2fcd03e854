//! Places at which a test can kill the process: nothing at all outside of test builds (feature `testing`).
//!
//! `GANTRY_FAIL=NAME#N` aborts at the Nth time that the place `NAME` is passed. `GANTRY_FAIL=?` names every place on
//! standard error as it is passed, so that a test can visit each of them and none can be forgotten.

/// A place called `name`.
#[cfg(any(test, feature = "testing"))]
pub fn point(name: &str) {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    enum Order {
        Name,
        Abort { at: String, count: u64 },
    }
    static ORDER: LazyLock<Option<Order>> = LazyLock::new(|| {
        let order = std::env::var("GANTRY_FAIL").ok()?;
        if order == "?" {
            return Some(Order::Name);
        }
        let (at, count) = order.rsplit_once('#').expect("GANTRY_FAIL is NAME#N");
        Some(Order::Abort { at: at.to_owned(), count: count.parse().expect("GANTRY_FAIL ends with a count") })
    });
    static PASSED: AtomicU64 = AtomicU64::new(0);
    if let Some(Order::Name) = &*ORDER {
        eprintln!("{PREFIX}{name}");
    }
    if let Some(Order::Abort { at, count }) = &*ORDER
        && at == name
        && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *count
    {
        eprintln!("{PREFIX}{name}");
        std::process::abort();
    }
}

/// What stands before the name of a place on standard error.
#[cfg(any(test, feature = "testing"))]
pub const PREFIX: &str = "fail point: ";

/// A place, in a build that tests nothing.
#[cfg(not(any(test, feature = "testing")))]
pub const fn point(_: &str) {}
