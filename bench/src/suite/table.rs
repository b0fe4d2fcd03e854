//! The results as Markdown.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result};
use gantry_bench::{Measurement, stats::Spread};
use serde_json::{Map, Value, json};

use super::targets;

/// Marks in a document between which the table lies.
const BEGIN: &str = "<!-- figures: begin -->\n";
const END: &str = "<!-- figures: end -->";

/// Figures that were repeated, each with what it was measured with.
pub(super) struct Figures(Vec<(String, String, Map<String, Value>, Spread)>);

impl Figures {
    fn new(all: &[Measurement]) -> Self {
        let mut groups: BTreeMap<(String, String), (&Measurement, Vec<f64>)> = BTreeMap::new();
        for figure in all {
            let key = (figure.name.clone(), Value::Object(figure.settings.clone()).to_string());
            groups.entry(key).or_insert((figure, Vec::new())).1.push(figure.value);
        }
        let spread = |(figure, values): (&Measurement, Vec<f64>)| {
            let spread = Spread::of(&values)?;
            Some((figure.name.clone(), figure.unit.clone(), figure.settings.clone(), spread))
        };
        Self(groups.into_values().filter_map(spread).collect())
    }

    /// The first figure of this name whose settings include these.
    pub(super) fn find(&self, name: &str, settings: &Value) -> Option<Spread> {
        let wanted = settings.as_object()?;
        let matches = |has: &Map<String, Value>| wanted.iter().all(|(key, value)| has.get(key) == Some(value));
        self.0.iter().find(|(found, _, has, _)| found == name && matches(has)).map(|found| found.3)
    }
}

/// All tables.
pub(super) fn markdown(all: &[Measurement]) -> String {
    let figures = Figures::new(all);
    let mut text = String::from("### Figures to reach\n\n");
    text += &rows(&["Measure", "Must", "Aim", "Measured"], &targets::rows(&figures));
    let networks = [
        ("throughput", "### One validator, as fast as transactions are taken"),
        ("held", "### Four validators, the highest rate held with blocks under a second"),
    ];
    for (name, title) in networks {
        text += &format!("\n{title}\n\n{}", network(&figures, name));
    }
    text += "\n### All others\n\n";
    let in_networks = |name: &str| NETWORK.contains(&name) || networks.iter().any(|(main, _)| *main == name);
    let others = figures.0.iter().filter(|(name, ..)| !in_networks(name)).map(|(name, unit, settings, spread)| {
        let settings: Vec<String> = settings.iter().map(|(key, value)| format!("{key} {}", plain(value))).collect();
        vec![name.clone(), settings.join(", "), number(spread.median), range(spread), unit.clone()]
    });
    text += &rows(&["Measure", "Settings", "Median", "Least to greatest", "Unit"], &others.collect::<Vec<_>>());
    text
}

/// Figures that each load of a network has, besides its rate.
const NETWORK: [&str; 12] = [
    "committed",
    "late",
    "wall",
    "latency.p50",
    "latency.p99",
    "block.interval.p50",
    "block.interval.p99",
    "cpu.total",
    "cpu.app",
    "cpu.comet",
    "memory.app",
    "memory.comet",
];

