//! From captured bytes to JSON: completeness, content encoding, UTF-8, parsing.

use std::borrow::Cow;
use std::io::Read;

use flate2::read::MultiGzDecoder;

use crate::exchange::CapturedBody;

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
    let bytes = decompressed(body, max_body)?;
    let text = std::str::from_utf8(&bytes).map_err(|error| Fault::Utf8 {
        at: error.valid_up_to(),
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if text.trim_ascii().is_empty() {
        return Err(Fault::Empty);
    }
    json::parse(text)
}

fn decompressed(body: &CapturedBody, max_body: usize) -> Result<Cow<'_, [u8]>, Fault> {
    match body.encoding.trim() {
        "" | "identity" => Ok(Cow::Borrowed(&body.bytes)),
        "gzip" | "x-gzip" if body.bytes.is_empty() => Ok(Cow::Borrowed(&[])),
        "gzip" | "x-gzip" => gunzip(&body.bytes, max_body).map(Cow::Owned),
        other => Err(Fault::Encoding {
            encoding: other.chars().take(40).collect(),
        }),
    }
}

/// All members of a gzip stream, read no further than one byte past `max_body`.
fn gunzip(bytes: &[u8], max_body: usize) -> Result<Vec<u8>, Fault> {
    let limit = u64::try_from(max_body)
        .unwrap_or(u64::MAX)
        .saturating_add(1);
    let mut plain = Vec::new();
    MultiGzDecoder::new(bytes)
        .take(limit)
        .read_to_end(&mut plain)
        .map_err(|source| Fault::Gzip { source })?;
    if plain.len() > max_body {
        return Err(Fault::Inflated { max: max_body });
    }
    Ok(plain)
}
