//! What becomes of transactions, good and bad.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use common::{Accounts, Chain, Signing, address, any, assert_ok, assert_refused, coins, key, send, send_to, trouble};
use cosmos_sdk_proto::{
    Any,
    cosmos::{
        auth::v1beta1::Params,
        bank::v1beta1::{MsgMultiSend, MsgSend, MsgSendResponse, MsgSetSendEnabled},
        base::abci::v1beta1::TxMsgData,
    },
};
use gantry_core::{Address, Coins, Ctx, Error, Event, ExecMode, PubKey, Result};
use gantry_store::{KvRead, Overlay};
use gantry_tx::{ANTE, AnteAccount, AnteState, BlockGas, Limits, Runtime, TxCache, run, simulate};
use prost::{Message, Name};

fn event(kind: &str, attributes: &[(&str, &str)]) -> Event {
    Event::new(kind, attributes.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())))
}

#[test]
fn a_send_succeeds_with_the_sdks_events_and_response() {
    let mut chain = Chain::new();
    let draft = chain.draft("alice", vec![send("alice", "carol", 7)]);
    let raw = draft.raw();
    let result = chain.run(&raw.encode_to_vec());
    assert_ok(&result);
    assert_eq!(chain.balance(&address("carol")), 7);
    assert_eq!(chain.balance(&address("alice")), 1_000_000 - 7 - 500);
    assert_eq!(chain.sequence("alice"), 1);
    assert_eq!(result.gas_wanted, 300_000);
    assert!((40_000..120_000).contains(&result.gas_used), "{}", result.gas_used);
    assert_eq!(result.fee_collected.to_string(), "500ugantry");

    let data = TxMsgData::decode(&*result.data).unwrap();
    assert_eq!(data.msg_responses, [Any { type_url: MsgSendResponse::type_url(), value: Vec::new() }]);

    let (alice, carol) = (address("alice").to_string(), address("carol").to_string());
    let collector = Address::module("fee_collector").to_string();
    let signature = base64::Engine::encode(&base64::prelude::BASE64_STANDARD, &raw.signatures[0]);
    let (fee, amount) = (("amount", "500ugantry"), ("amount", "7ugantry"));
    let index = ("msg_index", "0");
    assert_eq!(
        result.events,
        [
            event("coin_spent", &[("spender", &alice), fee]),
            event("coin_received", &[("receiver", &collector), fee]),
            event("transfer", &[("recipient", &collector), ("sender", &alice), fee]),
            event("message", &[("sender", &alice)]),
            event("tx", &[("fee", "500ugantry"), ("fee_payer", &alice)]),
            event("tx", &[("acc_seq", &format!("{alice}/0"))]),
            event("tx", &[("signature", &signature)]),
            event(
                "message",
                &[("action", "/cosmos.bank.v1beta1.MsgSend"), ("sender", &alice), ("module", "bank"), index]
            ),
            event("coin_spent", &[("spender", &alice), amount, index]),
            event("coin_received", &[("receiver", &carol), amount, index]),
            event("transfer", &[("recipient", &carol), ("sender", &alice), amount, index]),
            event("message", &[("sender", &alice), index]),
        ]
    );
    let abci = result.into_abci();
    assert!(abci.events.iter().flat_map(|e| &e.attributes).any(|a| a.index));
    chain.end_block();
    assert_eq!(chain.balance(&Address::module("fee_collector")), 500);
}

#[test]
fn the_ante_is_a_list_with_a_name_for_each_step() {
    let names: Vec<_> = ANTE.iter().map(|(name, _)| *name).collect();
    assert_eq!(
        names,
        [
            "gas",
            "extension options",
            "timeout height",
            "memo",
            "gas for size",
            "fee",
            "public keys",
            "signature count",
            "gas for signatures",
            "signatures",
            "sequences"
        ]
    );
}

#[test]
fn fee_and_sequence_survive_failed_messages_and_nothing_else_does() {
    for (how, codespace, code, words) in [
        ("refuse", "trouble", 9, "failed to execute message; message index: 1: refused"),
        ("panic", "sdk", 111_222, "panic in transaction execution: panic"),
        ("gas", "sdk", 11, "out of gas in location: ReadFlat; gasWanted: 300000, gasUsed: 30"),
    ] {
        let mut chain = Chain::new();
        let tx = chain.draft("alice", vec![send("alice", "carol", 7), trouble("alice", how)]).bytes();
        let result = chain.run(&tx);
        assert_refused(&result, codespace, code, words);
        assert_eq!(chain.balance(&address("alice")), 1_000_000 - 500, "{how}");
        assert_eq!(chain.balance(&address("carol")), 0, "{how}");
        assert_eq!(chain.balance(&Address::module("trouble")), 0, "{how}");
        assert_eq!(chain.sequence("alice"), 1, "{how}");
        assert_eq!(result.fee_collected.to_string(), "500ugantry");
        // Only the events of the ante are left.
        assert_eq!(result.events.len(), 7, "{how}");
        assert!(result.events.iter().flat_map(|e| &e.attributes).all(|(key, _)| key != "msg_index"));
        chain.end_block();
        // And it cannot be tried again.
        assert_refused(&chain.run(&tx), "sdk", 32, "account sequence mismatch, expected 1, got 0");
    }
}

