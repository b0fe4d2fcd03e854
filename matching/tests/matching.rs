//! What the matcher promises, on random markets.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use std::collections::{BTreeMap, BTreeSet};

use gantry_matching::{
    Attribute, Attributes, Class, ClassId, Hardware, Limits, Match, Offer, Op, Outcome, Predicate, Price, Registry,
    Request, Requirements, Selection, Status, Unfit, feasible, match_block, required_bond, seed, simulate,
};
use proptest::prelude::*;

const ALL: Limits = Limits { max_requests: u32::MAX, max_candidates: u64::MAX };

fn hardware() -> Vec<Hardware> {
    vec![Hardware::wasm(48, "x86_64"), Hardware::wasm(48, "aarch64"), Hardware::cpu("x86_64")]
}

fn registry() -> Registry {
    hardware().iter().map(|hardware| Class::of(hardware).unwrap()).collect()
}

fn class(at: usize) -> ClassId {
    hardware()[at].class_id().unwrap()
}

fn price(amount: u128) -> Price {
    Price { denom: "ugantry".to_owned(), amount }
}

fn offer(provider: u64) -> Offer {
    Offer {
        provider,
        offer: 1,
        owner: provider.to_be_bytes().to_vec(),
        class: class(0),
        free: 1,
        ask: price(10),
        attributes: Attributes::of_offer([(Attribute::MemoryMib, 4096), (Attribute::CpuCores, 4)]).unwrap(),
        free_bond: 1_000,
        reputation: 500,
        fresh: true,
        status: Status::Active,
        strikes: 0,
    }
}

fn request(job: u64) -> Request {
    Request {
        job,
        attempt: 1,
        draw: 0,
        selection: Selection::Attested,
        requirements: Requirements::default(),
        pinned: None,
        max_price: price(10),
        price_floor: 0,
        bond: 100,
        excluded: Vec::new(),
        age: 0,
    }
}

fn quorum(job: u64, seats: u16) -> Request {
    Request { selection: Selection::Quorum { seats }, ..request(job) }
}

fn run(requests: &[Request], offers: &[Offer], height: u64) -> Outcome {
    match_block(requests, offers, &registry(), seed("test", b"app hash", height), ALL, 0)
}

fn providers(found: &Match) -> Vec<u64> {
    found.seats.iter().map(|seat| seat.provider).collect()
}

#[test]
fn each_reason_is_found_in_the_documented_order() {
    let registry = registry();
    let wanted = Requirements {
        classes: vec![class(0), class(1)],
        predicates: vec![
            Predicate { attribute: Attribute::RuntimeMajor, op: Op::Ge(48) },
            Predicate { attribute: Attribute::MemoryMib, op: Op::Ge(4096) },
        ],
        min_reputation: 300,
    };
    let request = Request { requirements: wanted, excluded: vec![vec![9]], ..request(1) };
    // Wrong in every way; then mended one by one.
    let mut offer = Offer {
        owner: vec![9],
        class: Hardware::wasm(47, "x86_64").class_id().unwrap(),
        free: 0,
        ask: Price { denom: "uatom".to_owned(), amount: 11 },
        attributes: Attributes::default(),
        free_bond: 99,
        reputation: 299,
        fresh: false,
        status: Status::Underbonded,
        strikes: 3,
        ..offer(1)
    };
    type Mend = fn(&mut Offer);
    let steps: [(&str, &str, Mend); 13] = [
        ("status", "the provider's bond is below the minimum", |o| o.status = Status::Active),
        ("heartbeat", "the provider's heartbeat is overdue", |o| o.fresh = true),
        ("strikes", "3 assignments lapsed without acknowledgement (limit 3)", |o| o.strikes = 2),
        ("unknown_class", "the class wasm-47-x86_64 is not registered", |o| o.class = class(2)),
        ("class", "the class is cpu-x86_64, wanted is wasm-48-x86_64 or wasm-48-aarch64", |o| o.class = class(0)),
        ("predicate", "predicate 2: wanted memory_mib >= 4096, but memory_mib is not stated", |o| {
            o.attributes = Attributes::of_offer([(Attribute::MemoryMib, 4095)]).unwrap();
        }),
        ("predicate", "predicate 2: wanted memory_mib >= 4096, but memory_mib is 4095", |o| {
            o.attributes = Attributes::of_offer([(Attribute::MemoryMib, 4096)]).unwrap();
        }),
        ("capacity", "nothing is free", |o| o.free = 1),
        ("denom", "the ask is in uatom, the job pays in ugantry", |o| o.ask.denom = "ugantry".to_owned()),
        ("price", "the ask of 11ugantry/s is above the limit of 10", |o| o.ask.amount = 10),
        ("bond", "99 of the provider's bond is free, 100 is needed", |o| o.free_bond = 100),
        ("reputation", "the reputation of 299 is below 300", |o| o.reputation = 300),
        ("owner", "the owner is excluded: involved in this job already, or failed at it", |o| o.owner = vec![8]),
    ];
    for (code, sentence, mend) in steps {
        let unfit = feasible(&request, &offer, &registry).unwrap_err();
        assert_eq!((unfit.code(), unfit.to_string().as_str()), (code, sentence));
        assert!(run(std::slice::from_ref(&request), &[offer.clone()], 1).matches.is_empty());
        mend(&mut offer);
    }
    assert_eq!(feasible(&request, &offer, &registry), Ok(()));
    assert_eq!(run(&[request], &[offer], 1).matches.len(), 1);
}

