//! Access tokens in the metadata of calls to a worker: only who signed for this job, provider and chain gets in.

use gantry_client::access::{AccessToken, EXPIRY, PUBLIC_KEY, SIGNATURE, Scope};
use prost::Message;
use tonic::metadata::{AsciiMetadataValue, MetadataMap};

use crate::{Target, chain, mutate::Form};

/// [`Metadata`].
pub const TARGET: Target = Target { name: "token", form: Form::Proto, run };

/// What the seeds are signed for.
pub const SCOPE: Scope<'static> = Scope { chain_id: "gantry-1", job: 7, provider: 3 };
/// When they are looked at, in Unix seconds.
pub const NOW: u64 = 1_767_225_600;

/// The fields of a token as they travel.
#[derive(Clone, PartialEq, Message)]
pub struct Metadata {
    /// The public key, if there is one.
    #[prost(bytes = "vec", repeated, tag = "1")]
    pub public_key: Vec<Vec<u8>>,
    /// The signature.
    #[prost(bytes = "vec", repeated, tag = "2")]
    pub signature: Vec<Vec<u8>>,
    /// The expiry.
    #[prost(bytes = "vec", repeated, tag = "3")]
    pub expiry: Vec<Vec<u8>>,
}

fn run(bytes: &[u8]) {
    let Ok(fields) = Metadata::decode(bytes) else { return };
    let mut metadata = MetadataMap::new();
    for (name, values) in [(PUBLIC_KEY, fields.public_key), (SIGNATURE, fields.signature), (EXPIRY, fields.expiry)] {
        for value in values {
            if let Ok(value) = AsciiMetadataValue::try_from(value) {
                metadata.append(name, value);
            }
        }
    }
    let Ok(Some(token)) = AccessToken::read(&metadata) else { return };
    let mut written = MetadataMap::new();
    token.attach(&mut written);
    assert_eq!(AccessToken::read(&written), Ok(Some(token)));
    for scope in
        [SCOPE, Scope { job: 8, ..SCOPE }, Scope { provider: 4, ..SCOPE }, Scope { chain_id: "other", ..SCOPE }]
    {
        if let Ok(who) = token.verify(&scope, NOW) {
            assert_eq!(
                (scope, who),
                (SCOPE, chain::address(0).to_string()),
                "nobody else signed, and for nothing else"
            );
        }
    }
}
