//! The shapes of bodies that are understood. Each is a small file that says where rows or answers
//! stand in a body; to add one, write its file and give it a place in [`DIALECTS`].

use super::answer::Answers;
use super::fault::Fault;
use super::frame::Frame;
use super::json::Json;
use super::layout::Layout;

mod bare;
mod features;
mod named;
mod prediction;

/// One shape of body. `None` from a function means: not this shape, try the next.
#[derive(Debug)]
pub(super) struct Dialect {
    /// Finds the rows of a request; absent where the dialect has only answers.
    pub(super) request: Option<Request>,
    /// What such requests look like, for messages; empty without `request`.
    pub(super) request_example: &'static str,
    /// Finds the answers of a response; absent where the dialect has only requests.
    pub(super) response: Option<Response>,
    /// What such responses look like, for messages; empty without `response`.
    pub(super) response_example: &'static str,
}

/// Finds the rows of a request.
type Request = for<'a> fn(&'a Json<'a>, &Layout) -> Option<Result<Frame<'a>, Fault>>;

/// Finds the answers of a response.
type Response = for<'a> fn(&'a Json<'a>, &Layout) -> Option<Result<Answers<'a>, Fault>>;

/// The dialects, in the order they are tried.
pub(super) const DIALECTS: [Dialect; 4] = [
    features::DIALECT,
    prediction::DIALECT,
    named::DIALECT,
    bare::DIALECT,
];

/// The fault of a request no dialect takes.
pub(super) fn unknown_request(body: &Json<'_>, layout: &Layout) -> Fault {
    let examples = DIALECTS.iter().map(|dialect| dialect.request_example);
    unknown(body, examples, &layout.features.listed())
}

/// The fault of a response no dialect takes.
pub(super) fn unknown_response(body: &Json<'_>, layout: &Layout) -> Fault {
    let examples = DIALECTS.iter().map(|dialect| dialect.response_example);
    unknown(body, examples, &layout.outputs.listed())
}

fn unknown(body: &Json<'_>, examples: impl Iterator<Item = &'static str>, names: &str) -> Fault {
    let examples: Vec<&str> = examples.filter(|example| !example.is_empty()).collect();
    Fault::Shape {
        found: body.described(),
        expected: format!("{}, with the names {names}", examples.join(", ")),
    }
}