#[test]
fn texts_are_shown_as_texts() {
    let mut registry = registry();
    registry.learn("eu-west");
    let wanted = |attribute: Attribute, texts: &[&str]| {
        let values = texts.iter().map(|text| attribute.parse_value(text).unwrap()).collect();
        Request {
            requirements: Requirements {
                predicates: vec![Predicate { attribute, op: Op::In(values) }],
                ..Default::default()
            },
            ..request(1)
        }
    };
    let offer = Offer {
        attributes: Attributes::of_offer([(Attribute::Region, Attribute::Region.parse_value("EU-West").unwrap())])
            .unwrap(),
        ..offer(1)
    };
    let explain = |request: &Request| feasible(request, &offer, &registry).unwrap_err().explain(&registry);
    registry.clone().learn("us-east");
    assert_eq!(
        explain(&wanted(Attribute::Arch, &["aarch64"])),
        "predicate 1: wanted arch in {aarch64}, but arch is x86_64"
    );
    assert_eq!(
        explain(&wanted(Attribute::Kind, &["cpu", "gpu"])),
        "predicate 1: wanted kind in {cpu, gpu}, but kind is wasm"
    );
    assert!(explain(&wanted(Attribute::Region, &["mars"])).ends_with("but region is eu-west"));
    assert_eq!(feasible(&wanted(Attribute::Region, &["mars", "eu-west"]), &offer, &registry), Ok(()));
}

#[test]
fn attested_takes_the_cheapest_then_the_fullest_then_the_better_reputed() {
    let cheap = Offer { ask: price(5), free: 9, reputation: 0, ..offer(1) };
    let full = Offer { free: 1, reputation: 0, ..offer(2) };
    let good = Offer { free: 2, reputation: 999, ..offer(3) };
    let bad = Offer { free: 2, reputation: 749, ..offer(4) };
    let offers = [bad, good, full, cheap];
    for (last, winner) in [(4, 1), (3, 2), (2, 3), (1, 4)] {
        let found = run(&[request(1)], &offers[..last], 1);
        assert_eq!(providers(&found.matches[0]), [winner]);
        assert_eq!(found.matches[0].price, if winner == 1 { 5 } else { 10 });
    }
    // Equal in all of it (one band): the seed decides, so that low addresses are not favoured.
    let equal: Vec<_> = (1..=4).map(|n| Offer { reputation: 740 + u16::try_from(n).unwrap(), ..offer(n) }).collect();
    let mut wins = BTreeMap::new();
    for height in 0..400 {
        *wins.entry(providers(&run(&[request(1)], &equal, height).matches[0])[0]).or_insert(0) += 1;
    }
    assert_eq!(wins.len(), 4);
    assert!(wins.values().all(|wins| (60..=140).contains(wins)), "{wins:?}");
}

