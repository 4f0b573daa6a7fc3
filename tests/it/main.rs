//! driftd's tests in one binary: what needs no outside component. `./tests/run` runs these and,
//! in `tests/real`, those with real model servers, a real Prometheus and a real browser.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

/// The new normal: accepted over the API and by command, across restarts, until it grows.
mod accept;

/// The whole application: verdicts across restarts, what is stored, what is counted.
mod app;

/// The README's metrics against the catalogue.
mod catalogue;

/// All columns of two files together, by the binary itself.
mod check;

/// A process that a test started.
mod child;

/// The command line, by the binary itself.
mod cli;

/// The drift engine over whole models.
mod engine;

/// Exact laws and effect sizes against scipy, mpmath and brute force.
mod exact;

/// How a body is read, and the exchange behind an id, by the binary itself.
mod explain;

/// What fuzzing kept and found.
mod fuzz;

/// A tap that dies, hangs or runs out of room, and traffic that does not mind.
mod isolation;

/// A reference learned from traffic, over restarts.
mod learning;

/// Metrics pushed by OTLP, to a receiver that decodes them.
#[cfg(feature = "otlp")]
mod otlp;

/// What is shown of before a restart.
mod past;

/// What is printed to nobody.
mod pipe;
/// Profiles of references, by the binary itself.
mod profile;

/// The proxy, by raw bytes against upstreams that record bytes.
mod proxy;

/// Random numbers for the tests of the engine.
mod random;

/// References that change while traffic runs.
mod reload;

/// Spans shorter than the season against the same hours of the reference.
mod season;
/// How traffic is taken and let go, by the binary itself.
mod serving;

/// KS and chi-squared against fixtures made by scipy.
mod statistics;

/// The layers and other rules a machine can hold.
mod tidy;

/// How long tests wait, and how.
mod waiting;

/// Changes of the level, announced to a receiver in all its moods.
mod webhook;
