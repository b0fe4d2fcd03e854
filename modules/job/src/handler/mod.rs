//! One file per message.

mod acknowledge;
mod begin_run;
mod begin_staging;
mod cancel;
mod report_failure;
mod submit;

use gantry_core::{Address, MsgRoute, Result};

pub use self::{
    acknowledge::Acknowledge, begin_run::BeginRun, begin_staging::BeginStaging, cancel::CancelJob,
    report_failure::ReportFailure, submit::SubmitJobs,
};

/// All of them.
pub(crate) fn routes(module: &'static str) -> Vec<MsgRoute> {
    vec![
        MsgRoute::of::<SubmitJobs>(module),
        MsgRoute::of::<CancelJob>(module),
        MsgRoute::of::<Acknowledge>(module),
        MsgRoute::of::<BeginStaging>(module),
        MsgRoute::of::<BeginRun>(module),
        MsgRoute::of::<ReportFailure>(module),
    ]
}

/// The one signer that a field names.
fn signer(address: &str) -> Result<Vec<Address>> {
    Ok(vec![Address::parse(address)?])
}