#[test]
fn the_better_price_then_the_older_request_is_served_first() {
    let only = [offer(1)];
    let dear = Request { max_price: price(100), ..request(3) };
    let old = Request { age: 50, ..request(2) };
    let young = request(1);
    for height in 0..20 {
        assert_eq!(run(&[young.clone(), old.clone(), dear.clone()], &only, height).matches[0].job, 3);
        assert_eq!(run(&[young.clone(), old.clone()], &only, height).matches[0].job, 2);
    }
    // Age is bounded, and counts in steps: within one the seed decides.
    let pairs = [(1_000, 100_000), (0, 9)];
    for (a, b) in pairs {
        let requests = [Request { age: a, ..request(1) }, Request { age: b, ..request(2) }];
        let first: BTreeSet<_> = (0..40).map(|height| run(&requests, &only, height).matches[0].job).collect();
        assert_eq!(first.len(), 2, "{a} {b}");
    }
}

#[test]
fn a_quorum_is_of_one_class_whole_and_of_distinct_owners() {
    // Two owners in each class: three seats cannot be filled, by however many offers.
    let mut offers: Vec<_> = (1..=4).map(|n| Offer { class: class(usize::from(n > 2)), free: 9, ..offer(n) }).collect();
    offers.push(Offer { offer: 2, ..offers[0].clone() });
    offers.push(Offer { provider: 9, ..offers[0].clone() });
    assert!(run(&[quorum(1, 3)], &offers, 1).matches.is_empty());
    // A third owner, in one of them.
    offers.push(Offer { class: class(1), ask: price(7), ..offer(5) });
    let found = run(&[quorum(1, 3)], &offers, 1).matches.remove(0);
    assert_eq!(found.class, class(1));
    assert_eq!(providers(&found).into_iter().collect::<BTreeSet<_>>(), [3, 4, 5].into());
    assert_eq!(found.price, 10, "all are paid the highest ask drawn");
}

#[test]
fn an_own_class_captures_nothing_without_more_bond_than_the_largest() {
    let honest = (1..=5).map(|n| Offer { free_bond: 1_000, ..offer(n) });
    // Cheaper, more owners, spotless; but less bond together.
    let ring =
        (11..=30).map(|n| Offer { class: class(1), ask: price(1), reputation: 1000, free_bond: 249, ..offer(n) });
    let offers: Vec<_> = honest.chain(ring).collect();
    for height in 0..50 {
        assert_eq!(run(&[quorum(1, 3)], &offers, height).matches[0].class, class(0));
    }
}

#[test]
fn bond_of_several_providers_of_one_owner_adds_up_once_each() {
    // Owner 1: two providers with 300 each, one of them with two offers. Owners 2 to 4: 600 each. All must weigh alike.
    let mut offers = vec![
        Offer { free_bond: 300, ..offer(1) },
        Offer { free_bond: 300, offer: 2, ..offer(1) },
        Offer { free_bond: 300, owner: offer(1).owner, ..offer(9) },
    ];
    offers.extend((2..=4).map(|n| Offer { free_bond: 600, ..offer(n) }));
    let mut seats: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
    for height in 0..1_000 {
        for seat in run(&[quorum(1, 2)], &offers, height).matches.remove(0).seats {
            *seats.entry(seat.owner).or_default() += 1;
        }
    }
    assert_eq!(seats.len(), 4);
    // 500 each; 6 standard deviations are 95.
    assert!(seats.values().all(|seats| seats.abs_diff(500) < 95), "{seats:?}");
}

