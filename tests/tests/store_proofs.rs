//! What light clients and relayers do: rows of the stores with their proofs, at a past height, against the app hash of a
//! header, checked by ICS-23 in Rust and in Go.

use std::{fs, process::Command};

use anyhow::{Context, Result, ensure};
use base64::{Engine, engine::general_purpose::STANDARD};
use cosmos_sdk_proto::cosmos::auth::v1beta1::BaseAccount;
use gantry_core::Address;
use gantry_tests::{
    TestNet,
    tx::{Account, FEE, Rpc, paid, send},
};
use ics23::{CommitmentProof, HostFunctionsManager, commitment_proof::Proof, iavl_spec, tendermint_spec};
use prost::Message;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// A row, or its absence, as the node gave it, in the form that the Go verifier reads.
#[derive(Clone)]
struct Claim {
    app_hash: Vec<u8>,
    store: String,
    key: Vec<u8>,
    value: Option<Vec<u8>>,
    ops: Vec<Op>,
}

#[derive(Clone)]
struct Op {
    r#type: String,
    key: Vec<u8>,
    data: Vec<u8>,
}

impl Claim {
    /// Asks for a row with its proof, as relayers do.
    async fn ask(rpc: &Rpc, store: &str, key: &[u8], height: u64) -> Result<Self> {
        let response = query(rpc, store, key, height, true).await?;
        ensure!(response["code"] == 0, "{response}");
        ensure!(response["height"].as_str() == Some(&height.to_string()), "{response}");
        let ops = response["proofOps"]["ops"].as_array().context("no proof")?;
        let bytes = |value: &Value| Ok::<_, anyhow::Error>(STANDARD.decode(value.as_str().context("bytes")?)?);
        let op = |op: &Value| {
            let r#type = op["type"].as_str().context("type")?.to_owned();
            Ok(Op { r#type, key: bytes(&op["key"])?, data: bytes(&op["data"])? })
        };
        Ok(Self {
            app_hash: rpc.app_hash(height).await?,
            store: store.to_owned(),
            key: key.to_vec(),
            value: response["value"].as_str().map(|value| STANDARD.decode(value)).transpose()?,
            ops: ops.iter().map(op).collect::<Result<_>>()?,
        })
    }

    fn text(&self) -> Option<String> {
        String::from_utf8(self.value.clone()?).ok()
    }

    /// As the Go verifier reads it.
    fn json(&self) -> Value {
        let op = |op: &Op| json!({ "type": op.r#type, "key": hex::encode(&op.key), "data": hex::encode(&op.data) });
        json!({
            "app_hash": hex::encode(&self.app_hash),
            "store": self.store,
            "key": hex::encode(&self.key),
            "value": self.value.as_ref().map(hex::encode),
            "ops": self.ops.iter().map(op).collect::<Vec<_>>(),
        })
    }

    /// Whether the store has no row: what is proven of it is the hash of nothing.
    fn store_is_empty(&self) -> Result<bool> {
        let store = CommitmentProof::decode(&*self.ops.get(1).context("no second step")?.data)?;
        Ok(matches!(store.proof, Some(Proof::Exist(root)) if root.value == Sha256::digest([]).as_slice()))
    }

    /// Whether the claim holds, by the two specs that every IBC client of the ecosystem has built in.
    fn holds(&self) -> Result<bool> {
        let [row, store] = self.ops.as_slice() else { return Ok(false) };
        ensure!((row.r#type.as_str(), store.r#type.as_str()) == ("ics23:iavl", "ics23:simple"), "kinds of steps");
        ensure!(row.key == self.key && store.key == self.store.as_bytes(), "keys of steps");
        let (row, store) = (CommitmentProof::decode(&*row.data)?, CommitmentProof::decode(&*store.data)?);
        let Some(Proof::Exist(existence)) = &store.proof else { return Ok(false) };
        let root = existence.value.clone();
        let spec = tendermint_spec();
        let key = self.store.as_bytes();
        if !ics23::verify_membership::<HostFunctionsManager>(&store, &spec, &self.app_hash, key, &root) {
            return Ok(false);
        }
        let spec = iavl_spec();
        Ok(match &self.value {
            Some(value) => ics23::verify_membership::<HostFunctionsManager>(&row, &spec, &root, &self.key, value),
            None => ics23::verify_non_membership::<HostFunctionsManager>(&row, &spec, &root, &self.key),
        })
    }
}

async fn query(rpc: &Rpc, store: &str, key: &[u8], height: u64, prove: bool) -> Result<Value> {
    let path = format!("/store/{store}/key");
    let params = json!({ "path": path, "data": hex::encode(key), "height": height.to_string(), "prove": prove });
    Ok(rpc.call("abci_query", params).await?["response"].take())
}

/// Keys as the SDK lays them out.
fn balance_key(address: &str) -> Result<Vec<u8>> {
    let address = Address::parse(address)?;
    let bytes = address.as_bytes();
    let length = u8::try_from(bytes.len())?;
    Ok([&[2, length], bytes, b"ugantry"].concat())
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_and_absences_at_past_heights_are_proven_to_the_header() -> Result<()> {
    let mut test = TestNet::start(0).await?;
    // The first heights have no proofs.
    test.net.wait_for_height(3).await?;
    let rpc = Rpc::new(&test.net);
    let chain = test.net.chain().await?;
    let mut renter = Account::load(&test.net, "renter").await?;
    let address = renter.address().to_owned();
    let friend = Address::new([7; 20])?.to_string();
    let (mine, theirs) = (balance_key(&address)?, balance_key(&friend)?);
    let at_first = chain.balance(&address, "ugantry").await?;

    let mut heights = Vec::new();
    for _ in 0..3 {
        let tx = paid().message(&send(&address, &friend, 5));
        let verdict = rpc.commit(&renter.next(&tx)).await?;
        ensure!(verdict.code == 0, "{verdict:?}");
        heights.push(verdict.height);
    }
    let before = heights[0] - 1;

    let mut claims = Vec::new();
    // Before the transfers: the friend is absent from two stores.
    let claim = Claim::ask(&rpc, "bank", &mine, before).await?;
    ensure!(claim.text() == Some(at_first.to_string()), "{:?}", claim.text());
    claims.push(claim);
    let claim = Claim::ask(&rpc, "bank", &theirs, before).await?;
    ensure!(claim.value.is_none(), "{:?}", claim.text());
    claims.push(claim);
    let account_key = [&[1], Address::parse(&friend)?.as_bytes()].concat();
    let claim = Claim::ask(&rpc, "acc", &account_key, before).await?;
    ensure!(claim.value.is_none(), "{:?}", claim.text());
    claims.push(claim);
    // After each of them: what it left.
    for (sent, height) in (1_u128..).zip(&heights) {
        let claim = Claim::ask(&rpc, "bank", &theirs, *height).await?;
        ensure!(claim.text() == Some((5 * sent).to_string()), "{:?} at {height}", claim.text());
        claims.push(claim);
        let claim = Claim::ask(&rpc, "bank", &mine, *height).await?;
        ensure!(claim.text() == Some((at_first - (5 + FEE) * sent).to_string()), "{:?} at {height}", claim.text());
        claims.push(claim);
    }
    // The account: an Any, as in the SDK's store.
    let claim = Claim::ask(&rpc, "acc", &account_key, heights[0]).await?;
    let row = claim.value.as_deref().context("the friend has no account")?;
    let any = cosmos_sdk_proto::Any::decode(row)?;
    ensure!(any.type_url == "/cosmos.auth.v1beta1.BaseAccount", "{any:?}");
    ensure!(BaseAccount::decode(&*any.value)?.address == friend, "another account's row");
    claims.push(claim);
    // At both ends of a tree and outside them.
    for (store, key) in
        [("bank", &[0][..]), ("bank", &[0xff; 40]), ("acc", &[0, 0]), ("job", &[0xff]), ("escrow", b"?")]
    {
        let claim = Claim::ask(&rpc, store, key, heights[2]).await?;
        ensure!(claim.value.is_none(), "store {store} has a row at {key:?}");
        claims.push(claim);
    }

    // Nothing is absent by proof from a store without rows: ICS-23 knows no such proof, for any chain.
    let asked = claims.len();
    let empty = claims.iter().map(Claim::store_is_empty).collect::<Result<Vec<_>>>()?;
    let mut empty = empty.into_iter();
    claims.retain(|_| !empty.next().unwrap_or(false));
    ensure!(claims.len() + 3 > asked, "{} of {asked} claims are about empty stores", asked - claims.len());
    for claim in &claims {
        ensure!(claim.holds()?, "store {}, key {}: the proof does not hold", claim.store, hex::encode(&claim.key));
        for (what, wrong) in lies(claim) {
            ensure!(!wrong.holds().unwrap_or(false), "{what} of store {}: the proof holds", claim.store);
        }
    }

    // What the node must refuse, in the SDK's words.
    let future = query(&rpc, "bank", &mine, 1_000_000, true).await?;
    ensure!(future["code"] == 26, "a height of the future: {future}");
    let first = query(&rpc, "bank", &mine, 1, true).await?;
    ensure!(log(&first).contains("cannot query with proof when height <= 1"), "{first}");
    let unknown = query(&rpc, "staking", &mine, heights[0], true).await?;
    ensure!(unknown["code"] == 6 && log(&unknown).contains("no such store: staking"), "{unknown}");

    verify_with_go(test.dir(), &claims)?;
    test.net.stop().await
}

fn log(response: &Value) -> &str {
    response["log"].as_str().unwrap_or_default()
}

/// The claim, each time with another part of it wrong.
fn lies(claim: &Claim) -> Vec<(&'static str, Claim)> {
    let mut app_hash = claim.clone();
    app_hash.app_hash[0] ^= 1;
    let mut key = claim.clone();
    key.key.push(0);
    key.ops[0].key.push(0);
    let mut store = claim.clone();
    store.store.push('x');
    store.ops[1].key.push(b'x');
    let value = Claim { value: claim.value.is_none().then(|| vec![0]), ..claim.clone() };
    let mut lies = vec![("another app hash", app_hash), ("another store", store), ("the opposite", value)];
    if let Some(value) = &claim.value {
        let value = [value.as_slice(), b"0"].concat();
        lies.push(("another value", Claim { value: Some(value), ..claim.clone() }));
        lies.push(("another key", key));
    }
    lies
}

/// Has Go ics23 check the same. Skipped, and said so, where Go or its modules are not at hand.
fn verify_with_go(dir: &std::path::Path, claims: &[Claim]) -> Result<()> {
    let golden = concat!(env!("CARGO_MANIFEST_DIR"), "/../framework/store/golden");
    let verifier = dir.join("verify");
    let build = Command::new("go").args(["build", "-o"]).arg(&verifier).arg("./verify").current_dir(golden).output();
    match build {
        Ok(build) if build.status.success() => {}
        Ok(build) => {
            eprintln!("SKIPPED: proofs by Go: {}", String::from_utf8_lossy(&build.stderr));
            return Ok(());
        }
        Err(error) => {
            eprintln!("SKIPPED: proofs by Go: {error}");
            return Ok(());
        }
    }
    let file = dir.join("claims.json");
    let run = |claims: &[Claim]| {
        fs::write(&file, serde_json::to_vec(&claims.iter().map(Claim::json).collect::<Vec<_>>())?)?;
        Ok::<_, anyhow::Error>(Command::new(&verifier).arg(&file).output()?)
    };
    let output = run(claims)?;
    ensure!(output.status.success(), "Go refuses a proof: {}", String::from_utf8_lossy(&output.stderr));
    for (what, wrong) in lies(&claims[0]) {
        ensure!(!run(&[wrong])?.status.success(), "Go accepts a proof with {what}");
    }
    Ok(())
}
