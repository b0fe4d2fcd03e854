//! Who may see and store what at this worker.
//!
//! Content is named by what it is, so inputs and modules are open to anyone who knows their CID. Outputs are withheld
//! from everybody but the renter until the job has ended: else a replica could copy another's result instead of
//! computing one. Logs are for the renter alone, always.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{SystemTime, UNIX_EPOCH},
};

use gantry_client::access::{AccessError, AccessToken, Scope};
use gantry_content::{Access, BlockStore, Caller, Cid, DagLimits, UploadGrant};
use tonic::metadata::MetadataMap;

use crate::Key;

/// Part of the store that uploads may fill, in percent; the rest is for the worker's own jobs.
const UPLOAD_PERCENT: u64 = 80;

/// The rules of one worker. Shared by all its services.
#[derive(Debug)]
pub(crate) struct Gate {
    chain_id: String,
    provider: AtomicU64,
    height: AtomicU64,
    store: BlockStore,
    uploads: UploadPolicy,
    withheld: RwLock<Withheld>,
}

/// What strangers may upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UploadPolicy {
    /// Most bytes of one upload.
    pub max_bytes: u64,
    /// Blocks of the chain after which an upload is no longer pinned.
    pub keep_blocks: u64,
}

#[derive(Debug, Default)]
struct Withheld {
    /// Blocks of outputs whose jobs have not ended.
    blocks: BTreeMap<Cid, BTreeSet<Key>>,
    renters: BTreeMap<Key, String>,
}

/// Why somebody is not the renter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NotRenter {
    /// The call has no token.
    #[error("for the renter of the job alone: sign the call (gantry-renter-pubkey, -signature, -expiry)")]
    Anonymous,
    /// The token is no good.
    #[error(transparent)]
    BadToken(#[from] AccessError),
    /// The token is somebody else's.
    #[error("for the renter of the job alone")]
    Other,
}

impl Gate {
    /// The rules over a store.
    #[must_use]
    pub(crate) fn new(chain_id: &str, store: BlockStore, uploads: UploadPolicy) -> Self {
        Self {
            chain_id: chain_id.to_owned(),
            provider: AtomicU64::new(0),
            height: AtomicU64::new(0),
            store,
            uploads,
            withheld: RwLock::default(),
        }
    }

    /// The chain's id.
    #[must_use]
    pub(crate) fn chain_id(&self) -> &str {
        &self.chain_id
    }

    /// The provider's id; 0 before it is registered.
    #[must_use]
    pub(crate) fn provider(&self) -> u64 {
        self.provider.load(Ordering::Relaxed)
    }

    pub(crate) fn set_provider(&self, id: u64) {
        self.provider.store(id, Ordering::Relaxed);
    }

    /// Height that the worker has followed the chain to.
    #[must_use]
    pub(crate) fn height(&self) -> u64 {
        self.height.load(Ordering::Relaxed)
    }

    pub(crate) fn set_height(&self, height: u64) {
        self.height.store(height, Ordering::Relaxed);
    }

    /// Withholds these blocks from everybody but the renter until [`Gate::release`].
    pub(crate) fn withhold(&self, key: Key, renter: &str, cids: impl IntoIterator<Item = Cid>) {
        let mut withheld = self.withheld.write().unwrap_or_else(PoisonError::into_inner);
        withheld.renters.insert(key, renter.to_owned());
        for cid in cids {
            withheld.blocks.entry(cid).or_default().insert(key);
        }
    }

    /// Lets everybody have the blocks of an output, also where they are in other outputs: what is public once cannot
    /// be kept back, and those who depend on this job need it.
    pub(crate) fn release(&self, key: Key) {
        let mut withheld = self.withheld.write().unwrap_or_else(PoisonError::into_inner);
        if withheld.renters.remove(&key).is_some() {
            withheld.blocks.retain(|_, keys| !keys.contains(&key));
        }
    }

    /// Whether an output is withheld.
    pub(crate) fn withholds(&self, key: Key) -> bool {
        self.withheld.read().unwrap_or_else(PoisonError::into_inner).renters.contains_key(&key)
    }

    /// Whether anyone may have a block, if it is here.
    pub(crate) fn is_open(&self, cid: &Cid) -> bool {
        !self.withheld.read().unwrap_or_else(PoisonError::into_inner).blocks.contains_key(cid)
    }

    /// Whether the caller has shown that it is the renter of a job.
    pub(crate) fn check_renter(&self, metadata: &MetadataMap, job: u64, renter: &str) -> Result<(), NotRenter> {
        let token = AccessToken::read(metadata)?.ok_or(NotRenter::Anonymous)?;
        let scope = Scope { chain_id: &self.chain_id, job, provider: self.provider() };
        if token.verify(&scope, unix_now())? == renter { Ok(()) } else { Err(NotRenter::Other) }
    }

