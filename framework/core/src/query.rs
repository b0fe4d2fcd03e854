//! The query side: one router from gRPC path to handler, behind ABCI Query, gRPC and whatever comes later.

use std::{collections::BTreeMap, fmt};

use cosmos_sdk_proto::cosmos::base::query::v1beta1 as proto;
use gantry_store::{Page, PageRequest, StoreError};
use prost::Message;

use crate::{QueryCtx, error::Error};

/// gRPC status codes that queries answer with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
#[expect(missing_docs, reason = "the names are gRPC's")]
pub enum Code {
    Unknown = 2,
    InvalidArgument = 3,
    NotFound = 5,
    FailedPrecondition = 9,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
}

/// A failed query: a gRPC code and a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The code.
    pub code: Code,
    /// The text, in the SDK's words where it has some.
    pub message: String,
}

impl Status {
    /// A status.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, message: message.into() }
    }

    /// `InvalidArgument`.
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, message)
    }

    /// `NotFound`.
    pub fn not_found(message: impl Into<String>) -> Self {
        Self::new(Code::NotFound, message)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "rpc error: code = {:?} desc = {}", self.code, self.message)
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        match error {
            Error::User(e) if e.codespace == "sdk" && matches!(e.code, 7 | 10 | 18 | 26) => Self::invalid(e.log),
            Error::User(e) if e.codespace == "sdk" && matches!(e.code, 22 | 38) => Self::not_found(e.log),
            Error::User(e) => Self::new(Code::Unknown, e.log),
            Error::Fatal(e) => Self::new(Code::Internal, e.0),
        }
    }
}

impl From<StoreError> for Status {
    fn from(error: StoreError) -> Self {
        Error::from(error).into()
    }
}

type QueryFn = Box<dyn Fn(&QueryCtx<'_>, &[u8]) -> Result<Vec<u8>, Status> + Send + Sync>;

/// One query: its gRPC path and its handler.
pub struct QueryRoute {
    /// For instance `/cosmos.bank.v1beta1.Query/Balance`.
    pub path: &'static str,
    handler: QueryFn,
}

impl QueryRoute {
    /// A route to a pure read.
    pub fn new<Q, R>(
        path: &'static str,
        f: impl Fn(&QueryCtx<'_>, Q) -> Result<R, Status> + Send + Sync + 'static,
    ) -> Self
    where
        Q: Message + Default,
        R: Message,
    {
        Self {
            path,
            handler: Box::new(move |ctx, bytes| {
                let request = Q::decode(bytes).map_err(|e| Status::invalid(e.to_string()))?;
                Ok(f(ctx, request)?.encode_to_vec())
            }),
        }
    }
}

/// All queries of an application.
#[derive(Default)]
pub struct QueryRouter {
    routes: BTreeMap<&'static str, QueryFn>,
}

impl QueryRouter {
    /// Collects routes.
    ///
    /// # Panics
    /// On a duplicate path, at start-up.
    #[must_use]
    pub fn new(routes: impl IntoIterator<Item = QueryRoute>) -> Self {
        let mut router = Self::default();
        for QueryRoute { path, handler } in routes {
            assert!(router.routes.insert(path, handler).is_none(), "two handlers for {path}");
        }
        router
    }

    /// Whether a path is served.
    #[must_use]
    pub fn knows(&self, path: &str) -> bool {
        self.routes.contains_key(path)
    }

    /// All paths, ascending.
    pub fn paths(&self) -> impl Iterator<Item = &'static str> + '_ {
        self.routes.keys().copied()
    }

    /// Answers a query.
    pub fn call(&self, ctx: &QueryCtx<'_>, path: &str, request: &[u8]) -> Result<Vec<u8>, Status> {
        let handler = self
            .routes
            .get(path)
            .ok_or_else(|| Status::new(Code::Unimplemented, format!("unknown query path: {path}")))?;
        handler(ctx, request)
    }
}

/// Largest page a client gets.
const MAX_PAGE: u64 = 1000;

/// Reads a client's page request, with the SDK's meaning and a bound.
#[must_use]
pub fn page_request(request: Option<proto::PageRequest>) -> PageRequest {
    let r = request.unwrap_or_default();
    PageRequest {
        key: r.key,
        offset: r.offset,
        limit: r.limit.min(MAX_PAGE),
        count_total: r.count_total,
        reverse: r.reverse,
    }
}

/// The response half of [`page_request`].
#[must_use]
pub fn page_response<T>(page: &Page<T>) -> Option<proto::PageResponse> {
    Some(proto::PageResponse { next_key: page.next_key.clone(), total: page.total })
}
