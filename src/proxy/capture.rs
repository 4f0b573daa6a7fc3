//! What is captured of an exchange: of each body its beginning, of the headers those that are listed.

use std::sync::Arc;

use hyper::HeaderMap;
use hyper::header::HeaderName;

use super::Error;
use super::tap::Permit;
use crate::exchange::{CapturedBody, CapturedHeader};

/// Most bytes kept of one header's value.
pub(super) const MAX_HEADER_VALUE: usize = 256;

/// Most headers captured of each side.
pub(super) const MAX_HEADERS: usize = 16;

/// What lets its bearer in: never captured, whatever the configuration says.
const SECRET: [&str; 4] = [
    "authorization",
    "cookie",
    "proxy-authorization",
    "set-cookie",
];

/// The headers that are captured; none unless they are listed.
#[derive(Debug, Clone, Default)]
pub struct HeaderList(Arc<[ListedHeader]>);

#[derive(Debug)]
struct ListedHeader {
    header: HeaderName,
    /// The name, to be shared by what is captured.
    name: Arc<str>,
}

/// First allocation for a body that announces more: what a claimed length may cost before its
/// bytes are there.
const FIRST: usize = 16 * 1024;

/// Copies what passes, up to a cap.
#[derive(Debug, Default)]
pub(super) struct Capture {
    body: CapturedBody,
}

impl Capture {
    /// Notes the body's `content-encoding`.
    pub(super) fn encoded(&mut self, encoding: Box<str>) {
        self.body.encoding = encoding;
    }

    /// Takes the next bytes; `left` are still to come where that is known. False if `permit`
    /// could not be grown: the exchange is lost then.
    ///
    /// Frames are copied, not shared: a small one can hold a whole read buffer in memory.
    pub(super) fn push(
        &mut self,
        data: &[u8],
        left: Option<u64>,
        cap: usize,
        permit: &mut Permit,
    ) -> bool {
        let CapturedBody {
            bytes,
            length,
            truncated,
            encoding: _,
        } = &mut self.body;
        *length += data.len() as u64;
        let taken = data.len().min(cap - bytes.len());
        *truncated |= taken < data.len();
        let needed = bytes.len() + taken;
        if needed > bytes.capacity() {
            let expected = left
                .and_then(|left| usize::try_from(*length + left).ok())
                .unwrap_or(needed)
                .min(cap);
            let doubled = FIRST.max(bytes.capacity() * 2);
            // Not beyond what is announced, where it is; to the next doubling where it is not.
            let wanted = match left {
                Some(_) => expected.min(doubled),
                None if bytes.is_empty() => needed,
                None => doubled.min(cap),
            };
            let capacity = wanted.max(needed);
            if !permit.grow(capacity - bytes.capacity()) {
                return false;
            }
            bytes.reserve_exact(capacity - bytes.len());
        }
        bytes.extend_from_slice(&data[..taken]);
        true
    }

    /// What was captured.
    pub(super) fn finish(&mut self) -> CapturedBody {
        std::mem::take(&mut self.body)
    }
}

// === impl HeaderList ===

impl HeaderList {
    /// A list of these names, in any case; a name that comes twice counts once.
    ///
    /// # Errors
    /// One cannot be a header's name, or names a secret, or they are more than [`MAX_HEADERS`].
    pub fn new<'a>(names: impl IntoIterator<Item = &'a str>) -> Result<Self, Error> {
        let mut list: Vec<ListedHeader> = Vec::new();
        for value in names {
            let header = HeaderName::from_bytes(value.trim().as_bytes());
            let header = header.map_err(|_| Error::Header {
                value: value.to_owned(),
            })?;
            if SECRET.contains(&header.as_str()) {
                return Err(Error::SecretHeader {
                    value: value.to_owned(),
                });
            }
            if list.iter().any(|listed| listed.header == header) {
                continue;
            }
            let name = header.as_str().into();
            list.push(ListedHeader { header, name });
        }
        if list.len() > MAX_HEADERS {
            return Err(Error::ManyHeaders { count: list.len() });
        }
        Ok(Self(list.into()))
    }

    /// The names, in lower case.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|listed| &*listed.name)
    }

    /// Those of `headers` that are listed; `None` if `permit` could not be grown by what they take.
    pub(super) fn capture(
        &self,
        headers: &HeaderMap,
        permit: &mut Permit,
    ) -> Option<Vec<CapturedHeader>> {
        let mut captured = Vec::new();
        for ListedHeader { header, name } in self.0.iter() {
            let Some(value) = value(headers, header) else {
                continue;
            };
            if !permit.grow(size_of::<CapturedHeader>() + value.len()) {
                return None;
            }
            let name = Arc::clone(name);
            captured.push(CapturedHeader { name, value });
        }
        Some(captured)
    }
}

/// The value of `header` on all its lines, as text, cut where it is long.
fn value(headers: &HeaderMap, header: &HeaderName) -> Option<Box<str>> {
    let mut bytes: Option<Vec<u8>> = None;
    for line in headers.get_all(header) {
        let bytes = match &mut bytes {
            Some(bytes) => {
                bytes.extend(b", ");
                bytes
            }
            none => none.insert(Vec::new()),
        };
        // A byte more than is kept, to know whether there is more.
        let room = (MAX_HEADER_VALUE + 1).saturating_sub(bytes.len());
        bytes.extend(line.as_bytes().iter().take(room));
        if bytes.len() > MAX_HEADER_VALUE {
            break;
        }
    }
    let text = bytes?;
    let text = String::from_utf8_lossy(&text);
    let kept = text.floor_char_boundary(MAX_HEADER_VALUE);
    Some(text[..kept].into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_joined_and_cut_between_characters() {
        let header = HeaderName::from_static("x-tenant");
        let mut headers = HeaderMap::new();
        assert_eq!(value(&headers, &header), None);
        headers.append("x-tenant", "a".parse().unwrap());
        headers.append("x-tenant", "b".parse().unwrap());
        assert_eq!(value(&headers, &header).as_deref(), Some("a, b"));
        let long = format!("{}ä{}", "x".repeat(MAX_HEADER_VALUE - 1), "y".repeat(9000));
        let long = hyper::header::HeaderValue::from_bytes(long.as_bytes()).unwrap();
        headers.insert("x-tenant", long);
        let kept = value(&headers, &header).unwrap();
        assert_eq!(&*kept, "x".repeat(MAX_HEADER_VALUE - 1));
        let many = "z".repeat(100);
        for _ in 0..100 {
            headers.append("x-many", many.parse().unwrap());
        }
        let kept = value(&headers, &HeaderName::from_static("x-many")).unwrap();
        assert_eq!(kept.len(), MAX_HEADER_VALUE);
    }

    #[test]
    fn secrets_and_what_is_no_name_are_refused() {
        let list = HeaderList::new(["X-Tenant", "x-tenant", " x-region"]).unwrap();
        assert_eq!(list.names().collect::<Vec<_>>(), ["x-tenant", "x-region"]);
        for secret in [
            "Authorization",
            "cookie",
            "Proxy-Authorization",
            "SET-COOKIE",
        ] {
            let error = HeaderList::new(["x-tenant", secret])
                .unwrap_err()
                .to_string();
            assert!(error.contains(secret) && error.contains("never"), "{error}");
        }
        assert!(HeaderList::new(["two words"]).is_err());
        let names: Vec<String> = (0..=MAX_HEADERS).map(|n| format!("x-{n}")).collect();
        assert!(HeaderList::new(names.iter().map(String::as_str)).is_err());
        assert!(HeaderList::new(names[1..].iter().map(String::as_str)).is_ok());
    }
}
