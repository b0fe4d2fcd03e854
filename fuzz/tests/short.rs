//! The short form of every target: its corpus, and mutations of it for `GANTRY_FUZZ_SECONDS` (2) from the seed
//! `GANTRY_FUZZ_SEED` (0).
#![expect(clippy::unwrap_used, reason = "a test panics where it fails")]

use std::{collections::BTreeSet, env, time::Duration};

use cosmos_sdk_proto::cosmos::tx::v1beta1::{TxBody, TxRaw};
use gantry_fuzz::{Target, chain, short, targets};
use prost::Message;

fn setting(name: &str, default: u64) -> u64 {
    env::var(name).map_or(default, |text| text.parse().expect("a number"))
}

fn short_form(target: &Target) {
    let corpus = short::corpus(target).unwrap();
    assert!(!corpus.is_empty(), "{} has no corpus: ./dev fuzz seeds", target.name);
    let seconds = setting("GANTRY_FUZZ_SECONDS", 2);
    let report = short::run(target, &corpus, setting("GANTRY_FUZZ_SEED", 0), Duration::from_secs(seconds));
    println!("{}: {report:?}", target.name);
    assert_eq!(report.corpus, corpus.len());
    assert!(seconds == 0 || report.mutations > 0);
}

macro_rules! targets {
    ($($name:ident),*) => {
        $(#[test]
        fn $name() {
            short_form(&targets::$name::TARGET);
        })*

        #[test]
        fn each_target_has_its_test_program_and_name() {
            let tested = [$(stringify!($name)),*];
            assert_eq!(targets::ALL.iter().map(|target| target.name).collect::<Vec<_>>(), tested);
            for name in tested {
                let program = concat!(env!("CARGO_MANIFEST_DIR"), "/fuzz_targets/").to_owned() + name + ".rs";
                assert!(std::fs::read_to_string(&program).unwrap().contains(&format!("targets::{name}::TARGET")));
                assert!(include_str!("../Cargo.toml").contains(&format!("name = \"fuzz-{name}\"")));
            }
        }
    };
}

targets!(abci, chain, content, frames, genesis, jobfile, query, snapshot, text, token, tree, tx);

#[test]
fn every_message_is_in_the_corpus() {
    let mut missing: BTreeSet<String> = chain::router().type_urls().map(str::to_owned).collect();
    for bytes in short::corpus(&targets::tx::TARGET).unwrap() {
        let Ok(raw) = TxRaw::decode(bytes.as_slice()) else { continue };
        let Ok(body) = TxBody::decode(raw.body_bytes.as_slice()) else { continue };
        for any in body.messages {
            missing.remove(&any.type_url);
        }
    }
    assert!(missing.is_empty(), "no seed for {missing:?}: ./dev fuzz seeds");
}
