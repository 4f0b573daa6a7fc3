//! The proxy and its tap, spoken to in raw bytes, against upstreams that record raw bytes.

#![allow(clippy::unwrap_used, reason = "what goes wrong here fails the test")]

mod bodies;
mod connections;
mod drain;
mod early;
mod failures;
mod harness;
mod headers;
mod http2;
mod http2_limits;
mod limits;
mod origin;
mod table;
mod tap;
#[cfg(feature = "tls")]
mod tls;
mod upgrades;
mod wire;