#[test]
fn a_replacement_keeps_class_price_and_distinct_owners() {
    let mut offers: Vec<_> =
        (1..=6).map(|n| Offer { class: class(usize::from(n > 4)), ask: price(u128::from(n)), ..offer(n) }).collect();
    offers[3].free_bond = 2_000;
    let first = quorum(1, 3);
    let placed = run(std::slice::from_ref(&first), &offers, 1).matches.remove(0);
    let next = first.replacement(&placed, 1);
    // The other class has become the larger one since.
    offers.extend((7..=20).map(|n| Offer { class: class(1), ..offer(n) }));
    let found = run(&[next], &offers, 2).matches.remove(0);
    assert_eq!(found.class, placed.class);
    assert_eq!(found.seats.len(), 1);
    assert!(placed.seats.iter().all(|seat| seat.owner != found.seats[0].owner));
    assert_eq!(found.price, placed.price.max(found.seats[0].ask));
}

#[test]
fn duplicates_count_once_whatever_their_order() {
    let twice = [Offer { ask: price(9), ..offer(1) }, Offer { ask: price(3), ..offer(1) }];
    let requests = [request(1), Request { max_price: price(5), ..request(1) }];
    let outcome = run(&requests, &twice, 1);
    let (mut offers, mut jobs) = (twice.to_vec(), requests.to_vec());
    offers.reverse();
    jobs.reverse();
    assert_eq!(outcome, run(&jobs, &offers, 1));
    assert_eq!(outcome.matches.len(), 1, "one place, one job");
    assert_eq!(outcome.matches[0].price, 3);
}

#[test]
fn bond_reserved_in_a_block_is_gone_for_the_rest_of_it() {
    let two_offers =
        [Offer { free: 9, free_bond: 250, ..offer(1) }, Offer { free: 9, free_bond: 250, offer: 2, ..offer(1) }];
    let requests: Vec<_> = (1..=5).map(request).collect();
    assert_eq!(run(&requests, &two_offers, 1).matches.len(), 2, "250 of bond hold two assignments of 100");
}

#[test]
fn the_cursor_comes_round_to_every_request() {
    let offers: Vec<_> = (1..=10).map(offer).collect();
    for (limits, blocks) in [
        (Limits { max_requests: 5, max_candidates: u64::MAX }, 5),
        (Limits { max_requests: u32::MAX, max_candidates: 40 }, 6),
        (Limits { max_requests: u32::MAX, max_candidates: 3 }, 23),
    ] {
        let mut slowest = 0;
        for only in 1..=23 {
            // Only one can be matched, so the others never leave the queue; all of them pay more.
            let requests: Vec<_> = (1..=23)
                .map(|job| {
                    if job == only {
                        request(job)
                    } else {
                        Request { bond: u128::MAX, max_price: price(1_000), ..request(job) }
                    }
                })
                .collect();
            let (mut cursor, mut height) = (0, 0);
            loop {
                let outcome = match_block(&requests, &offers, &registry(), seed("test", b"", height), limits, cursor);
                assert!(outcome.candidates <= limits.max_candidates.max(10));
                (cursor, height) = (outcome.cursor, height + 1);
                if let Some(found) = outcome.matches.first() {
                    assert_eq!(found.job, only);
                    break;
                }
                assert!(height < blocks, "job {only} was not looked at in {blocks} blocks");
            }
            slowest = slowest.max(height);
        }
        assert_eq!(slowest, blocks, "the limits bind");
    }
}

#[test]
fn a_simulation_tells_what_a_block_would_do() {
    let mut offers: Vec<_> = (1..=3).map(offer).collect();
    offers[2].fresh = false;
    let simulation = simulate(&quorum(1, 3), &offers, &registry());
    assert!(!simulation.would_match());
    assert_eq!(
        simulation.to_string(),
        "waits: 2 distinct owners of one class can take it, 3 needed; 1 of 3 offers fail at heartbeat"
    );
    assert_eq!(simulation.verdicts[2].fit, Err(Unfit::Heartbeat));
    assert_eq!(simulate(&quorum(1, 2), &offers, &registry()).to_string(), "2 distinct owners can take it, 2 needed");
    assert_eq!(simulate(&request(1), &[], &registry()).to_string(), "waits: there are no offers, 1 needed");
}

