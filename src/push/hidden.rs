//! What may not be shown of what a receiver says: it may repeat what it was sent.

use super::Endpoint;

/// Parts of an address up to this length are words that any address may have, as `hooks` is.
const SHORT: usize = 5;

/// A long word that addresses have by the protocol, and messages about them too.
const KNOWN: &str = "metrics";

/// A text that was cut may end within a secret; fewer of its bytes say nothing of it.
const TELLING: usize = 4;

/// What stands in the place of a secret.
const MASK: &str = "***";

/// The secrets of one request, in every spelling a receiver may repeat them in.
#[derive(Clone)]
pub struct Hidden(Vec<String>);

// === impl Hidden ===

impl Hidden {
    /// The path of an address, its query, and the parts of both; the values of these headers, and the
    /// words they consist of.
    #[must_use]
    pub fn new<'a>(endpoint: &Endpoint, headers: impl IntoIterator<Item = &'a str>) -> Self {
        let path = endpoint.path();
        let (before, query) = path.split_once('?').unwrap_or((path, ""));
        let parts = path.split(['/', '?', '&', '=', ';', '#']);
        let long = |part: &&str| part.len() > SHORT && *part != KNOWN;
        let mut plain: Vec<&str> = [path, before, query].into_iter().filter(long).collect();
        plain.extend(parts.filter(long));
        for value in headers {
            plain.extend(Some(value).filter(|value| value.len() >= TELLING));
            plain.extend(value.split_whitespace().filter(long));
        }
        let mut spellings: Vec<String> = Vec::new();
        for part in plain {
            let decoded = decoded(part);
            spellings.extend([escaped(part), escaped(&decoded), part.to_owned(), decoded]);
        }
        // A longer one may hold a shorter one.
        spellings.sort_by(|a, b| b.len().cmp(&a.len()).then_with(|| a.cmp(b)));
        spellings.dedup();
        Self(spellings)
    }

    /// `said` without them; also without the beginning of one at its end, where it may have been cut.
    #[must_use]
    pub fn mask(&self, said: &str) -> String {
        let mut said = self.0.iter().fold(said.to_owned(), |said, secret| {
            said.replace(secret.as_str(), MASK)
        });
        let cut = (self.0.iter())
            .flat_map(|secret| secret.char_indices().map(|(at, _)| &secret[..at]))
            .filter(|begun| begun.len() >= TELLING && said.ends_with(begun))
            .map(str::len)
            .max();
        if let Some(cut) = cut {
            said.truncate(said.len() - cut);
            said.push_str(MASK);
        }
        said
    }
}

impl std::fmt::Debug for Hidden {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hidden({})", self.0.len())
    }
}

/// Percent-decoded (RFC 3986, section 2.1) as far as it can be.
fn decoded(text: &str) -> String {
    let digit = |byte: Option<&u8>| char::from(*byte?).to_digit(16);
    let bytes = text.as_bytes();
    let mut plain = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let pair = (digit(bytes.get(at + 1)), digit(bytes.get(at + 2)));
        match pair {
            (Some(high), Some(low)) if byte == b'%' => {
                plain.extend(u8::try_from(high * 16 + low));
                at += 3;
            }
            _ => {
                plain.push(byte);
                at += 1;
            }
        }
    }
    String::from_utf8_lossy(&plain).into_owned()
}

/// As pages in HTML repeat what they were asked for.
fn escaped(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
        .replace('"', "&quot;")
        .replace('\'', "&#39;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_spelling_of_a_secret_is_left() {
        let endpoint =
            Endpoint::parse("https://h/hooks/T0/s3cr%2Ft%21x?a=1&key='qu3ry'&b=token9").unwrap();
        let hidden = Hidden::new(&endpoint, ["Bearer b3arer<x>", "short", "abc"]);
        for (said, shown) in [
            (
                "no /hooks/T0/s3cr%2Ft%21x?a=1&key='qu3ry'&b=token9 here",
                "no *** here",
            ),
            ("no /hooks/T0/s3cr%2Ft%21x here", "no *** here"),
            ("no s3cr/t!x here", "no *** here"),
            ("?a=1&amp;key=&#39;qu3ry&#39;&amp;b=token9", "?***"),
            ("T0 and &#39;qu3ry&#39;", "T0 and ***"),
            ("Bearer b3arer<x>", "***"),
            ("b3arer&lt;x&gt;, short, abc", "***, ***, abc"),
            // The end was cut off.
            ("is b3are", "is ***"),
            ("is s3c", "is s3c"),
            ("all is well", "all is well"),
        ] {
            assert_eq!(hidden.mask(said), shown, "{said}");
        }
        let plain = Hidden::new(&Endpoint::parse("http://h/").unwrap(), []);
        assert_eq!(plain.mask("GET / failed"), "GET / failed");
    }
}
