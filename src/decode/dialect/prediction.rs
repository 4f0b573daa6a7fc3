//! `{"prediction": …}` and `{"predictions": …}`: the answer to the only row, or one per row. With
//! a single output it feeds that output whatever its name.

use super::super::answer::KEYS;
use super::{Answers, Dialect, Fault, Json, Layout};

pub(super) const DIALECT: Dialect = Dialect {
    request: None,
    request_example: "",
    response: Some(response),
    response_example: r#"{"prediction": x}, {"predictions": [one per row]}"#,
};

fn response<'a>(body: &'a Json<'a>, layout: &Layout) -> Option<Result<Answers<'a>, Fault>> {
    let object = body.object()?;
    // Beside another output's name, `prediction` is one output among them; `named` reads it.
    let other = |key: &str| !KEYS.contains(&key) && layout.outputs.position(key).is_some();
    if object.0.iter().any(|(key, _)| other(key)) {
        return None;
    }
    let value = KEYS.iter().find_map(|key| object.get(key))?;
    Some(Ok(Answers::Each(value)))
}