#[test]
fn bond_is_rounded_up_and_never_wraps() {
    assert_eq!(required_bond(1, 1), Some(1));
    assert_eq!(required_bond(1_000_001, 1_500_000), Some(1_500_002));
    assert_eq!(required_bond(0, u64::MAX), Some(0));
    assert_eq!(required_bond(u128::MAX, 1_000_000), Some(u128::MAX));
    assert_eq!(required_bond(u128::MAX, 1_000_001), None);
}

fn any_offer() -> impl Strategy<Value = Offer> {
    (1..8u64, 1..3u32, 1..6u8, 0..3usize, 0..4u32, (0..2u8, 1..20u128), 0..4_000u64, (0..500u128, 0..1001u16, 0..8u8))
        .prop_map(|(provider, number, owner, at, free, (denom, ask), memory, (free_bond, reputation, state))| Offer {
            provider,
            offer: number,
            // Fixed by the provider, as is its bond.
            owner: vec![u8::try_from(provider % 6).unwrap().min(owner.max(5))],
            class: class(at),
            free,
            ask: Price { denom: ["uatom", "ugantry"][usize::from(denom)].to_owned(), amount: ask },
            attributes: Attributes::of_offer([(Attribute::MemoryMib, memory)]).unwrap(),
            free_bond: free_bond + u128::from(provider) * 50,
            reputation,
            fresh: state != 0,
            status: if state == 1 { Status::Underbonded } else { Status::Active },
            strikes: u32::from(state == 2) * 3,
        })
}

fn any_request() -> impl Strategy<Value = Request> {
    (
        1..20u64,
        0..4u16,
        proptest::collection::vec(0..3usize, 0..2),
        0..3_000u64,
        (0..2u8, 1..25u128),
        0..300u128,
        0..600u16,
        0..6u8,
        0..2_000u64,
    )
        .prop_map(|(job, seats, classes, memory, (denom, max), bond, min_reputation, excluded, age)| Request {
            selection: if seats == 0 { Selection::Attested } else { Selection::Quorum { seats } },
            requirements: Requirements {
                classes: classes.into_iter().map(class).collect(),
                predicates: vec![Predicate { attribute: Attribute::MemoryMib, op: Op::Ge(memory) }],
                min_reputation,
            },
            max_price: Price { denom: ["uatom", "ugantry"][usize::from(denom)].to_owned(), amount: max },
            bond,
            excluded: vec![vec![excluded]],
            age,
            ..request(job)
        })
}

