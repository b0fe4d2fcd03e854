//! Jobs that are refused, each with its code; nothing is locked for any of them.

use gantry_core::Coin;
use gantry_proto::gantry::{
    job::v1::{input::Source, *},
    verifier::v1::{Quorum, VerificationPolicy, verification_policy::Kind},
};

use crate::chain::*;

type Change = fn(&mut JobSpec);

fn input(path: &str) -> Input {
    Input { path: path.into(), source: Some(Source::Cid(IMAGE.into())) }
}

fn predicate(attribute: &str, op: PredicateOp, values: &[u64]) -> Predicate {
    Predicate { attribute: attribute.into(), op: op.into(), values: values.to_vec() }
}

fn resources(predicates: Vec<Predicate>) -> Option<Resources> {
    Some(Resources { predicates, ..Resources::default() })
}

fn policy(k: u32, n: u32) -> Option<VerificationPolicy> {
    Some(VerificationPolicy { kind: Some(Kind::Quorum(Quorum { k, n })) })
}

fn coin(amount: u128) -> Option<cosmos_sdk_proto::cosmos::base::v1beta1::Coin> {
    Some(Coin::base(amount).to_proto())
}

const CASES: &[(&str, Change, (&str, u32))] = &[
    ("no name", |s| s.name.clear(), ("job", 9)),
    ("upper case", |s| s.name = "One".into(), ("job", 9)),
    ("a dot first", |s| s.name = ".one".into(), ("job", 9)),
    ("a long name", |s| s.name = "x".repeat(65), ("job", 9)),
    ("no kind", |s| s.kind = 0, ("sdk", 37)),
    ("a service", |s| s.kind = 2, ("sdk", 37)),
    ("a container", |s| s.runtime = 2, ("sdk", 37)),
    ("no image", |s| s.image = None, ("job", 21)),
    ("an empty image", |s| s.image.as_mut().unwrap().size_bytes = 0, ("job", 21)),
    ("no CID", |s| s.image.as_mut().unwrap().root_cid = "hello".into(), ("job", 15)),
    (
        "CID version 0",
        |s| s.image.as_mut().unwrap().root_cid = "QmYwAPJzv5CZsnA625s3Xf2nemtYgPpHdWEz79ojWnPbdG".into(),
        ("job", 15),
    ),
    ("another base", |s| s.image.as_mut().unwrap().root_cid = IMAGE.to_uppercase(), ("job", 15)),
    ("a CID without end", |s| s.image.as_mut().unwrap().root_cid = format!("{IMAGE}{}", "a".repeat(200)), ("job", 15)),
    ("an absolute path", |s| s.inputs = vec![input("/etc/passwd")], ("job", 14)),
    ("a way out", |s| s.inputs = vec![input("a/../../b")], ("job", 14)),
    ("an empty part", |s| s.outputs = vec!["a//b".into()], ("job", 14)),
    ("NUL", |s| s.outputs = vec!["a\0b".into()], ("job", 14)),
    ("an empty path", |s| s.outputs = vec![String::new()], ("job", 14)),
    ("twice", |s| s.inputs = vec![input("a"), input("a")], ("job", 14)),
    ("a file that is a folder", |s| s.inputs = vec![input("a/b/c"), input("a/b")], ("job", 14)),
    ("an input from nowhere", |s| s.inputs = vec![Input { path: "a".into(), source: None }], ("job", 14)),
    ("many inputs", |s| s.inputs = (0..65).map(|n| input(&format!("f{n}"))).collect(), ("job", 13)),
    ("many outputs", |s| s.outputs = (0..33).map(|n| format!("f{n}")).collect(), ("job", 13)),
    ("many sources", |s| s.sources = vec!["http://x".into(); 5], ("job", 13)),
    ("a source with a space", |s| s.sources = vec!["http://x y".into()], ("job", 24)),
    ("many arguments", |s| s.args = vec!["x".into(); 257], ("job", 13)),
    ("long arguments", |s| s.args = vec!["x".repeat(40_000)], ("job", 13)),
    ("NUL in an argument", |s| s.args = vec!["x\0".into()], ("job", 24)),
    ("a variable twice", |s| s.env = vec![EnvVar { name: "A".into(), value: String::new() }; 2], ("job", 24)),
    ("an unknown attribute", |s| s.resources = resources(vec![predicate("speed", PredicateOp::Ge, &[1])]), ("job", 18)),
    (
        "no operator",
        |s| s.resources = resources(vec![predicate("memory_mib", PredicateOp::Unspecified, &[1])]),
        ("job", 18),
    ),
    ("no value", |s| s.resources = resources(vec![predicate("memory_mib", PredicateOp::Ge, &[])]), ("job", 18)),
    (
        "what nothing can be",
        |s| {
            s.resources = resources(vec![
                predicate("memory_mib", PredicateOp::Ge, &[8]),
                predicate("memory_mib", PredicateOp::Lt, &[8]),
            ])
        },
        ("job", 18),
    ),
    (
        "a runtime on another machine",
        |s| s.resources = resources(vec![predicate("kind", PredicateOp::Eq, &[3])]),
        ("job", 18),
    ),
    (
        "many predicates",
        |s| s.resources = resources(vec![predicate("memory_mib", PredicateOp::Ge, &[1]); 17]),
        ("job", 18),
    ),
    (
        "no such class",
        |s| s.resources = Some(Resources { classes: vec!["gpu".into()], ..Resources::default() }),
        ("job", 18),
    ),
    (
        "too much reputation",
        |s| s.resources = Some(Resources { min_reputation: 1001, ..Resources::default() }),
        ("job", 18),
    ),
    ("no limits", |s| s.limits = None, ("job", 20)),
    ("no memory", |s| s.limits.as_mut().unwrap().memory_bytes = 0, ("job", 20)),
    ("too much memory", |s| s.limits.as_mut().unwrap().memory_bytes = (4 << 30) + 1, ("job", 20)),
    ("no fuel", |s| s.limits.as_mut().unwrap().fuel = 0, ("job", 20)),
    ("no timeouts", |s| s.timeouts = None, ("job", 19)),
    ("no time to stage", |s| s.timeouts.as_mut().unwrap().staging_seconds = 0, ("job", 19)),
    ("time that overflows", |s| s.timeouts.as_mut().unwrap().execution_seconds = u64::MAX, ("job", 19)),
    ("a year in the queue", |s| s.timeouts.as_mut().unwrap().queue_seconds = 366 * 86_400, ("job", 13)),
    ("a far deadline", |s| s.deadline_seconds = u64::MAX, ("job", 13)),
    ("many retries", |s| s.retries = 6, ("job", 13)),
    ("no price", |s| s.max_price_per_second = None, ("sdk", 10)),
    ("price 0", |s| s.max_price_per_second = coin(0), ("job", 16)),
    ("a price below 0", |s| s.max_price_per_second.as_mut().unwrap().amount = "-1".into(), ("sdk", 10)),
    (
        "a price that overflows",
        |s| {
            s.max_price_per_second = coin(u128::MAX);
            s.max_price_total = coin(u128::MAX);
        },
        ("job", 16),
    ),
    (
        "a price over 128 bits",
        |s| s.max_price_per_second.as_mut().unwrap().amount = format!("1{}", "0".repeat(60)),
        ("sdk", 10),
    ),
    (
        "a bond that overflows",
        |s| {
            s.max_price_per_second = coin(u128::MAX / 100);
            s.max_price_total = coin(u128::MAX);
        },
        ("job", 16),
    ),
    ("no total", |s| s.max_price_total = coin(0), ("job", 16)),
    (
        "less than a second of all replicas",
        |s| {
            s.policy = policy(2, 3);
            s.max_price_total = coin(5_999);
        },
        ("job", 16),
    ),
    ("two denoms", |s| s.max_price_total.as_mut().unwrap().denom = "uother".into(), ("job", 16)),
    (
        "a denom that is not allowed",
        |s| {
            s.max_price_total.as_mut().unwrap().denom = "uother".into();
            s.max_price_per_second.as_mut().unwrap().denom = "uother".into();
        },
        ("escrow", 3),
    ),
    ("more than there is", |s| s.max_price_total = coin(WEALTH + 1), ("sdk", 5)),
    ("no policy", |s| s.policy = None, ("job", 17)),
    ("a policy of no kind", |s| s.policy = Some(VerificationPolicy { kind: None }), ("job", 17)),
    ("no majority", |s| s.policy = policy(1, 2), ("job", 17)),
    ("more votes than voters", |s| s.policy = policy(4, 3), ("job", 17)),
    ("a quorum of none", |s| s.policy = policy(0, 0), ("job", 17)),
    (
        "a crowd",
        |s| {
            s.policy = policy(5, 8);
            s.max_price_total = coin(1_000_000);
        },
        ("job", 17),
    ),
    ("a dependency on itself", |s| s.dependencies = vec!["one".into()], ("job", 12)),
    ("a dependency named twice", |s| s.dependencies = vec!["two".into(), "two".into()], ("job", 25)),
    ("an unknown dependency", |s| s.dependencies = vec!["two".into()], ("job", 11)),
    (
        "an unknown output",
        |s| {
            s.inputs = vec![Input {
                path: "a".into(),
                source: Some(Source::Output(OutputRef { job: "two".into(), path: String::new() })),
            }]
        },
        ("job", 11),
    ),
];

