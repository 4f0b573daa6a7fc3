//! `{"features": …}`: one row as a list or an object, or a list of such rows.

use super::{Dialect, Fault, Frame, Json, Layout};

const KEY: &str = "features";

pub(super) const DIALECT: Dialect = Dialect {
    request: Some(request),
    request_example: r#"{"features": [values, a list of rows, or an object by name]}"#,
    response: None,
    response_example: "",
};

fn request<'a>(body: &'a Json<'a>, layout: &Layout) -> Option<Result<Frame<'a>, Fault>> {
    let value = body.object()?.get(KEY)?;
    if let Some(frame) = Frame::read(value) {
        return Some(frame);
    }
    if layout.features.position(KEY).is_some() {
        return None; // A model may have a feature of that name; `named` reads it.
    }
    Some(Err(Fault::Nested {
        row: 1,
        name: KEY.to_owned(),
        found: value.noun(),
    }))
}
