//! From captured bytes to JSON: completeness, content encoding, UTF-8, parsing.

use crate::exchange::CapturedBody;

use super::encoding;
use super::fault::Fault;
use super::json::{self, Json};

/// The JSON of a captured body, which may decompress to `max_body` bytes.
pub(super) fn read(body: &CapturedBody, max_body: usize) -> Result<Json, Fault> {
    if body.truncated {
        return Err(Fault::Truncated {
            length: body.length,
            captured: body.bytes.len(),
        });
    }
    let bytes = encoding::undo(&body.bytes, &body.encoding, max_body)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| Fault::Utf8 {
        at: error.valid_up_to(),
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Err(Fault::Empty);
    }
    json::parse(text)
}
