use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How often a condition is looked at.
const POLL: Duration = Duration::from_millis(50);

/// Waits until `condition` gives a value; its last `Err` explains a timeout, because a node that starts is first
/// unreachable.
///
/// # Errors
/// When `limit` has passed.
pub async fn until<T>(what: &str, limit: Duration, mut condition: impl AsyncFnMut() -> Result<Option<T>>) -> Result<T> {
    let start = Instant::now();
    let mut tick = tokio::time::interval(POLL);
    loop {
        tick.tick().await;
        let last = match condition().await {
            Ok(Some(value)) => return Ok(value),
            Ok(None) => None,
            Err(error) => Some(error),
        };
        if start.elapsed() > limit {
            match last {
                Some(error) => bail!("{what}: not within {} s: {error:#}", limit.as_secs()),
                None => bail!("{what}: not within {} s", limit.as_secs()),
            }
        }
    }
}