    fn may_read(&self, metadata: &MetadataMap, cid: &Cid) -> bool {
        let withheld = self.withheld.read().unwrap_or_else(PoisonError::into_inner);
        let Some(keys) = withheld.blocks.get(cid) else { return true };
        let mut owners = keys.iter().filter_map(|key| Some((key.job, withheld.renters.get(key)?)));
        owners.any(|(job, renter)| self.check_renter(metadata, job, renter).is_ok())
    }
}

#[expect(clippy::disallowed_methods, reason = "tokens expire by the clock on the wall; nothing here is consensus")]
fn unix_now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs())
}

/// The tag of an upload that stays until a height.
pub(crate) fn upload_tag(expires: u64) -> String {
    format!("upload/{expires}")
}

/// The height until which the upload with a tag stays.
pub(crate) fn upload_expiry(tag: &str) -> Option<u64> {
    tag.strip_prefix("upload/")?.parse().ok()
}

/// The gate at the door of the block service.
#[derive(Clone, Debug)]
pub(crate) struct Door(pub(crate) std::sync::Arc<Gate>);

impl Access for Door {
    fn may_read(&self, caller: &Caller<'_>, cid: &Cid) -> bool {
        self.0.may_read(caller.metadata, cid)
    }

    fn may_upload(&self, caller: &Caller<'_>, root: &Cid) -> Result<UploadGrant, String> {
        let gate = &self.0;
        if !gate.may_read(caller.metadata, root) {
            return Err("this content is not taken".to_owned());
        }
        if gate.height() == 0 {
            return Err("this worker does not know its chain yet; try again".to_owned());
        }
        let max_bytes = gate.uploads.max_bytes;
        let usage = gate.store.usage().map_err(|_| "the store failed".to_owned())?;
        if usage.quota.is_some_and(|quota| usage.bytes > quota / 100 * UPLOAD_PERCENT) {
            return Err("the store is too full for uploads; try another worker".to_owned());
        }
        Ok(UploadGrant {
            tag: upload_tag(gate.height().saturating_add(gate.uploads.keep_blocks)),
            limits: DagLimits { max_bytes, ..DagLimits::default() },
        })
    }
}

#[cfg(test)]
mod tests {
    use gantry_keyring::{ACCOUNT_PREFIX, PrivateKey, Signer};

    use super::*;

    const KEY: Key = Key { job: 7, attempt: 1, replica: 0 };

    fn signer(byte: u8) -> Signer {
        Signer::new("x", PrivateKey::from_bytes(&[byte; 32]).unwrap(), ACCOUNT_PREFIX).unwrap()
    }

    fn token(by: &Signer, job: u64, provider: u64) -> MetadataMap {
        let mut metadata = MetadataMap::new();
        let scope = Scope { chain_id: "gantry-1", job, provider };
        AccessToken::sign(by, &scope, unix_now() + 60).attach(&mut metadata);
        metadata
    }

    #[test]
    fn outputs_are_for_the_renter_alone_until_they_are_released() {
        let dir = tempfile::tempdir().unwrap();
        let store = BlockStore::open(dir.path(), None).unwrap();
        let gate = Gate::new("gantry-1", store, UploadPolicy { max_bytes: 10, keep_blocks: 5 });
        gate.set_provider(3);
        let (secret, open) = (Cid::of(gantry_content::Codec::Raw, b"out"), Cid::of(gantry_content::Codec::Raw, b"in"));
        let renter = signer(1);
        gate.withhold(KEY, &renter.info.address, [secret]);

        let nobody = MetadataMap::new();
        assert!(gate.may_read(&nobody, &open));
        assert!(!gate.may_read(&nobody, &secret));
        assert!(gate.may_read(&token(&renter, 7, 3), &secret));
        assert!(!gate.may_read(&token(&signer(2), 7, 3), &secret), "another's key");
        assert!(!gate.may_read(&token(&renter, 8, 3), &secret), "for another job");
        assert!(!gate.may_read(&token(&renter, 7, 4), &secret), "for another provider");

        // Another output has the block too: once the first is public, so is the block.
        let (other, more) = (Key { job: 9, ..KEY }, Cid::of(gantry_content::Codec::Raw, b"more"));
        gate.withhold(other, "gantry1else", [secret, more]);
        gate.release(KEY);
        assert!(gate.may_read(&nobody, &secret));
        assert!(!gate.may_read(&nobody, &more));
        assert!(gate.withholds(other) && !gate.withholds(KEY));
    }

    #[test]
    fn tags_of_uploads_tell_when_they_expire() {
        assert_eq!(upload_expiry(&upload_tag(42)), Some(42));
        assert_eq!(upload_expiry("stage/1/1/0"), None);
    }
}
