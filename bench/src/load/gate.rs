//! When the next post may go out.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::{
    sync::Semaphore,
    time::{Instant, sleep_until, timeout_at},
};

/// Holds posts back to an offered rate, and to what the mempool takes: nothing is learned from a node that says "full".
#[derive(Debug)]
pub(super) struct Gate {
    start: Instant,
    deadline: Instant,
    /// Transactions a second, if it is not as fast as they are taken.
    rate: Option<f64>,
    /// Transactions that have been given a time.
    given: AtomicU64,
    /// Room for transactions that are posted and not executed.
    room: Semaphore,
}

impl Gate {
    pub(super) fn new(start: Instant, duration: Duration, rate: Option<f64>, outstanding: usize) -> Self {
        let room = Semaphore::new(outstanding);
        Self { start, deadline: start + duration, rate, given: AtomicU64::new(0), room }
    }

    /// Waits until `count` transactions may be posted; false when there is no more time for that.
    pub(super) async fn pass(&self, count: u32) -> bool {
        if let Some(rate) = self.rate {
            let given = self.given.fetch_add(u64::from(count), Ordering::Relaxed);
            let at = self.start + after(given, rate);
            if at >= self.deadline {
                return false;
            }
            sleep_until(at).await;
        }
        match timeout_at(self.deadline, self.room.acquire_many(count)).await {
            Ok(Ok(permits)) => {
                permits.forget();
                true
            }
            // Time is over; nobody closes the semaphore.
            Ok(Err(_)) | Err(_) => false,
        }
    }

    /// Makes room for what was executed.
    pub(super) fn executed(&self, count: u64) {
        self.room.add_permits(usize::try_from(count).expect("a count of transactions in memory"));
    }

    /// Whether posting is over.
    pub(super) fn closed(&self) -> bool {
        Instant::now() >= self.deadline
    }
}

/// When the transaction after `given` others is due.
fn after(given: u64, rate: f64) -> Duration {
    // A count below 2^53 is exact.
    #[expect(clippy::cast_precision_loss, reason = "counts of a run are far below 2^53")]
    Duration::from_secs_f64(given as f64 / rate)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn posts_are_spread_over_time() {
        let start = Instant::now();
        let gate = Gate::new(start, Duration::from_secs(10), Some(1000.0), 1000);
        for _ in 0..5 {
            assert!(gate.pass(10).await);
        }
        assert!(start.elapsed().as_millis() >= 40, "the fifth is due after the forty before it");
    }

    #[tokio::test]
    async fn no_more_is_outstanding_than_there_is_room_for() {
        let gate = Gate::new(Instant::now(), Duration::from_millis(300), None, 20);
        assert!(gate.pass(20).await);
        tokio::select! {
            _ = gate.pass(1) => panic!("there was no room"),
            () = tokio::time::sleep(Duration::from_millis(20)) => {}
        }
        gate.executed(5);
        assert!(gate.pass(5).await);
        assert!(!gate.pass(1).await, "time is over");
        assert!(gate.closed());
    }
}