#[test]
fn a_panic_says_the_same_on_every_machine() {
    let logs: Vec<_> = (0..2)
        .map(|_| {
            let mut chain = Chain::new();
            let tx = chain.draft("alice", vec![trouble("alice", "panic")]).bytes();
            chain.run(&tx).log
        })
        .collect();
    assert_eq!(logs[0], logs[1]);
}

#[test]
fn a_broken_invariant_stops_the_block() {
    let mut chain = Chain::new();
    let tx = chain.draft("alice", vec![trouble("alice", "fatal")]).bytes();
    let error = chain.run_mode(&tx, ExecMode::Finalize).unwrap_err();
    assert!(matches!(&error, Error::Fatal(f) if f.0.contains("books do not balance")), "{error:?}");
}

#[test]
fn a_message_may_name_its_own_module() {
    let mut chain = Chain::new();
    let tx = chain.draft("alice", vec![trouble("alice", "module")]).bytes();
    let result = chain.run(&tx);
    assert_ok(&result);
    let modules: Vec<_> =
        result.events.iter().flat_map(|e| &e.attributes).filter(|(k, _)| k == "module").map(|(_, v)| v).collect();
    assert_eq!(modules, ["own"]);
}

#[test]
fn a_replayed_transaction_is_refused() {
    let mut chain = Chain::new();
    let tx = chain.draft("alice", vec![send("alice", "bob", 1)]).bytes();
    assert_ok(&chain.run(&tx));
    let again = chain.run(&tx);
    assert_refused(&again, "sdk", 32, "account sequence mismatch, expected 1, got 0: incorrect account sequence");
    assert!(again.events.is_empty() && again.fee_collected.is_empty());
    assert_eq!(chain.balance(&address("bob")), 1_000_001);
}

#[test]
fn signatures_bind_chain_account_key_and_bytes() {
    let chain = || {
        let mut chain = Chain::new();
        // Numbers differ from what a forger would guess.
        chain.block.height = 9;
        chain
    };
    let c = chain();
    let good = c.draft("alice", vec![send("alice", "bob", 1)]);
    let unverified = "signature verification failed; please verify account number (2) and chain-id (gantry-test): \
                      (unable to verify single signer signature): unauthorized";
    let mut high_s = good.raw();
    let s = secp256k1::SecretKey::from_byte_array(high_s.signatures[0][32..].try_into().unwrap()).unwrap();
    high_s.signatures[0][32..].copy_from_slice(&s.negate().secret_bytes());
    let mut flipped = good.raw();
    flipped.signatures[0][9] ^= 1;
    let mut short = good.raw();
    short.signatures[0].pop();
    let mut memo = good.raw();
    memo.body_bytes = good.clone().with(|d| d.body.memo = "other".into()).body.encode_to_vec();
    for (name, raw) in [
        ("chain id", good.clone().with(|d| d.chain_id = "gantry-2".into()).raw()),
        ("account number", good.clone().with(|d| d.signers[0].number += 1).raw()),
        ("high s", high_s),
        ("flipped bit", flipped),
        ("63 bytes", short),
        ("changed body", memo),
        ("zeros", {
            let mut raw = good.raw();
            raw.signatures[0] = vec![0; 64];
            raw
        }),
    ] {
        let result = chain().run(&raw.encode_to_vec());
        assert_refused(&result, "sdk", 4, unverified);
        assert!(result.events.is_empty(), "{name}");
    }
    assert_ok(&chain().run(&good.bytes()));

    let other_key = good.clone().with(|d| d.signers[0].key = key("mallory")).bytes();
    assert_refused(&chain().run(&other_key), "sdk", 8, "pubKey does not match signer address");
    let sequence = good.with(|d| d.signers[0].sequence = 4).bytes();
    assert_refused(&chain().run(&sequence), "sdk", 32, "expected 0, got 4");
}

#[test]
fn other_sign_modes_are_refused_as_the_sdk_does() {
    let mut chain = Chain::new();
    for (mode, words) in [
        (0, "(unsupported sign mode SIGN_MODE_UNSPECIFIED)"),
        (2, "(unsupported sign mode SIGN_MODE_TEXTUAL)"),
        (127, "please verify account number (2), sequence (0) and chain-id (gantry-test): unauthorized"),
        (99, "(unsupported sign mode 99)"),
    ] {
        let tx = chain.draft("alice", vec![send("alice", "bob", 1)]).with(|d| d.signers[0].mode = mode).bytes();
        assert_refused(&chain.run(&tx), "sdk", 4, words);
    }
}

