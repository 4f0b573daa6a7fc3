//! The drift core: what is compared, how, and what follows from it.
//!
//! Invariant: numbers in, values out. Nothing here does I/O, awaits, reads a clock, or knows HTTP,
//! SQL or metrics; times come in as [`crate::timestamp::Timestamp`] arguments.
//!
//! In reading order:
//! - [`reference`]: the sorted reference columns a model is compared with; [`numbers`], [`text`]
//! - [`row`], [`current`]: the rows under comparison, an even sample of a span of the window
//! - [`season`]: the reference's rows of the same hours, for spans shorter than a day
//! - [`live`]: one model's reference and rows, shared by recorder and monitor; [`coverage`]
//! - [`ks`], [`kstwo`], [`chi2`], [`fisher`], [`conditional`], [`range`]: the tests, equal to
//!   scipy's; [`effect`]: sizes of a change; [`memo`]: what they cost once only
//! - [`values`], [`measure`]: one column of current rows against its reference
//! - [`decide`]: from a measurement to a verdict: decision rule, budget, effect floor
//! - [`alarm`]: the verdict that stands, from one check to the next
//! - [`accept`]: what a person has accepted as the new normal, laid over the report
//! - [`check`]: all columns of one model, one after the other
//! - [`picture`], [`explain`]: what a person is shown
//! - [`history`]: the last decisions and what happened meanwhile, for the page
//! - [`report`]: the result, in the shape the JSON contract gives

pub mod accept;
pub mod alarm;
pub mod band;
pub mod check;
pub mod chi2;
pub mod conditional;
pub mod coverage;
pub mod current;
pub mod decide;
pub mod dependence;
pub mod effect;
pub mod explain;
pub mod fisher;
pub mod history;
mod hypergeometric;
pub mod joint;
pub mod ks;
pub mod kstwo;
pub mod live;
pub mod measure;
pub mod memo;
pub mod numbers;
pub mod p_value;
pub mod picture;
mod random;
pub mod range;
pub mod reference;
pub mod report;
mod root;
pub mod row;
mod saddle_point;
pub mod season;
pub mod since;
pub mod text;
pub mod together;
pub mod values;

pub use current::{Current, Span, SpanLength};
pub use reference::{ColumnReference, Reference};
pub use report::{FeatureReport, ModelReport, Report};
pub use row::{Row, Value};
