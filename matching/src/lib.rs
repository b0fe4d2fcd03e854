//! The matcher: which offers a job may run on, and which it gets.
//!
//! The chain matches with this crate, the `gantry` command explains with it, and the worker checks its own offers with
//! it, so that all three give the same answer. It is pure: integers only, no clock, no store, no message types, and
//! the same answer for the same input whatever its order.
//!
//! - [`Hardware`], [`ClassId`], [`Registry`]: machines whose results may be compared share a class; a class has
//!   [`Attributes`], integers that a job's [`Predicate`]s test.
//! - [`feasible`]: may this offer serve this request? If not, the first reason ([`Unfit`]) in a fixed order.
//! - [`match_block`]: what one block assigns, within [`Limits`]. [`Selection::Attested`] takes the best offer,
//!   [`Selection::Quorum`] draws distinct owners at random by free bond (see `draw.rs` for what that promises).
//! - [`simulate`]: the same for one request without taking anything, offer by offer.
//! - [`seed`]: where the randomness comes from.

mod attribute;
mod block;
mod draw;
mod feasible;
mod hardware;
mod market;
mod predicate;
mod random;
mod registry;
mod simulate;

pub use attribute::{Attribute, AttributeError, Attributes, Scope, Values, text_value};
pub use block::{Limits, Outcome, match_block};
pub use draw::{MAX_SEATS, draw_seats};
pub use feasible::{MAX_STRIKES, Unfit, feasible};
pub use hardware::{ClassId, Hardware, HardwareError, Kind};
pub use market::{Match, Offer, Owner, Price, Request, Seat, Selection, Status, required_bond};
pub use predicate::{MAX_CLASSES, MAX_PREDICATES, MAX_VALUES, Op, Predicate, Requirements, RequirementsError};
pub use random::{Seed, seed};
pub use registry::{Class, Registry};
pub use simulate::{Simulation, Verdict, simulate};
