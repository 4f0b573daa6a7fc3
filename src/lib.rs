//! driftd stands beside a model server: it passes prediction traffic through unchanged, keeps the
//! rows it saw in a SQLite window, compares them with reference data, and says what drifted.
//!
//! # Layout
//!
//! A module imports only from rows above its own, never sideways; `tests/it/tidy.rs` holds it.
//!
//! | layer | modules |
//! |---|---|
//! | vocabulary | [`timestamp`], [`feature`], [`model`], [`exchange`], [`pulse`] (each may use those before it) |
//! | core | [`drift`]: statistics and verdicts, numbers only |
//! | codecs and catalogue | [`decode`]: bodies to rows; [`mod@reference`]: files to a reference; [`metrics`]: every series |
//! | adapters | [`proxy`] (HTTP traffic and its tap), [`window`] (SQLite), [`admin`] (page, API, metrics), [`push`] (POSTs to receivers), [`process`] (the model server's own resources) |
//! | stages | [`recorder`]: exchanges into the window; [`monitor`]: the window into verdicts; [`announcer`]: verdicts to webhooks; [`exporter`]: metrics to OTLP |
//! | composition | [`mod@config`]: file, environment and flags into every module's own `Config` |
//! | application | [`app`]: binds, spawns, drains |
//! | around it | [`demo`], [`log`], [`service`], [`shutdown`] |
//! | entry | [`cli`], then `main` |

pub mod admin;
pub mod announcer;
pub mod app;
pub mod cli;
pub mod config;
pub mod decode;
pub mod demo;
pub mod drift;
pub mod exchange;
pub mod exporter;
pub mod feature;
pub mod log;
pub mod memory;
pub mod metrics;
pub mod model;
pub mod monitor;
pub mod process;
pub mod proxy;
pub mod pulse;
pub mod push;
pub mod recorder;
pub mod reference;
pub mod service;
pub mod shutdown;
pub mod timestamp;
pub mod window;
