//! Job files: any text is read or refused in bounded time, and what is read can be judged as a message.

use std::{fs, sync::LazyLock};

use gantry_client::JobFile;
use gantry_core::MsgRouter;
use gantry_proto::gantry::job::v1::MsgSubmitJobs;
use prost::{Message, Name};
use tempfile::TempDir;

use crate::{Target, chain, mutate::Form};

/// Text of a job file.
pub const TARGET: Target = Target { name: "jobfile", form: Form::Json, run };

static FOLDER: LazyLock<TempDir> = LazyLock::new(|| tempfile::tempdir().expect("a folder"));
static ROUTER: LazyLock<MsgRouter> = LazyLock::new(chain::router);

fn run(bytes: &[u8]) {
    let path = FOLDER.path().join("job.yaml");
    fs::write(&path, bytes).expect("a file is written");
    let Ok(file) = JobFile::read(&path) else { return };
    let JobFile { label, jobs, .. } = file;
    let message = MsgSubmitJobs { renter: chain::address(0).to_string(), label, jobs };
    let any = cosmos_sdk_proto::Any { type_url: MsgSubmitJobs::type_url(), value: message.encode_to_vec() };
    // Refused or not: it never panics.
    let _ = ROUTER.decode(&any).expect("what was encoded is decoded").check();
}
