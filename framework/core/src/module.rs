//! What a module is to the application: genesis, messages, queries, bounded block work, invariants.

use std::collections::BTreeMap;

use cosmos_sdk_proto::Any;
use gantry_store::{KvRead, StoreName};
use prost::{Message, Name};
use serde_json::Value;

use crate::{
    Address, BlockCtx, InitCtx, QueryCtx, QueryRoute, TxCtx,
    error::{Error, Result, sdk},
};

/// A module. Only what it has is overridden; a module holds no state of its own.
pub trait Module: Send + Sync {
    /// Its name: the key in `app_state`, and the codespace of its errors.
    fn name(&self) -> &'static str;

    /// Its store; a module without state has none.
    fn store(&self) -> Option<StoreName> {
        None
    }

    /// `app_state` of a fresh chain, in proto JSON.
    fn default_genesis(&self) -> Value {
        Value::Object(serde_json::Map::new())
    }

    /// Writes `app_state`. Must refuse what [`Module::validate_genesis`] refuses.
    fn init_genesis(&self, _ctx: &mut InitCtx<'_>, _state: &Value) -> Result<()> {
        Ok(())
    }

    /// Checks `app_state` without a chain.
    fn validate_genesis(&self, _state: &Value) -> Result<()> {
        Ok(())
    }

    /// The state as `app_state`; `init_genesis` of it gives the same state.
    fn export_genesis(&self, _ctx: &QueryCtx<'_>) -> Result<Value> {
        Ok(self.default_genesis())
    }

    /// Work before the transactions of a block. Bounded; must not fail on user data.
    fn begin_block(&self, _ctx: &mut BlockCtx<'_>) -> Result<()> {
        Ok(())
    }

    /// Work after them. Bounded; must not fail on user data: an error here stops the chain.
    fn end_block(&self, _ctx: &mut BlockCtx<'_>) -> Result<()> {
        Ok(())
    }

    /// Its messages.
    fn messages(&self) -> Vec<MsgRoute> {
        Vec::new()
    }

    /// Its queries.
    fn queries(&self) -> Vec<QueryRoute> {
        Vec::new()
    }

    /// What must hold after every block, cheap enough to check there or not.
    fn invariants(&self) -> Vec<Invariant> {
        Vec::new()
    }
}

/// A property of the state.
#[derive(Clone, Copy)]
pub struct Invariant {
    /// For instance `escrow/conservation`.
    pub name: &'static str,
    /// Checked at the end of every block; others are scans, which tests run.
    pub every_block: bool,
    /// An error describes what is broken.
    pub check: fn(&dyn KvRead) -> Result<()>,
}

/// Handles one message type; one file each. The type itself is generated, so the handler is a unit struct beside it.
pub trait Handler: 'static {
    /// The message.
    type Msg: Message + Name + Default + Clone + 'static;
    /// Its response, encoded into `TxMsgData`.
    type Response: Message + Name;

    /// Who must sign.
    fn signers(msg: &Self::Msg) -> Result<Vec<Address>>;

    /// Checks that need no state (`ValidateBasic`).
    fn check(_msg: &Self::Msg) -> Result<()> {
        Ok(())
    }

    /// Applies the message.
    fn execute(ctx: &mut TxCtx<'_>, msg: &Self::Msg) -> Result<Self::Response>;
}

/// A decoded message, checked and ready to run.
pub trait DynMsg: Send + Sync {
    /// For instance `/cosmos.bank.v1beta1.MsgSend`.
    fn type_url(&self) -> &'static str;
    /// The generated message, for who must look into it.
    fn as_any(&self) -> &dyn std::any::Any;
    /// Who must sign.
    fn signers(&self) -> Result<Vec<Address>>;
    /// Stateless checks.
    fn check(&self) -> Result<()>;
    /// Applies it and packs the response.
    fn execute(&self, ctx: &mut TxCtx<'_>) -> Result<Any>;
}

struct Decoded<H: Handler> {
    message: H::Msg,
    urls: &'static Urls,
}

/// Type URLs of a message and its response, made once: prost builds them anew each time.
struct Urls {
    message: String,
    response: String,
}

impl<H: Handler> DynMsg for Decoded<H> {
    fn type_url(&self) -> &'static str {
        &self.urls.message
    }

    fn as_any(&self) -> &dyn std::any::Any {
        &self.message
    }

    fn signers(&self) -> Result<Vec<Address>> {
        H::signers(&self.message)
    }

    fn check(&self) -> Result<()> {
        H::check(&self.message)
    }

    fn execute(&self, ctx: &mut TxCtx<'_>) -> Result<Any> {
        let response = H::execute(ctx, &self.message)?;
        Ok(Any { type_url: self.urls.response.clone(), value: response.encode_to_vec() })
    }
}

type Decode = fn(&[u8], &'static Urls) -> std::result::Result<Box<dyn DynMsg>, prost::DecodeError>;

/// How a type URL becomes a message.
pub struct MsgRoute {
    /// The type URL.
    pub type_url: String,
    /// The module's name, for the `message` event.
    pub module: &'static str,
    urls: &'static Urls,
    decode: Decode,
}

impl MsgRoute {
    /// The route of a handler.
    #[must_use]
    pub fn of<H: Handler>(module: &'static str) -> Self
    where
        H::Msg: Send + Sync,
    {
        let urls = Urls { message: H::Msg::type_url(), response: H::Response::type_url() };
        Self {
            type_url: urls.message.clone(),
            module,
            // A route is made at start-up and lives as long as the process.
            urls: Box::leak(Box::new(urls)),
            decode: |bytes, urls| Ok(Box::new(Decoded::<H> { message: H::Msg::decode(bytes)?, urls })),
        }
    }
}

/// All message routes of an application.
#[derive(Default)]
pub struct MsgRouter {
    routes: BTreeMap<String, MsgRoute>,
}

impl MsgRouter {
    /// Collects routes; two for one type URL are a mistake in the wiring.
    ///
    /// # Panics
    /// On a duplicate, at start-up.
    #[must_use]
    pub fn new(routes: impl IntoIterator<Item = MsgRoute>) -> Self {
        let mut router = Self::default();
        for route in routes {
            let url = route.type_url.clone();
            assert!(router.routes.insert(url.clone(), route).is_none(), "two handlers for {url}");
        }
        router
    }

    /// Whether a message of this type can be handled.
    #[must_use]
    pub fn knows(&self, type_url: &str) -> bool {
        self.routes.contains_key(type_url)
    }

    /// The module that handles a type.
    #[must_use]
    pub fn module_of(&self, type_url: &str) -> Option<&'static str> {
        self.routes.get(type_url).map(|r| r.module)
    }

    /// Decodes a message for its handler.
    pub fn decode(&self, any: &Any) -> Result<Box<dyn DynMsg>, Error> {
        let route = self
            .routes
            .get(&any.type_url)
            .ok_or_else(|| sdk::unknown_request(format!("no message handler found for {:?}", any.type_url)))?;
        (route.decode)(&any.value, route.urls).map_err(|e| sdk::tx_decode(e.to_string()))
    }

    /// All type URLs, ascending.
    pub fn type_urls(&self) -> impl Iterator<Item = &str> {
        self.routes.keys().map(String::as_str)
    }
}
