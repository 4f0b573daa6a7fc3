//! Requests and responses through the whole decoder; by topic in `tests/`.

use std::sync::Arc;
use std::time::Duration;

use super::*;
use crate::exchange::Ending;
use crate::feature::{Column, Kind, Role};
use crate::timestamp::Timestamp;

mod bytes;
mod request;
mod response;

const MIB: usize = 1 << 20;

fn column(name: &str) -> Column {
    Column {
        name: name.into(),
        role: Role::Feature,
        kind: Some(Kind::Numeric),
    }
}

fn schema(features: &[&str], outputs: &[&str]) -> Schema {
    let columns = |names: &[&str]| names.iter().map(|name| column(name)).collect();
    Schema::new(columns(features), columns(outputs))
}

fn captured(bytes: impl Into<Vec<u8>>) -> CapturedBody {
    let bytes = bytes.into();
    CapturedBody {
        length: bytes.len() as u64,
        bytes,
        ..CapturedBody::default()
    }
}

fn exchange(request: CapturedBody, response: CapturedBody) -> Exchange {
    Exchange {
        request_id: "r1".into(),
        trace_id: None,
        model: 0,
        started: Timestamp(0),
        method: "POST".into(),
        route: Arc::from("/predict"),
        status: 200,
        total: Duration::ZERO,
        upstream: None,
        request,
        response,
        headers: Default::default(),
        ending: Ending::Complete,
    }
}

/// Features `a` and `b`, output `p`.
fn two() -> Schema {
    schema(&["a", "b"], &["p"])
}

fn decode(schema: &Schema, request: &str, response: &str) -> Result<Decoded, Undecodable> {
    Decoder::new(schema).exchange(&exchange(captured(request), captured(response)), MIB)
}

/// The features of every row of a request to the model [`two`].
fn features(request: &str) -> Vec<Vec<Cell>> {
    let decoded = decode(&two(), request, r#"{"prediction": 0}"#).unwrap();
    decoded.rows.iter().map(|row| row[..2].to_vec()).collect()
}

/// Why a request to the model [`two`] gives no rows.
fn reason(request: &str) -> String {
    decode(&two(), request, "0").unwrap_err().reason
}

fn number(value: f64) -> Cell {
    Cell::Number(value)
}

fn text(value: &str) -> Cell {
    Cell::Text(value.into())
}
