//! An object by the columns' own names: one row of features, or the outputs.

use super::super::answer::names_output;
use super::super::frame::Record;
use super::{Answers, Dialect, Fault, Frame, Json, Layout};

pub(super) const DIALECT: Dialect = Dialect {
    request: Some(request),
    request_example: "an object by feature name",
    response: Some(response),
    response_example: "an object by output name",
};

fn request<'a>(body: &'a Json<'a>, layout: &Layout) -> Option<Result<Frame<'a>, Fault>> {
    let object = body.object()?;
    let mut members = object.0.iter().enumerate();
    members
        .any(|(at, (key, _))| layout.features.position_from(at, key).is_some())
        .then(|| Ok(Frame::one(Record::Named(object))))
}

fn response<'a>(body: &'a Json<'a>, layout: &Layout) -> Option<Result<Answers<'a>, Fault>> {
    let object = body.object()?;
    names_output(object, layout).then_some(Ok(Answers::Named(object)))
}
