//! The drift core: what is compared, how, and what follows from it.
//!
//! Invariant: numbers in, values out. Nothing here does I/O, awaits, reads a clock, or knows HTTP,
//! SQL or metrics; times come in as [`crate::timestamp::Timestamp`] arguments.
//!
//! In reading order:
//! - [`reference`]: the sorted reference columns a model is compared with
//! - [`current`]: the rows under comparison, an even sample of a span of the window
//! - [`live`]: one model's reference and rows, shared by recorder and monitor; [`coverage`]
//! - [`ks`], [`kstwo`], [`chi2`]: the tests, equal to scipy's
//! - [`measure`]: one column of current rows against its reference
//! - [`decide`]: from a measurement to a verdict: decision rule, budget, effect floor
//! - [`alarm`]: the verdict that stands, from one check to the next
//! - [`check`]: all columns of one model, one after the other
//! - [`picture`], [`explain`]: what a person is shown
//! - [`report`]: the result, in the shape the JSON contract gives

pub mod alarm;
pub mod check;
pub mod chi2;
pub mod coverage;
pub mod current;
pub mod decide;
pub mod explain;
pub mod ks;
pub mod kstwo;
pub mod live;
pub mod measure;
pub mod picture;
pub mod reference;
pub mod report;
mod root;
mod saddle_point;

pub use current::{Current, Span, SpanLength};
pub use reference::{ColumnReference, Reference, Value};
pub use report::{FeatureReport, ModelReport, Report};