#[test]
fn the_key_may_be_left_out_once_the_chain_knows_it() {
    let mut chain = Chain::new();
    let without = |chain: &Chain| {
        chain.draft("alice", vec![send("alice", "bob", 1)]).with(|d| d.signers[0].public = false).bytes()
    };
    let tx = without(&chain);
    assert_refused(&chain.run(&tx), "sdk", 8, "invalid pubkey");
    let tx = chain.draft("alice", vec![send("alice", "bob", 1)]).bytes();
    assert_ok(&chain.run(&tx));
    let tx = without(&chain);
    assert_ok(&chain.run(&tx));
}

#[test]
fn accounts_that_do_not_exist_cannot_pay() {
    let mut chain = Chain::new();
    let tx = chain.draft("nobody", vec![send("nobody", "bob", 1)]).bytes();
    assert_refused(&chain.run(&tx), "sdk", 9, "does not exist: unknown address");
}

#[test]
fn fees_are_asked_for_and_taken() {
    let mut chain = Chain::new();
    let draft = |chain: &Chain| chain.draft("alice", vec![send("alice", "bob", 1)]);
    let poor = draft(&chain).with(|d| d.fee.amount = coins(&[(1_000_001, "ugantry")])).bytes();
    assert_refused(
        &chain.run(&poor),
        "sdk",
        5,
        "spendable balance 1000000ugantry is smaller than 1000001ugantry: insufficient funds: insufficient funds",
    );
    for (fee, words) in [
        (coins(&[(0, "ugantry"), (1, "atom")]), "invalid fee amount"),
        (coins(&[(1, "ugantry"), (1, "atom")]), "invalid fee amount"),
        (coins(&[(1, "u")]), "invalid fee amount"),
    ] {
        let tx = draft(&chain).with(|d| d.fee.amount = fee).bytes();
        assert_refused(&chain.run(&tx), "sdk", 13, words);
    }
    let zero = draft(&chain).with(|d| d.fee.amount = coins(&[(0, "ugantry")])).bytes();
    assert_ok(&chain.run(&zero));

    // Minimum prices are the mempool's matter alone.
    chain.prices = "0.01ugantry;5atom".parse().unwrap();
    let low = draft(&chain).with(|d| d.fee.amount = coins(&[(2_999, "ugantry")])).bytes();
    let result = chain.run_mode(&low, ExecMode::Check).unwrap();
    assert_refused(
        &result,
        "sdk",
        13,
        "insufficient fees; got: 2999ugantry required: 1500000atom,3000ugantry: insufficient fee",
    );
    let enough = draft(&chain).with(|d| d.fee.amount = coins(&[(3_000, "ugantry")])).bytes();
    assert_ok(&chain.run_mode(&enough, ExecMode::Check).unwrap());
    let low = draft(&chain).with(|d| d.fee.amount = coins(&[(2_999, "ugantry")])).bytes();
    assert_ok(&chain.run(&low));
}

#[test]
fn a_fee_payer_must_sign_and_pays() {
    let mut chain = Chain::new();
    let payer = address("bob").to_string();
    let alone = chain.draft("alice", vec![send("alice", "carol", 1)]).with(|d| d.fee.payer = payer.clone());
    assert_refused(&chain.run(&alone.bytes()), "sdk", 4, "wrong number of signers; expected 2, got 1");
    let bob = Signing { key: key("bob"), number: 3, sequence: 0, public: true, mode: 1 };
    let both = alone.clone().with(|d| d.signers.push(bob.clone()));
    let result = chain.run(&both.bytes());
    assert_ok(&result);
    assert_eq!(chain.balance(&address("alice")), 999_999);
    assert_eq!(chain.balance(&address("bob")), 999_500);
    assert_eq!((chain.sequence("alice"), chain.sequence("bob")), (1, 1));

    let granter = alone.clone().with(|d| {
        d.fee.payer.clear();
        d.fee.granter = payer;
        d.signers[0].sequence = 1;
    });
    assert_refused(&chain.run(&granter.bytes()), "sdk", 18, "fee grants are not enabled: invalid request");
    let bad = alone.with(|d| d.fee.payer = "cosmos1abc".into());
    assert_refused(&chain.run(&bad.bytes()), "sdk", 7, "Invalid fee payer address");
}

