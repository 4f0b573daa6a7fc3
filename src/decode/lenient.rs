//! What Python's `json` writes beyond the standard: bare `NaN`, `Infinity` and `-Infinity`, and
//! numbers beyond `f64` (`1e400`, which Python reads as infinity).
//!
//! The text is rewritten to strict JSON, outside strings only, then parsed, then restored. JSON has
//! no infinity, so it travels as a string: `"+"` or `"-"`. Every string of the body itself gets a
//! `=` in front, so that none of them can be mistaken for one; [`restore`] takes it off again.

use std::borrow::Cow;

use super::json::Json;

/// Strict JSON made from a lenient body.
#[derive(Debug)]
pub(super) struct Rewritten {
    /// The JSON to parse.
    pub(super) text: String,
    /// Where the two texts run in step again: offset in `text`, offset in the body; ascending.
    steps: Vec<(usize, usize)>,
}

/// Rewrites `text`; `None` where it holds nothing that needs it.
pub(super) fn rewrite(text: &str) -> Option<Rewritten> {
    let mut out = Rewritten {
        text: String::with_capacity(text.len() + text.len() / 8),
        steps: Vec::new(),
    };
    let bytes = text.as_bytes();
    let mut found = false;
    let mut at = 0;
    while at < bytes.len() {
        let end = token_end(bytes, at);
        let token = &text[at..end];
        let replaced = match bytes[at] {
            b'"' => {
                out.text.push_str("\"=");
                out.text.push_str(&token[1..]);
                true
            }
            _ => match replacement(token) {
                Some(word) => {
                    found = true;
                    out.text.push_str(word);
                    true
                }
                None => {
                    out.text.push_str(token);
                    false
                }
            },
        };
        at = end;
        if replaced {
            out.steps.push((out.text.len(), at));
        }
    }
    found.then_some(out)
}

/// Takes the marks of [`rewrite`] off a parsed value. `false` where a number stood for a key, which
/// is nobody's JSON; the value is of no use then.
pub(super) fn restore(json: &mut Json<'_>) -> bool {
    match json {
        Json::Text(text) => match &**text {
            "+" => *json = Json::Number(f64::INFINITY),
            "-" => *json = Json::Number(f64::NEG_INFINITY),
            _ => return unmark(text),
        },
        Json::Array(items) => return items.iter_mut().all(restore),
        Json::Object(object) => {
            let mut members = object.0.iter_mut();
            return members.all(|(key, value)| unmark(key) && restore(value));
        }
        Json::Null | Json::Bool(_) | Json::Number(_) => {}
    }
    true
}

/// Takes the mark of a string of the body off; `false` where there is none.
fn unmark(text: &mut Cow<'_, str>) -> bool {
    let Some(rest) = text.strip_prefix('=') else {
        return false;
    };
    *text = Cow::Owned(rest.to_owned());
    true
}

/// The end of the token that begins at `start`: a string, a run of the characters that words and
/// numbers are made of, or anything else up to the next of these. Always past `start`, and always
/// on a character boundary, since every token but the last kind ends beside an ASCII byte.
fn token_end(bytes: &[u8], start: usize) -> usize {
    let rest = &bytes[start + 1..];
    let length = match bytes[start] {
        b'"' => string_length(rest),
        first if is_word(first) => rest.iter().position(|b| !is_word(*b)),
        _ => rest.iter().position(|b| *b == b'"' || is_word(*b)),
    };
    start + 1 + length.unwrap_or(rest.len())
}

/// Bytes up to and including the closing quote.
fn string_length(rest: &[u8]) -> Option<usize> {
    let mut escaped = false;
    let closing = rest.iter().position(|byte| {
        let closes = *byte == b'"' && !escaped;
        escaped = *byte == b'\\' && !escaped;
        closes
    });
    closing.map(|quote| quote + 1)
}

fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.' | b'_')
}

/// Strict JSON for a token that is not, if it is one of ours.
fn replacement(token: &str) -> Option<&'static str> {
    match token {
        "NaN" => return Some("null"),
        "Infinity" => return Some("\"+\""),
        "-Infinity" => return Some("\"-\""),
        _ => {}
    }
    let digits = token.strip_prefix('-').unwrap_or(token);
    let huge = is_number(digits) && digits.parse::<f64>().is_ok_and(f64::is_infinite);
    match (huge, digits.len() == token.len()) {
        (false, _) => None,
        (true, true) => Some("\"+\""),
        (true, false) => Some("\"-\""),
    }
}

/// Whether `text` is a JSON number without its sign. Rust's own grammar is wider (`1.`, `.5`, `01`).
fn is_number(text: &str) -> bool {
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && exponent.is_none_or(|e| digits(e.strip_prefix(['+', '-']).unwrap_or(e)))
}

// === impl Rewritten ===

impl Rewritten {
    /// Where line and column of the rewritten text (from 1) lie in `body`, near enough to find
    /// them: inside a rewritten token, its end.
    pub(super) fn original(&self, body: &str, line: usize, column: usize) -> (usize, usize) {
        let before: usize = self
            .text
            .split_inclusive('\n')
            .take(line.saturating_sub(1))
            .map(str::len)
            .sum();
        let offset = before + column.saturating_sub(1);
        let step = self.steps.partition_point(|(out, _)| *out <= offset);
        let (out, original) = match step.checked_sub(1) {
            Some(last) => self.steps[last],
            None => (0, 0),
        };
        let offset = (original + (offset - out)).min(body.len());
        let bytes = &body.as_bytes()[..offset];
        let lines = bytes.iter().filter(|b| **b == b'\n').count();
        let start = bytes
            .iter()
            .rposition(|b| *b == b'\n')
            .map_or(0, |at| at + 1);
        (lines + 1, offset - start + 1)
    }
}