#[test]
fn each_has_its_code_and_locks_nothing() {
    let mut c = Chain::new(1);
    c.begin();
    for (what, change, expected) in CASES {
        let mut job = spec("one");
        change(&mut job);
        let result = c.submit_as("renter", vec![job]);
        assert!(result.is_err(), "{what} is taken");
        assert_eq!(code(result), *expected, "{what}");
    }
    c.end();
    assert_eq!(c.spent(), 0);
    // A failed one leaves nothing: the first that is taken is number 1.
    assert_eq!(c.submit(vec![spec("one")]), [1]);
}

#[test]
fn graphs_that_are_refused() {
    let mut c = Chain::new(1);
    let after =
        |name: &str, on: &[&str]| JobSpec { dependencies: on.iter().map(|s| (*s).to_owned()).collect(), ..spec(name) };
    c.begin();
    assert_eq!(code(c.submit_as("renter", vec![])), ("job", 23));
    assert_eq!(code(c.submit_as("renter", vec![spec("a"), spec("a")])), ("job", 10));
    let circle = vec![after("a", &["c"]), after("b", &["a"]), after("c", &["b"])];
    assert_eq!(code(c.submit_as("renter", circle)), ("job", 12));
    let implied =
        Input { path: "x".into(), source: Some(Source::Output(OutputRef { job: "b".into(), path: String::new() })) };
    let through_input = vec![JobSpec { inputs: vec![implied], ..spec("a") }, after("b", &["a"])];
    assert_eq!(code(c.submit_as("renter", through_input)), ("job", 12));
    let crowd = (0..257).map(|n| spec(&format!("j{n}"))).collect();
    assert_eq!(code(c.submit_as("renter", crowd)), ("job", 13));
    let names: Vec<String> = (0..60).map(|n| format!("j{n}")).collect();
    let dense = (0..60).map(|n| JobSpec { dependencies: names[..n].to_vec(), ..spec(&names[n]) }).collect();
    assert_eq!(code(c.submit_as("renter", dense)), ("job", 13), "1,770 edges");
    // The last of three is too dear: the first two are not there either.
    let mut three = vec![spec("a"), spec("b"), spec("c")];
    three[2].max_price_total = coin(WEALTH);
    assert_eq!(code(c.submit_as("renter", three)), ("sdk", 5));
    assert_eq!(c.spent(), 0);
    // A long chain is no recursion.
    let chain = (0..256).map(|n| {
        if n == 0 {
            spec("j0")
        } else {
            JobSpec { dependencies: vec![format!("j{}", n - 1)], max_price_total: coin(2000), ..spec(&format!("j{n}")) }
        }
    });
    assert_eq!(c.submit_as("renter", chain.collect()).unwrap().len(), 256);
    c.end();
}