#[test]
fn gas_is_bounded_exact_and_never_exceeds_the_block() {
    let mut chain = Chain::new();
    let draft =
        |chain: &Chain, gas| chain.draft("alice", vec![send("alice", "bob", 1)]).with(|d| d.fee.gas_limit = gas);
    let tx = draft(&chain, 0).bytes();
    assert_refused(&chain.run(&tx), "sdk", 41, "must provide positive gas: invalid gas limit");
    let tx = draft(&chain, 1 << 63).bytes();
    assert_refused(&chain.run(&tx), "sdk", 18, "invalid gas supplied; 9223372036854775808 > 9223372036854775807");
    let tx = draft(&chain, 1_000).bytes();
    let result = chain.run(&tx);
    assert_refused(&result, "sdk", 11, "out of gas in location: ");
    assert!(result.events.is_empty() && result.fee_collected.is_empty(), "the ante ran out, so nothing was taken");

    chain.gas = BlockGas::new(Some(2_500_000));
    let tx = draft(&chain, 250_001).bytes();
    assert_refused(
        &chain.run(&tx),
        "sdk",
        41,
        "tx gas limit 250001 exceeds 250000, which is a transaction's part of a",
    );
    chain.gas = BlockGas::new(Some(850_000));
    let mut used = 0;
    let mut sent = 0;
    let result = loop {
        let tx = draft(&chain, 85_000).bytes();
        let result = chain.run(&tx);
        used += result.gas_used;
        assert_eq!(chain.gas.used(), used);
        if result.code != 0 {
            break result;
        }
        sent += 1;
    };
    assert!(sent >= 10, "{sent}");
    assert_refused(&result, "sdk", 11, "out of gas in location: block gas meter; gasWanted: 85000, gasUsed: ");
    assert_eq!(result.fee_collected.to_string(), "500ugantry");
    let tx = draft(&chain, 85_000).bytes();
    let result = chain.run(&tx);
    assert_refused(&result, "sdk", 11, "no block gas left to run tx: out of gas");
    assert_eq!((result.gas_wanted, result.gas_used), (0, 0));
    assert_eq!(chain.balance(&address("bob")), 1_000_000 + sent, "only what fitted took effect");

    // The same transaction uses the same gas everywhere.
    let used: Vec<_> = (0..2)
        .map(|_| {
            let mut chain = Chain::new();
            let tx = draft(&chain, 200_000).bytes();
            chain.run(&tx).gas_used
        })
        .collect();
    assert_eq!(used[0], used[1]);
}

#[test]
fn memos_timeouts_and_options_are_checked() {
    let mut chain = Chain::new();
    let draft = |chain: &Chain| chain.draft("alice", vec![send("alice", "bob", 1)]);
    let tx = draft(&chain).with(|d| d.body.memo = "é".repeat(129)).bytes();
    assert_refused(&chain.run(&tx), "sdk", 12, "maximum number of characters is 256 but received 258 characters");
    let tx = draft(&chain).with(|d| d.body.memo = "m".repeat(256)).bytes();
    assert_ok(&chain.run(&tx));
    let tx = draft(&chain).with(|d| d.body.timeout_height = 4).bytes();
    assert_refused(&chain.run(&tx), "sdk", 30, "block height: 5, timeout height: 4: tx timeout height");
    let tx = draft(&chain).with(|d| d.body.timeout_height = 5).bytes();
    assert_ok(&chain.run(&tx));
    let option = send("alice", "bob", 1);
    let tx = draft(&chain).with(|d| d.body.extension_options.push(option.clone())).bytes();
    assert_refused(&chain.run(&tx), "sdk", 31, "unknown extension options");
    let tx = draft(&chain).with(|d| d.body.non_critical_extension_options.push(option)).bytes();
    assert_ok(&chain.run(&tx));
}

#[test]
fn messages_are_checked_at_the_door() {
    let mut chain = Chain::new();
    let refused = |chain: &mut Chain, messages: Vec<Any>, codespace, code, words| {
        let tx = chain.draft("alice", messages).bytes();
        let result = chain.run(&tx);
        assert_refused(&result, codespace, code, words);
        assert_eq!((result.gas_wanted, result.gas_used), (0, 0));
    };
    refused(&mut chain, vec![], "sdk", 18, "must contain at least one message");
    let unrouted = Any { type_url: "/cosmos.bank.v1beta1.MsgUpdateParams".into(), value: Vec::new() };
    refused(&mut chain, vec![unrouted], "sdk", 6, "no message handler found for");
    let msg = |to: &str, amount| {
        vec![any(&MsgSend { from_address: address("alice").to_string(), to_address: to.into(), amount })]
    };
    refused(&mut chain, msg("gantry1xyz", coins(&[(1, "ugantry")])), "sdk", 7, "invalid to address: decoding bech32");
    refused(&mut chain, msg("", coins(&[(1, "ugantry")])), "sdk", 7, "invalid to address: empty address string");
    let bob = address("bob").to_string();
    refused(&mut chain, msg(&bob, vec![]), "sdk", 10, "invalid coins");
    refused(&mut chain, msg(&bob, coins(&[(0, "ugantry")])), "sdk", 10, "amount is not positive");
    refused(&mut chain, msg(&bob, coins(&[(1, "u;gantry")])), "sdk", 10, "invalid denom: u;gantry");
    refused(&mut chain, msg(&bob, coins(&[(1, "ugantry"), (1, "atom")])), "sdk", 10, "denomination atom is not sorted");
    let mut huge = coins(&[(1, "ugantry")]);
    for amount in ["-1", "1.5", "01", "+1", "", "340282366920938463463374607431768211456"] {
        huge[0].amount = amount.to_owned();
        refused(&mut chain, msg(&bob, huge.clone()), "sdk", 10, "invalid coins");
    }
    refused(&mut chain, vec![any(&MsgMultiSend::default())], "bank", 2, "no inputs to send transaction");
    chain.limits = Limits { messages: 3, ..Limits::default() };
    refused(&mut chain, vec![send("alice", "bob", 1); 4], "sdk", 18, "too many messages: 4, limit: 3");
}

