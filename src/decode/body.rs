//! From captured bytes to JSON: completeness, content encoding, UTF-8, parsing.

use std::borrow::Cow;

use crate::exchange::CapturedBody;

use super::encoding;
use super::fault::Fault;
use super::json::{self, Json};

/// A captured body as it was before it was compressed; one that was may grow to `max_body` bytes.
pub(super) fn plain(body: &CapturedBody, max_body: usize) -> Result<Cow<'_, [u8]>, Fault> {
    if body.truncated {
        return Err(Fault::Truncated {
            length: body.length,
            captured: body.bytes.len(),
        });
    }
    encoding::undo(&body.bytes, &body.encoding, max_body)
}

/// The JSON of such a body.
pub(super) fn parse(bytes: &[u8]) -> Result<Json<'_>, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|error| Fault::Utf8 {
        at: error.valid_up_to(),
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Err(Fault::Empty);
    }
    json::parse(text)
}
