//! One `config.toml` for all systems.

use anyhow::Result;
use clap::ValueEnum;
use serde::{Deserialize, Serialize};
use toml_edit::{DocumentMut, Item, value};

use super::{NetOptions, Node};

/// CometBFT's transaction index.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "kebab-case")]
pub enum Indexer {
    /// None
    Null,
    /// In the node's database
    Kv,
}

/// Settings that every node of every system has, besides CometBFT's defaults.
fn settings() -> Vec<(&'static str, Item)> {
    vec![
        ("log_level", value("error")),
        ("rpc.max_body_bytes", value(10_000_000)),
        ("rpc.max_open_connections", value(2000)),
        ("p2p.addr_book_strict", value(false)),
        ("p2p.allow_duplicate_ip", value(true)),
        ("p2p.pex", value(false)),
        ("p2p.flush_throttle_timeout", value("10ms")),
        ("p2p.send_rate", value(20_971_520)),
        ("p2p.recv_rate", value(20_971_520)),
        ("mempool.size", value(50_000)),
        ("mempool.cache_size", value(100_000)),
        ("mempool.recheck", value(true)),
        ("consensus.timeout_propose", value("1s")),
        ("consensus.peer_gossip_sleep_duration", value("10ms")),
    ]
}

/// CometBFT's defaults with the settings, and what differs from node to node.
pub(super) fn config_toml(defaults: &str, node: &Node, peers: &[String], options: &NetOptions) -> Result<String> {
    let mut file: DocumentMut = defaults.parse()?;
    let indexer = match options.indexer {
        Indexer::Null => "null",
        Indexer::Kv => "kv",
    };
    let own = [
        ("rpc.laddr", value(format!("tcp://{}", node.rpc_address()))),
        ("p2p.laddr", value(format!("tcp://127.0.0.1:{}", node.p2p))),
        ("p2p.persistent_peers", value(peers.join(","))),
        ("tx_index.indexer", value(indexer)),
        ("consensus.timeout_commit", value(format!("{}ms", options.timeout_commit.as_millis()))),
    ];
    for (key, item) in settings().into_iter().chain(own) {
        match key.split_once('.') {
            Some((table, key)) => file[table][key] = item,
            None => file[key] = item,
        }
    }
    Ok(file.to_string())
}

#[cfg(test)]
mod tests {
    use std::{path::PathBuf, time::Duration};

    use super::*;
    use crate::net::System;

    #[test]
    fn settings_replace_defaults_and_leave_the_rest() {
        let defaults =
            "log_level = \"info\"\n[mempool]\nsize = 5000\nmax_tx_bytes = 7\n[rpc]\n[p2p]\n[tx_index]\n[consensus]\n";
        let options = NetOptions {
            system: System::Simd,
            validators: 1,
            indexer: Indexer::Kv,
            timeout_commit: Duration::from_millis(500),
            dir: PathBuf::new(),
        };
        let node = Node::new(PathBuf::new(), "ab".into(), 1, 2);
        let file: DocumentMut = config_toml(defaults, &node, &["x@y:1".into()], &options).unwrap().parse().unwrap();
        assert_eq!(file["mempool"]["size"].as_integer(), Some(50_000));
        assert_eq!(file["mempool"]["max_tx_bytes"].as_integer(), Some(7));
        assert_eq!(file["consensus"]["timeout_commit"].as_str(), Some("500ms"));
        assert_eq!(file["tx_index"]["indexer"].as_str(), Some("kv"));
        assert_eq!(file["rpc"]["laddr"].as_str(), Some("tcp://127.0.0.1:1"));
        assert_eq!(file["p2p"]["persistent_peers"].as_str(), Some("x@y:1"));
        assert_eq!(file["log_level"].as_str(), Some("error"));
    }
}