#[test]
fn modules_accounts_receive_nothing() {
    let mut chain = Chain::new();
    let tx = chain.draft("alice", vec![send_to("alice", &Address::module("escrow"), 1)]).bytes();
    assert_refused(&chain.run(&tx), "sdk", 4, "is not allowed to receive funds: unauthorized");
}

#[test]
fn signers_and_signatures_must_match_one_to_one() {
    let mut chain = Chain::new();
    let draft = chain.draft("alice", vec![send("alice", "carol", 1), send("bob", "carol", 1)]);
    assert_refused(&chain.run(&draft.bytes()), "sdk", 4, "wrong number of signers; expected 2, got 1");
    let mut unsigned = draft.raw();
    unsigned.signatures.clear();
    assert_refused(&chain.run(&unsigned.encode_to_vec()), "sdk", 15, "no signatures supplied");
    let mut extra = draft.raw();
    extra.signatures.push(vec![1; 64]);
    assert_refused(&chain.run(&extra.encode_to_vec()), "sdk", 4, "invalid number of signer;  expected: 2, got 1");
    let bob = Signing { key: key("bob"), number: 3, sequence: 0, public: true, mode: 1 };
    let both = draft.with(|d| d.signers.push(bob));
    let swapped = both.clone().with(|d| d.signers.swap(0, 1));
    assert_refused(&chain.run(&swapped.bytes()), "sdk", 8, "pubKey does not match signer address");
    assert_ok(&chain.run(&both.bytes()));
    assert_eq!(chain.balance(&address("carol")), 2);
    let many = chain.draft("alice", vec![send("alice", "bob", 1)]);
    let mut raw = many.raw();
    raw.signatures = vec![Vec::new(); 65];
    assert_refused(&chain.run(&raw.encode_to_vec()), "sdk", 2, "too many signatures");
}

#[test]
fn more_signatures_than_the_parameter_are_refused() {
    let mut chain = Chain::new();
    let names: Vec<String> = (0..8).map(|i| format!("signer {i}")).collect();
    for name in &names {
        let tx = chain.draft("alice", vec![send("alice", name, 1_000)]).bytes();
        assert_ok(&chain.run(&tx));
    }
    let drafts: Vec<_> = names.iter().map(|name| chain.draft(name, vec![send(name, "bob", 1)])).collect();
    let mut all = drafts[0].clone();
    for draft in &drafts[1..] {
        all.body.messages.extend(draft.body.messages.clone());
        all.signers.extend(draft.signers.clone());
    }
    assert_refused(&chain.run(&all.bytes()), "sdk", 14, "signatures: 8, limit: 7");
}

#[test]
fn keys_of_other_kinds_are_refused() {
    let mut chain = Chain::new();
    let draft = chain.draft("alice", vec![send("alice", "bob", 1)]);
    let with_key = |type_url: &str, value: Vec<u8>| {
        let mut info = draft.auth_info();
        info.signer_infos[0].public_key = Some(Any { type_url: type_url.into(), value });
        draft.raw_of(draft.body.encode_to_vec(), info.encode_to_vec()).encode_to_vec()
    };
    let ed25519 = with_key("/cosmos.crypto.ed25519.PubKey", [vec![0x0a, 32], vec![1; 32]].concat());
    assert_refused(&chain.run(&ed25519), "sdk", 8, "ED25519 public keys are unsupported");
    let short = with_key("/cosmos.crypto.secp256k1.PubKey", vec![0x0a, 1, 2]);
    assert_refused(&chain.run(&short), "sdk", 8, "length of pubkey is incorrect");
    let multisig = with_key("/cosmos.crypto.multisig.LegacyAminoPubKey", vec![]);
    assert_refused(&chain.run(&multisig), "sdk", 8, "unrecognized public key type");
}

