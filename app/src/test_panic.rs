//! A message whose handler panics: `cosmos.auth.v1beta1.MsgUpdateParams`, which no module handles and every client can
//! encode. In test builds alone (feature `test-panic`).

use cosmos_sdk_proto::cosmos::auth::v1beta1::{MsgUpdateParams, MsgUpdateParamsResponse};
use gantry_core::{Address, Handler, MsgRoute, Result, TxCtx};

struct Panic;

impl Handler for Panic {
    type Msg = MsgUpdateParams;
    type Response = MsgUpdateParamsResponse;

    fn signers(msg: &MsgUpdateParams) -> Result<Vec<Address>> {
        Ok(vec![Address::parse(&msg.authority)?])
    }

    fn execute(_ctx: &mut TxCtx<'_>, _msg: &MsgUpdateParams) -> Result<MsgUpdateParamsResponse> {
        panic!("asked to panic")
    }
}

pub(crate) fn route() -> MsgRoute {
    MsgRoute::of::<Panic>("auth")
}