/// Offers as the chain has them: one for each number, what belongs to the provider equal in all of its offers.
fn consistent(offers: Vec<Offer>) -> Vec<Offer> {
    let mut seen: BTreeMap<(u64, u32), Offer> = BTreeMap::new();
    let mut first: BTreeMap<u64, Offer> = BTreeMap::new();
    for mut offer in offers {
        let provider = first.entry(offer.provider).or_insert_with(|| offer.clone());
        (offer.owner, offer.free_bond) = (provider.owner.clone(), provider.free_bond);
        (offer.reputation, offer.fresh, offer.status) = (provider.reputation, provider.fresh, provider.status);
        seen.entry((offer.provider, offer.offer)).or_insert(offer);
    }
    seen.into_values().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn invariants_hold_on_any_market(
        offers in proptest::collection::vec(any_offer(), 0..24),
        requests in proptest::collection::vec(any_request(), 0..16),
        height: u64,
        max_requests in 1..20u32,
        max_candidates in 0..200u64,
        cursor in 0..25u64,
    ) {
        let offers = consistent(offers);
        let jobs: BTreeMap<u64, Request> = requests.into_iter().map(|request| (request.job, request)).collect();
        let requests: Vec<_> = jobs.values().cloned().collect();
        let limits = Limits { max_requests, max_candidates };
        let randomness = seed("test", b"app hash", height);
        let outcome = match_block(&requests, &offers, &registry(), randomness, limits, cursor);

        // The order of what is given does not matter.
        let (mut shuffled_requests, mut shuffled_offers) = (requests.clone(), offers.clone());
        shuffled_requests.reverse();
        shuffled_offers.reverse();
        let middle = shuffled_offers.len() / 3;
        shuffled_offers.rotate_left(middle);
        prop_assert_eq!(&outcome, &match_block(&shuffled_requests, &shuffled_offers, &registry(), randomness, limits, cursor));

        prop_assert!(outcome.candidates <= limits.max_candidates.max(offers.len().max(1) as u64));
        prop_assert!(outcome.matches.len() <= max_requests as usize);

        // Replayed one by one on the offers as they stand: each seat is feasible at its turn.
        let mut market: BTreeMap<(u64, u32), Offer> = offers.iter().map(|offer| ((offer.provider, offer.offer), offer.clone())).collect();
        let mut served = BTreeSet::new();
        for found in &outcome.matches {
            let request = &jobs[&found.job];
            prop_assert!(served.insert(found.job), "a job is served once");
            prop_assert_eq!(found.seats.len(), usize::from(request.selection.seats()));
            let owners: BTreeSet<_> = found.seats.iter().map(|seat| seat.owner.clone()).collect();
            prop_assert_eq!(owners.len(), found.seats.len(), "distinct owners");
            prop_assert_eq!(Some(found.price), found.seats.iter().map(|seat| seat.ask).max());
            prop_assert!(found.price <= request.max_price.amount);
            for seat in &found.seats {
                let offer = &market[&(seat.provider, seat.offer)];
                prop_assert_eq!(feasible(request, offer, &registry()), Ok(()));
                prop_assert_eq!((&offer.class, &offer.owner, offer.ask.amount), (&found.class, &seat.owner, seat.ask));
            }
            for seat in &found.seats {
                market.get_mut(&(seat.provider, seat.offer)).unwrap().free -= 1;
                for offer in market.values_mut().filter(|offer| offer.provider == seat.provider) {
                    offer.free_bond -= request.bond;
                }
            }
        }

        // With everything looked at, whoever was not served could not have been, not even on the offers as they were left.
        let all = match_block(&requests, &offers, &registry(), randomness, ALL, cursor);
        prop_assert_eq!(all.cursor, 0);
        let mut left: BTreeMap<(u64, u32), Offer> = offers.iter().map(|offer| ((offer.provider, offer.offer), offer.clone())).collect();
        for found in &all.matches {
            for seat in &found.seats {
                left.get_mut(&(seat.provider, seat.offer)).unwrap().free -= 1;
                for offer in left.values_mut().filter(|offer| offer.provider == seat.provider) {
                    offer.free_bond -= jobs[&found.job].bond;
                }
            }
        }
        let left: Vec<_> = left.into_values().collect();
        for request in &requests {
            if all.matches.iter().all(|found| found.job != request.job) {
                prop_assert!(!simulate(request, &left, &registry()).would_match(), "job {} was passed over", request.job);
            }
        }
    }
}

/// `cargo test --release -p gantry-matching -- --ignored --nocapture`
#[test]
#[ignore = "a measurement"]
fn measure_5000_offers_and_1000_requests() {
    let offers: Vec<_> = (1..=5_000u64)
        .map(|n| Offer {
            class: class(usize::try_from(n % 3).unwrap()),
            ask: price(1 + u128::from(n * 7919 % 10)),
            free: 4,
            free_bond: 10_000 + u128::from(n * 104_729 % 90_000),
            ..offer(n)
        })
        .collect();
    let predicates = vec![
        Predicate { attribute: Attribute::MemoryMib, op: Op::Ge(2048) },
        Predicate { attribute: Attribute::CpuCores, op: Op::Ge(2) },
    ];
    for (name, seats) in [("attested", 0), ("quorum of 3", 3), ("quorum of 5", 5)] {
        let requests: Vec<_> = (1..=1_000)
            .map(|job| {
                let base = if seats == 0 { request(job) } else { quorum(job, seats) };
                Request {
                    requirements: Requirements { predicates: predicates.clone(), ..Default::default() },
                    age: job % 500,
                    ..base
                }
            })
            .collect();
        let start = std::time::Instant::now();
        let outcome = run(&requests, &offers, 1);
        println!("{name}: {} of 1000 matched over 5000 offers in {:?}", outcome.matches.len(), start.elapsed());
        assert_eq!(outcome.matches.len(), 1_000);
    }
}
