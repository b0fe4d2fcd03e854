//! Processor time and memory of processes, from /proc.

use std::{fs, iter::Sum, ops::Add, ops::Sub};

use anyhow::{Context, Result};

/// What processes have used: times in seconds, memory in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Processor time of the application; 0 where it is one process with CometBFT.
    pub app: f64,
    /// Processor time of CometBFT; of both where they are one process.
    pub comet: f64,
    /// Resident memory of the application; of both where they are one process.
    pub app_memory: u64,
}

/// One process.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Own {
    time: f64,
    memory: u64,
}

impl Usage {
    pub(super) fn read(pid: u32) -> Result<Own> {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"))?;
        let statm = fs::read_to_string(format!("/proc/{pid}/statm"))?;
        parse(&stat, &statm).with_context(|| format!("/proc/{pid}"))
    }

    pub(super) fn joint(own: Own) -> Self {
        Self { app: 0.0, comet: own.time, app_memory: own.memory }
    }

    pub(super) fn split(app: Own, comet: Own) -> Self {
        Self { app: app.time, comet: comet.time, app_memory: app.memory }
    }

    /// Processor time of all.
    #[must_use]
    pub fn total(&self) -> f64 {
        self.app + self.comet
    }
}

fn parse(stat: &str, statm: &str) -> Option<Own> {
    // The program's name may hold spaces and parentheses; the fields begin after the last of these.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    // proc(5): utime is the 14th field of all, stime the 15th; state, the 3rd, is the first here.
    let ticks: u64 = fields.get(11)?.parse::<u64>().ok()? + fields.get(12)?.parse::<u64>().ok()?;
    let pages: u64 = statm.split_whitespace().nth(1)?.parse().ok()?;
    #[expect(clippy::cast_precision_loss, reason = "ticks of a run are far below 2^53")]
    let time = ticks as f64 / TICKS;
    Some(Own { time, memory: pages * PAGE })
}

/// The kernel's USER_HZ, which is 100 on every Linux.
const TICKS: f64 = 100.0;
/// Bytes of a page on x86-64 and most others.
const PAGE: u64 = 4096;

impl Add for Usage {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self {
            app: self.app + other.app,
            comet: self.comet + other.comet,
            app_memory: self.app_memory + other.app_memory,
        }
    }
}

impl Sub for Usage {
    type Output = Self;

    /// What was used since `before`; memory is that of now.
    fn sub(self, before: Self) -> Self {
        Self { app: self.app - before.app, comet: self.comet - before.comet, app_memory: self.app_memory }
    }
}

impl Sum for Usage {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        all.fold(Self::default(), Add::add)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_are_found_behind_a_hostile_name() {
        let stat = "7 (a) R (b) S 1 7 7 0 -1 4194560 1 0 0 0 250 50 0 0 20 0 9 0 100 1000 200 18446744073709551615";
        let own = parse(stat, "1000 200 30 1 0 100 0").unwrap();
        assert_eq!(own, Own { time: 3.0, memory: 200 * 4096 });
        assert_eq!(parse("7 (x", "1 2"), None);
    }

    #[test]
    fn the_own_process_uses_time() {
        let own = Usage::read(std::process::id()).unwrap();
        assert!(own.memory > 1_000_000);
    }
}