#[test]
fn size_and_depth_are_bounded_before_anything_is_built() {
    let mut chain = Chain::new();
    chain.limits = Limits { bytes: 1000, ..Limits::default() };
    assert_refused(&chain.run(&vec![0; 1001]), "sdk", 21, "1001 bytes, limit: 1000: tx too large");
    chain.limits = Limits::default();

    // An Any in an Any in an Any: a body as a message, which nothing routes but everything can decode.
    let mut nested = send("alice", "bob", 1);
    for _ in 0..2_000 {
        let mut value = vec![0x0a];
        prost::encoding::encode_varint(nested.encoded_len() as u64, &mut value);
        nested.encode(&mut value).unwrap();
        nested = Any { type_url: "/cosmos.tx.v1beta1.TxBody".into(), value };
    }
    let tx = chain.draft("alice", vec![nested]).bytes();
    assert_refused(&chain.run(&tx), "sdk", 2, "recursion limit reached: tx parse error");

    let wide = MsgSend { amount: coins(&[(1, "ugantry"); 20_000]), ..MsgSend::default() };
    let tx = chain.draft("alice", vec![any(&wide)]).bytes();
    assert_refused(&chain.run(&tx), "sdk", 2, "too many messages: tx parse error");

    let mut body = chain.draft("alice", vec![send("alice", "bob", 1)]).body.encode_to_vec();
    body.extend([0x18, 0x01].repeat(200_000));
    let draft = chain.draft("alice", vec![]);
    let tx = draft.raw_of(body, draft.auth_info().encode_to_vec()).encode_to_vec();
    assert_refused(&chain.run(&tx), "sdk", 2, "too many fields: tx parse error");
}

#[test]
fn unknown_non_critical_fields_are_signed_and_kept_as_they_came() {
    let mut chain = Chain::new();
    let draft = chain.draft("alice", vec![send("alice", "bob", 1)]);
    let mut body = draft.body.encode_to_vec();
    // Field 1,030: bit 11 is set.
    body.extend([0xb0, 0x40, 0x07]);
    let tx = draft.raw_of(body, draft.auth_info().encode_to_vec()).encode_to_vec();
    assert_ok(&chain.run(&tx));
}

#[test]
fn a_check_takes_fee_and_sequence_but_runs_no_message() {
    let mut chain = Chain::new();
    let tx = chain.draft("alice", vec![trouble("alice", "panic")]).bytes();
    let result = chain.run_mode(&tx, ExecMode::Check).unwrap();
    assert_ok(&result);
    assert!(result.events.is_empty() && result.data.is_empty());
    assert_eq!(result.gas_wanted, 300_000);
    assert_eq!((chain.sequence("alice"), chain.balance(&address("alice"))), (1, 999_500));
    // The next sequence is good at once, as relayers need it.
    let tx = chain.draft("alice", vec![send("alice", "bob", 1)]).bytes();
    assert_ok(&chain.run_mode(&tx, ExecMode::Check).unwrap());
}

#[test]
fn a_recheck_does_not_ask_the_curve() {
    let mut chain = Chain::new();
    let mut raw = chain.draft("alice", vec![send("alice", "bob", 1)]).raw();
    raw.signatures[0] = vec![7; 64];
    let tx = raw.encode_to_vec();
    assert_refused(&chain.run_mode(&tx, ExecMode::Check).unwrap(), "sdk", 4, "unable to verify");
    assert_ok(&chain.run_mode(&tx, ExecMode::Recheck).unwrap());
    assert_refused(&chain.run_mode(&tx, ExecMode::Recheck).unwrap(), "sdk", 32, "expected 1, got 0");
}

#[test]
fn a_simulation_needs_no_key_no_signature_no_mode_and_no_gas_and_keeps_nothing() {
    let mut chain = Chain::new();
    let real = chain.draft("alice", vec![send("alice", "carol", 1)]).with(|d| d.fee.gas_limit = 1_000_000).bytes();
    let draft = chain.draft("alice", vec![send("alice", "carol", 1)]).with(|d| {
        d.fee.gas_limit = 0;
        d.signers[0].public = false;
        d.signers[0].mode = 0;
    });
    let mut raw = draft.raw();
    raw.signatures = vec![Vec::new()];
    let before = chain.state.changes().clone();
    let simulated = chain.run_mode(&raw.encode_to_vec(), ExecMode::Simulate).unwrap();
    assert_ok(&simulated);
    assert!(!simulated.data.is_empty() && simulated.events.len() == 12);
    assert_eq!(chain.state.changes(), &before);
    // The estimate is close: the SDK reckons a signature with its Amino size, and wallets add a margin.
    let result = chain.run(&real);
    assert_ok(&result);
    let (estimate, used) = (simulated.gas_used, result.gas_used);
    assert!(estimate.abs_diff(used) < used / 100, "estimated {estimate}, used {used}");

    // What would fail fails in a simulation as well.
    let mut raw = chain.draft("alice", vec![send("alice", "bob", 10_000_000)]).raw();
    raw.signatures = vec![vec![0; 64]];
    let result = chain.run_mode(&raw.encode_to_vec(), ExecMode::Simulate).unwrap();
    assert_refused(&result, "sdk", 5, "insufficient funds");
    let mut raw = chain.draft("alice", vec![send("alice", "bob", 1)]).with(|d| d.signers[0].sequence = 9).raw();
    raw.signatures = vec![Vec::new()];
    let result = chain.run_mode(&raw.encode_to_vec(), ExecMode::Simulate).unwrap();
    assert_refused(&result, "sdk", 32, "account sequence mismatch, expected 1, got 9");
}

