//! What the Go SDK signs and which encodings it refuses (`golden/main.go`).
#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use common::{Chain, user};
use cosmos_sdk_proto::cosmos::tx::v1beta1::TxRaw;
use gantry_core::PubKey;
use gantry_keyring::PrivateKey;
use gantry_tx::{sign_bytes, verify};
use prost::Message;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    sign: Vec<Sign>,
    decode: Vec<Decode>,
}

#[derive(Deserialize)]
struct Sign {
    name: String,
    key: String,
    chain_id: String,
    account_number: u64,
    body: String,
    auth_info: String,
    sign_bytes: String,
    signature: String,
    tx_raw: String,
}

#[derive(Deserialize)]
struct Decode {
    name: String,
    tx: String,
    ok: bool,
    error: String,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("../golden/vectors.json")).unwrap()
}

fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text).unwrap()
}

#[test]
fn signs_and_verifies_what_the_sdk_signs() {
    let chain = Chain::new();
    for v in vectors().sign {
        let (body, auth_info, signature) = (bytes(&v.body), bytes(&v.auth_info), bytes(&v.signature));
        let document = sign_bytes(&body, &auth_info, &v.chain_id, v.account_number);
        assert_eq!(hex::encode(&document), v.sign_bytes, "{}", v.name);

        let key = PrivateKey::from_bytes(&bytes(&v.key)).unwrap();
        let public = PubKey::from(*key.public_key());
        assert_eq!(key.sign(&document).to_vec(), signature, "{}", v.name);
        assert!(verify(&public, &document, &signature), "{}", v.name);

        let tx = chain.decode(&bytes(&v.tx_raw)).unwrap();
        assert_eq!(tx.signers(), [public.address()], "{}", v.name);
        let raw = TxRaw { body_bytes: body, auth_info_bytes: auth_info, signatures: vec![signature] };
        assert_eq!(hex::encode(raw.encode_to_vec()), v.tx_raw, "{}", v.name);
    }
}

#[test]
fn accepts_and_refuses_the_encodings_that_the_sdk_does() {
    let chain = Chain::new();
    let vectors = vectors().decode;
    assert!(vectors.len() > 200);
    for v in vectors {
        let refused = chain.decode(&bytes(&v.tx)).err().map(user).filter(|e| e.code == 2);
        // Where we ask for more than the SDK (UTF-8 among it), its verdict is "ok" and ours must not be.
        let stricter =
            v.name.starts_with("stricter/") || refused.as_ref().is_some_and(|e| e.log.contains("data is not UTF-8"));
        assert_eq!(refused.is_none(), v.ok && !stricter, "{}: {refused:?}, the SDK says {:?}", v.name, v.error);
        let Some(error) = refused.filter(|_| !stricter) else { continue };
        // Types have the names of Go there; groups are refused as such here.
        if error.log.contains("groups are not accepted") || v.error.contains("against interface") {
            continue;
        }
        let tail = |text: &str| text.split_once("{TagNum").map_or(text, |(_, tail)| tail).to_owned();
        if !v.error.contains("wrong wireType") && !v.name.starts_with("flip/") && !v.error.contains("wire type, got 7")
        {
            assert_eq!(tail(&error.log), tail(&v.error), "{}", v.name);
        }
    }
}
