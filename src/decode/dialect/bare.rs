//! Lists without a key: rows, or answers; and a single value as the answer to a single row.

use super::{Answers, Dialect, Fault, Frame, Json, Layout};

pub(super) const DIALECT: Dialect = Dialect {
    request: Some(request),
    request_example: "a list of rows, the values of one row in a list",
    response: Some(response),
    response_example: "a list with one answer per row",
};

fn request<'a>(body: &'a Json<'a>, _: &Layout) -> Option<Result<Frame<'a>, Fault>> {
    matches!(body, Json::Array(_)).then(|| Frame::read(body))?
}

fn response<'a>(body: &'a Json<'a>, _: &Layout) -> Option<Result<Answers<'a>, Fault>> {
    (!matches!(body, Json::Object(_))).then_some(Ok(Answers::Each(body)))
}