#[test]
fn a_simulation_borrows_the_mempools_state_for_its_ante_alone() {
    let mut chain = Chain::new();
    let mut committed = Overlay::new(gantry_core::Empty);
    committed.apply(chain.state.changes().clone());
    let waiting = chain.draft("alice", vec![send("alice", "bob", 1)]).bytes();
    assert_ok(&chain.run_mode(&waiting, ExecMode::Check).unwrap());
    // Two fees are gone, that of the one that waits and its own.
    for (amount, code) in [(999_000, 0), (999_001, 5)] {
        let tx = chain.decode(&chain.draft("alice", vec![send("alice", "bob", amount)]).bytes());
        let rt = Runtime { router: &chain.router, state: &Accounts, min_gas_prices: &chain.prices };
        let result = simulate(&rt, &tx, |lend| lend(&chain.state, &chain.block, &chain.gas), &committed).unwrap();
        assert_eq!(result.code, code, "{}", result.log);
    }
}

/// Counts how often the ante reads accounts, to see that speculation does not change what is read.
struct Counting(AtomicUsize);

impl AnteState for Counting {
    fn params(&self, s: &dyn KvRead) -> Result<Params> {
        Accounts.params(s)
    }
    fn account(&self, s: &dyn KvRead, address: &Address) -> Result<Option<AnteAccount>> {
        self.0.fetch_add(1, Ordering::Relaxed);
        Accounts.account(s, address)
    }
    fn set_pub_key(&self, ctx: &mut dyn Ctx, address: &Address, key: &PubKey) -> Result<()> {
        Accounts.set_pub_key(ctx, address, key)
    }
    fn increment_sequence(&self, ctx: &mut dyn Ctx, address: &Address) -> Result<()> {
        Accounts.increment_sequence(ctx, address)
    }
    fn take_fee(&self, ctx: &mut dyn Ctx, payer: &Address, fee: &Coins) -> Result<()> {
        Accounts.take_fee(ctx, payer, fee)
    }
}

#[test]
fn the_curve_is_not_asked_where_the_ante_refuses_for_less() {
    let mut chain = Chain::new();
    chain.prices = "0.001ugantry".parse().unwrap();
    let good = chain.draft("alice", vec![send("alice", "bob", 1)]);
    let state = Counting(AtomicUsize::new(0));
    let rt = Runtime { router: &chain.router, state: &state, min_gas_prices: &chain.prices };
    let reads = |tx: &[u8]| {
        let tx = chain.decode(tx).unwrap();
        state.0.store(0, Ordering::Relaxed);
        let gas = BlockGas::new(Some(10_000_000));
        let good = rt.verify_ahead(&tx, &chain.state, &chain.block, ExecMode::Check, &gas);
        (good, state.0.load(Ordering::Relaxed))
    };
    assert_eq!(reads(&good.bytes()), (true, 1));
    let mut forged = good.raw();
    forged.signatures[0][40] ^= 1;
    assert_eq!(reads(&forged.encode_to_vec()), (false, 1));
    let worthless: [&dyn Fn(&mut common::Draft); 7] = [
        &|d| d.fee.amount = coins(&[(299, "ugantry")]),
        &|d| d.fee.gas_limit = 1_000_001,
        &|d| d.fee.gas_limit = 1_000,
        &|d| d.body.memo = "m".repeat(257),
        &|d| d.body.timeout_height = 4,
        &|d| d.signers[0].key = key("bob"),
        &|d| {
            let names: Vec<String> = (0..7).map(|n| format!("signer {n}")).collect();
            d.body.messages.extend(names.iter().map(|name| send(name, "bob", 1)));
            let first = d.signers[0].clone();
            d.signers.extend(names.iter().map(|name| Signing { key: key(name), ..first.clone() }));
        },
    ];
    for (i, change) in worthless.into_iter().enumerate() {
        assert_eq!(reads(&good.clone().with(|d| change(d)).bytes()), (false, 0), "case {i}");
    }
}

#[test]
fn what_was_decoded_ahead_is_handed_on_once() {
    let chain = Chain::new();
    let cache = TxCache::default();
    let bytes = chain.draft("alice", vec![send("alice", "bob", 1)]).bytes();
    let decode = || cache.decode(&bytes, &chain.limits, &chain.router).unwrap();
    let ahead = decode();
    cache.expect(vec![Arc::clone(&ahead)]);
    assert!(Arc::ptr_eq(&decode(), &ahead));
    assert!(!Arc::ptr_eq(&decode(), &ahead), "it was not remembered");
    cache.keep(&ahead);
    assert!(Arc::ptr_eq(&decode(), &ahead));
}