/// A row for each system under each setting, with its ratio to the limit and to the peer under the same.
fn network(figures: &Figures, name: &str) -> String {
    let head = [
        "Indexer",
        "Senders",
        "System",
        "tx/s",
        "Least to greatest",
        "of kvstore socket",
        "of simd",
        "Block p50, s",
        "To commit p50 / p99, s",
        "CPU application / CometBFT / all, us/tx",
    ];
    let of_this = figures.0.iter().filter(|(found, ..)| found == name);
    let lines = of_this.map(|(_, _, settings, spread)| {
        let with = |system: Option<&str>| {
            let mut settings = settings.clone();
            if let Some(system) = system {
                settings.insert("system".to_owned(), system.into());
            }
            Value::Object(settings)
        };
        let ratio = |peer: &str| {
            let peer = figures.find(name, &with(Some(peer)));
            peer.map_or("-".to_owned(), |peer| format!("{:.2}", spread.median / peer.median))
        };
        let own = |figure: &str, digits: usize| {
            figures.find(figure, &with(None)).map_or("-".to_owned(), |found| format!("{:.digits$}", found.median))
        };
        let setting = |key: &str| plain(&settings[key]);
        let joint = own("cpu.app", 0) == "0";
        let split = if joint { "- / -".to_owned() } else { format!("{} / {}", own("cpu.app", 0), own("cpu.comet", 0)) };
        vec![
            setting("indexer"),
            setting("senders"),
            setting("system"),
            number(spread.median),
            range(spread),
            ratio("kvstore-socket"),
            ratio("simd"),
            own("block.interval.p50", 2),
            format!("{} / {}", own("latency.p50", 2), own("latency.p99", 2)),
            format!("{split} / {}", own("cpu.total", 0)),
        ]
    });
    let mut lines: Vec<Vec<String>> = lines.collect();
    lines.sort_by_key(|line| (line[0] != "null", line[1].parse::<u64>().unwrap_or(0), line[2].clone()));
    rows(&head, &lines)
}

fn plain(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// Four significant digits are more than a run repeats.
pub(super) fn number(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 || value == 0.0 => format!("{value:.0}"),
        size if size >= 1.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

fn range(spread: &Spread) -> String {
    if spread.count == 1 { "once".to_owned() } else { format!("{} to {}", number(spread.min), number(spread.max)) }
}

fn rows(head: &[&str], lines: &[Vec<String>]) -> String {
    let mut text = format!("| {} |\n|{}\n", head.join(" | "), "---|".repeat(head.len()));
    for line in lines {
        text += &format!("| {} |\n", line.join(" | "));
    }
    text
}

/// Puts the tables between the marks of a document.
pub(super) fn replace(file: &Path, tables: &str) -> Result<()> {
    let old = fs::read_to_string(file).with_context(|| file.display().to_string())?;
    fs::write(file, between(&old, tables).with_context(|| format!("{} has no marks", file.display()))?)?;
    Ok(())
}

fn between(old: &str, tables: &str) -> Option<String> {
    let (before, rest) = old.split_once(BEGIN)?;
    let (_, after) = rest.split_once(END)?;
    Some(format!("{before}{BEGIN}{tables}{END}{after}"))
}

/// Settings of a network that the targets speak of.
pub(super) fn on(system: &str, validators: u64, indexer: &str, senders: u64) -> Value {
    json!({"system": system, "validators": validators, "indexer": indexer, "senders": senders})
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(system: &str, value: f64) -> Measurement {
        let settings = on(system, 1, "null", 200);
        Measurement { settings: settings.as_object().unwrap().clone(), ..Measurement::new("throughput", "tx/s", value) }
    }

    #[test]
    fn repeated_figures_are_one_row_with_its_ratios() {
        let all =
            [rate("gantryd", 6000.0), rate("simd", 1500.0), rate("gantryd", 8000.0), rate("kvstore-socket", 10_000.0)];
        let text = markdown(&all);
        assert!(text.contains("| null | 200 | gantryd | 7000 | 6000 to 8000 | 0.70 | 4.67 |"), "{text}");
        assert!(text.contains("| null | 200 | simd | 1500 | once | 0.15 | 1.00 |"), "{text}");
    }

    #[test]
    fn figures_of_other_steps_are_listed_with_their_settings() {
        let text = markdown(&[Measurement::new("tree.updates", "1/s", 1234.5).with("batch", 1000).with("x", "y")]);
        assert!(text.contains("| tree.updates | batch 1000, x y | 1234 | once | 1/s |"), "{text}");
    }

    #[test]
    fn only_what_lies_between_the_marks_is_replaced() {
        let old = format!("a\n{BEGIN}old\n{END}\nb\n");
        assert_eq!(between(&old, "new\n").unwrap(), format!("a\n{BEGIN}new\n{END}\nb\n"));
        assert_eq!(between("no marks", "x"), None);
    }
}
