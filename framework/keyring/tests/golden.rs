//! Against what cosmos-sdk v0.50 wrote (`golden/main.go`): derivation, addresses, armor, output shape, signed bytes.
#![expect(clippy::unwrap_used, reason = "a test may panic")]

use cosmos_sdk_proto::cosmos::bank::v1beta1::MsgSend;
use cosmos_sdk_proto::cosmos::base::v1beta1::Coin;
use cosmos_sdk_proto::cosmos::tx::v1beta1::{AuthInfo, TxBody, TxRaw};
use gantry_keyring::{
    HdPath, Keyring, KeyringError, Mnemonic, PrivateKey, SignerData, TxBuilder, address_of, armor, encode_address,
    sign_direct,
};
use prost::Message;
use serde_json::Value;

fn vectors() -> Value {
    serde_json::from_str(include_str!("../golden/vectors.json")).unwrap()
}

fn text<'a>(value: &'a Value, field: &str) -> &'a str {
    value[field].as_str().unwrap()
}

fn number(value: &Value, field: &str) -> u64 {
    value[field].as_u64().unwrap()
}

fn alice() -> (Keyring, HdPath) {
    let (keyring, path) = (Keyring::memory(), HdPath::default());
    let words = Mnemonic::parse(text(&vectors()["derived"][0], "mnemonic")).unwrap();
    keyring.recover("alice", &words, path, "").unwrap();
    (keyring, path)
}

#[test]
fn derivation_and_addresses_are_the_sdks() {
    let vectors = vectors();
    let derived = vectors["derived"].as_array().unwrap();
    assert_eq!(derived.len(), 12);
    for vector in derived {
        let path = |field| u32::try_from(number(vector, field)).unwrap();
        let path = HdPath { coin_type: path("coin_type"), account: path("account"), index: path("index") };
        let key = Mnemonic::parse(text(vector, "mnemonic")).unwrap().derive(path, "").unwrap();
        assert_eq!(hex::encode(key.expose()), text(vector, "private"));
        assert_eq!(hex::encode(key.public_key()), text(vector, "public"));
        let address = address_of(key.public_key());
        for prefix in ["cosmos", "gantry"] {
            assert_eq!(encode_address(prefix, &address).unwrap(), text(vector, prefix), "{path}");
        }
    }
}

#[test]
fn key_output_has_the_sdks_shape() {
    let (keyring, _) = alice();
    let ours = serde_json::to_string_pretty(&keyring.show("alice").unwrap()).unwrap();
    // As text, so that the order of the fields counts too.
    let theirs = serde_json::to_string_pretty(&vectors()["key_output"]).unwrap();
    assert_eq!(serde_json::from_str::<Value>(&ours).unwrap(), vectors()["key_output"]);
    assert_eq!(ours.len(), theirs.len());
    assert!(ours.starts_with("{\n  \"name\": \"alice\",\n  \"type\": \"local\",\n  \"address\": \"gantry1"));
}

#[test]
fn armor_of_the_sdk_is_read() {
    let vectors = vectors();
    for field in ["armor_argon2", "armor_bcrypt"] {
        let key = armor::decrypt(text(&vectors, field), text(&vectors, "passphrase")).unwrap();
        assert_eq!(hex::encode(key.expose()), text(&vectors["derived"][0], "private"), "{field}");
        assert!(
            matches!(armor::decrypt(text(&vectors, field), "something else"), Err(KeyringError::WrongPassphrase)),
            "{field}"
        );
    }
}

#[test]
fn signed_transactions_are_the_sdks_byte_for_byte() {
    let (keyring, _) = alice();
    let signer = keyring.signer("alice").unwrap();
    let vectors = vectors();
    for vector in vectors["signed"].as_array().unwrap() {
        let coin = |field| vec![Coin { denom: "ugantry".to_owned(), amount: text(vector, field).to_owned() }];
        let send = MsgSend {
            from_address: text(vector, "from").to_owned(),
            to_address: text(vector, "to").to_owned(),
            amount: coin("amount"),
        };
        let builder = TxBuilder::new()
            .message(&send)
            .fee(coin("fee_amount"))
            .gas_limit(number(vector, "gas_limit"))
            .memo(text(vector, "memo"))
            .timeout_height(number(vector, "timeout_height"));
        let account = SignerData {
            chain_id: text(vector, "chain_id").to_owned(),
            account_number: number(vector, "account_number"),
            sequence: number(vector, "sequence"),
        };
        let bytes = builder.sign(&signer, &account);
        assert_eq!(hex::encode(&bytes), text(vector, "tx_raw"));

        let key = PrivateKey::from_bytes(&hex::decode(text(&vectors["derived"][0], "private")).unwrap()).unwrap();
        let raw = TxRaw::decode(bytes.as_slice()).unwrap();
        let signature =
            sign_direct(&key, &raw.body_bytes, &raw.auth_info_bytes, &account.chain_id, account.account_number);
        assert_eq!(hex::encode(signature), text(vector, "signature"));
        assert_eq!(signature, keyring.sign("alice", &hex::decode(text(vector, "sign_bytes")).unwrap()).unwrap());
    }
}

#[test]
fn simulation_leaves_the_signature_empty() {
    let builder = TxBuilder::new().message(&MsgSend::default()).gas_limit(1);
    for key in [None, Some([2u8; 33])] {
        let raw = TxRaw::decode(builder.simulate(key.as_ref(), 5).as_slice()).unwrap();
        assert_eq!(raw.signatures, [Vec::<u8>::new()]);
        let auth = AuthInfo::decode(raw.auth_info_bytes.as_slice()).unwrap();
        assert_eq!(auth.signer_infos[0].sequence, 5);
        assert_eq!(auth.signer_infos[0].public_key.is_some(), key.is_some());
        assert_eq!(
            TxBody::decode(raw.body_bytes.as_slice()).unwrap().messages[0].type_url,
            "/cosmos.bank.v1beta1.MsgSend"
        );
    }
}