#[test]
fn remembered_transactions_weigh_what_they_take() {
    // Three bytes each as they come; decoded, some fifty.
    let chain = Chain::new();
    let cache = TxCache::default();
    let kept: Vec<_> = (0..80)
        .map(|n| {
            let message = MsgSetSendEnabled {
                authority: address("alice").to_string(),
                use_default_for: vec!["a".into(); 100_000],
                ..MsgSetSendEnabled::default()
            };
            let bytes = chain.draft("alice", vec![any(&message)]).with(|d| d.body.timeout_height = n).bytes();
            let tx = cache.decode(&bytes, &chain.limits, &chain.router).unwrap();
            cache.keep(&tx);
            Arc::downgrade(&tx)
        })
        .collect();
    // 6.7 MB each: sixteen shards with two generations of ten.
    let alive = kept.iter().filter(|tx| tx.strong_count() > 0).count();
    assert!((16..=32).contains(&alive), "{alive}");
}

/// Merged, the two would be what no walk has seen: the type of one with the value of the other.
#[test]
fn a_message_that_may_come_once_does_not_come_twice() {
    let mut chain = Chain::new();
    let draft = chain.draft("alice", vec![send("alice", "bob", 1)]);
    let auth_info = draft.auth_info().encode_to_vec();
    // Another fee: field 2 again.
    let mut twice = auth_info.clone();
    twice.extend([0x12, 0]);
    let refused = chain.run(&draft.raw_of(draft.body.encode_to_vec(), twice).encode_to_vec());
    assert_refused(&refused, "sdk", 2, "given twice");
    // Another type for the key.
    let mut info = draft.auth_info().signer_infos[0].encode_to_vec();
    let other = Any { type_url: "/cosmos.crypto.ed25519.PubKey".into(), value: vec![] }.encode_to_vec();
    info.extend([0x0a, u8::try_from(other.len()).unwrap()]);
    info.extend(other);
    let mut twice = vec![0x0a, u8::try_from(info.len()).unwrap()];
    twice.extend(info);
    twice.extend(
        cosmos_sdk_proto::cosmos::tx::v1beta1::AuthInfo { signer_infos: vec![], ..draft.auth_info() }.encode_to_vec(),
    );
    let refused = chain.run(&draft.raw_of(draft.body.encode_to_vec(), twice).encode_to_vec());
    assert_refused(&refused, "sdk", 2, "given twice");
}

#[test]
fn verifying_a_block_ahead_changes_no_result() {
    let chain = Chain::new();
    let mut txs = Vec::new();
    for sequence in 0..6 {
        let draft = chain.draft("alice", vec![send("alice", "bob", 1)]).with(|d| d.signers[0].sequence = sequence);
        txs.push(draft.bytes());
    }
    // A new account spends in the block that made it: nothing is known of it ahead.
    txs.push(chain.draft("bob", vec![send("bob", "carol", 5_000)]).bytes());
    let carol = chain.draft("carol", vec![send("carol", "bob", 1)]).with(|d| d.signers[0].number = 4);
    txs.push(carol.bytes());
    txs.push(carol.with(|d| d.signers[0].number = 0).bytes());
    txs.push(b"no transaction".to_vec());
    let mut forged = chain.draft("alice", vec![send("alice", "bob", 1)]).with(|d| d.signers[0].sequence = 6).raw();
    forged.signatures[0][40] ^= 1;
    txs.push(forged.encode_to_vec());

    let outcomes: Vec<_> = [false, true]
        .into_iter()
        .map(|ahead| {
            let mut chain = Chain::new();
            let decoded: Vec<_> = txs.iter().map(|tx| chain.decode(tx)).collect();
            let state = Counting(AtomicUsize::new(0));
            let snapshot = Overlay::new(gantry_core::Empty);
            let mut snapshot = snapshot;
            snapshot.apply(chain.state.changes().clone());
            if ahead {
                let rt = Runtime { router: &chain.router, state: &state, min_gas_prices: &chain.prices };
                let verify =
                    |tx| rt.verify_ahead(tx, &snapshot, &chain.block, ExecMode::Finalize, &BlockGas::default());
                let found: Vec<_> = decoded.iter().flatten().map(verify).collect();
                assert_eq!(found, [true, true, true, true, true, true, true, false, false, false]);
                state.0.store(0, Ordering::Relaxed);
            }
            let rt = Runtime { router: &chain.router, state: &state, min_gas_prices: &chain.prices };
            let results: Vec<_> = decoded
                .iter()
                .map(|tx| run(&rt, tx, &mut chain.state, &chain.block, ExecMode::Finalize, &mut chain.gas).unwrap())
                .collect();
            (results, chain.state.into_changes(), state.0.into_inner())
        })
        .collect();
    assert_eq!(outcomes[0], outcomes[1]);
    let codes: Vec<_> = outcomes[0].0.iter().map(|r| r.code).collect();
    assert_eq!(codes, [0, 0, 0, 0, 0, 0, 0, 0, 32, 2, 4]);
}
