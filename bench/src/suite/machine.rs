//! What the figures were taken on.

use std::{fs, thread};

use anyhow::Result;

/// Processor, memory, kernel, and whether anything else was running.
pub(super) fn describe() -> Result<String> {
    let processor = first(&fs::read_to_string("/proc/cpuinfo")?, "model name");
    let memory = first(&fs::read_to_string("/proc/meminfo")?, "MemTotal");
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split_whitespace().next().unwrap_or_default();
    let cores = thread::available_parallelism()?;
    Ok(format!(
        "{processor}; {cores} processors for all that was measured, the load generator included; memory {memory}; \
         Linux {}; load average before the run {load}.\n",
        kernel.trim()
    ))
}

/// The value of the first line with this key.
fn first(text: &str, key: &str) -> String {
    let line = text.lines().find_map(|line| line.strip_prefix(key)?.split_once(':'));
    line.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_many_processors_is_named() {
        let text = "processor\t: 0\nmodel name\t: Some CPU @ 2 GHz\nmodel name\t: Other\n";
        assert_eq!(first(text, "model name"), "Some CPU @ 2 GHz");
        assert_eq!(first(text, "absent"), "");
        assert!(describe().unwrap().contains("processors"));
    }
}
