//! The ids of an exchange: its request id, and the trace it belongs to.

use std::cell::{Cell, RefCell};
use std::hash::{BuildHasher, RandomState};

use bytes::BytesMut;
use hyper::HeaderMap;
use hyper::header::{HeaderName, HeaderValue};
use uuid::Uuid;

use super::known::{Known, Present};
use super::sample::mix;
use crate::timestamp::Timestamp;

/// The header that carries the request id.
pub(super) const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const CLOUD_EVENT_ID: HeaderName = HeaderName::from_static("ce-id");
const TRACE_PARENT: HeaderName = HeaderName::from_static("traceparent");

/// Longest id taken from a client; a longer one is not an id but an attack on what stores it.
const MAX_ID: usize = 200;

/// Ids whose texts share an allocation: each goes into two heads, and would be shared by one of its own. Few, as
/// HTTP/2 keeps some in its tables and with them their neighbours.
const AT_ONCE: usize = 16;

/// Makes the ids of one thread, without a system call or a lock.
#[derive(Debug)]
pub(super) struct Ids {
    /// Two counters of splitmix64, seeded by the system through the standard library.
    state: Cell<(u64, u64)>,
    /// Room for the texts of the next ids, which share an allocation.
    room: RefCell<BytesMut>,
}

// === impl Ids ===

impl Ids {
    pub(super) fn new() -> Self {
        let seed = || RandomState::new().hash_one(0_u8);
        Self {
            state: Cell::new((seed(), seed())),
            room: RefCell::default(),
        }
    }

    /// The request's own id if it has a good one, else a new one.
    pub(super) fn request_id(
        &self,
        headers: &HeaderMap,
        present: Present,
        now: Timestamp,
    ) -> HeaderValue {
        [
            (Known::RequestId, REQUEST_ID),
            (Known::CloudEventId, CLOUD_EVENT_ID),
        ]
        .into_iter()
        .filter(|(known, _)| present.has(*known))
        .filter_map(|(_, name)| headers.get(name))
        .find(|value| is_id(value.as_bytes()))
        .cloned()
        .unwrap_or_else(|| self.generate(now))
    }

    fn generate(&self, now: Timestamp) -> HeaderValue {
        const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
        let (a, b) = self.state.get();
        let (a, b) = (a.wrapping_add(GOLDEN), b.wrapping_add(GOLDEN));
        self.state.set((a, b));
        let mut random = [0; 10];
        let (low, high) = random.split_at_mut(8);
        low.copy_from_slice(&mix(a).to_be_bytes());
        high.copy_from_slice(&mix(b).to_be_bytes()[..2]);
        let millis = u64::try_from(now.0).unwrap_or(0);
        let uuid = uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid();
        let mut text = Uuid::encode_buffer();
        let text = uuid.hyphenated().encode_lower(&mut text);
        let mut room = self.room.borrow_mut();
        if room.capacity() < text.len() {
            *room = BytesMut::with_capacity(AT_ONCE * text.len());
        }
        room.extend_from_slice(text.as_bytes());
        let text = room.split().freeze();
        HeaderValue::from_maybe_shared(text).unwrap_or(const { HeaderValue::from_static("-") })
    }
}

/// Whether this can be an id everywhere it goes: headers, logs, SQL, a page.
fn is_id(value: &[u8]) -> bool {
    (1..=MAX_ID).contains(&value.len()) && value.iter().all(u8::is_ascii_graphic)
}

/// The trace id of a W3C `traceparent`, if the header is valid.
/// See <https://www.w3.org/TR/trace-context/#traceparent-header>.
pub(super) fn trace_id(headers: &HeaderMap, present: Present) -> Option<Box<str>> {
    if !present.has(Known::TraceParent) {
        return None;
    }
    let text = headers.get(&TRACE_PARENT)?.to_str().ok()?;
    let hex = |part: &&str, length| {
        part.len() == length && part.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    };
    let set = |part: &&str| part.bytes().any(|b| b != b'0');
    let mut parts = text.split('-');
    let version = parts.next().filter(|part| hex(part, 2) && *part != "ff")?;
    let trace = parts.next().filter(|part| hex(part, 32) && set(part))?;
    parts.next().filter(|part| hex(part, 16) && set(part))?;
    parts.next().filter(|part| hex(part, 2))?;
    // Later versions may add parts, this one may not.
    (version != "00" || parts.next().is_none()).then(|| trace.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let parse = |value: &str| HeaderValue::from_bytes(value.as_bytes()).unwrap();
        lines
            .iter()
            .map(|(name, value)| (HeaderName::from_static(name), parse(value)))
            .collect()
    }

    #[test]
    fn takes_the_request_id_then_the_cloud_event_id_then_makes_one() {
        let ids = Ids::new();
        let id = |lines: &[(&'static str, &str)]| {
            let head = headers(lines);
            let now = Timestamp(1_700_000_000_123);
            let id = ids.request_id(&head, Present::of(&head), now);
            id.to_str().unwrap().to_owned()
        };
        assert_eq!(id(&[("x-request-id", "a"), ("ce-id", "b")]), "a");
        assert_eq!(id(&[("ce-id", "b")]), "b");
        assert_eq!(id(&[("x-request-id", "two words"), ("ce-id", "b")]), "b");
        assert_eq!(id(&[("x-request-id", &"x".repeat(200))]).len(), 200);
        let long = "x".repeat(201);
        let long = [("x-request-id", long.as_str())];
        for made in [id(&[]), id(&long), id(&[("x-request-id", "ä")])] {
            let uuid = Uuid::parse_str(&made).unwrap();
            assert_eq!(uuid.get_version_num(), 7);
            assert!(made.starts_with("018bcfe5-687b-7"), "{made}");
        }
        assert_ne!(id(&[]), id(&[]));
    }

    #[test]
    fn reads_valid_trace_parents_only() {
        let trace = |value: &str| {
            let head = headers(&[("traceparent", value)]);
            trace_id(&head, Present::of(&head))
        };
        let id = "4bf92f3577b34da6a3ce929d0e0e4736";
        let good = format!("00-{id}-00f067aa0ba902b7-01");
        assert_eq!(trace(&good).as_deref(), Some(id));
        assert_eq!(
            trace(&format!("cc-{id}-00f067aa0ba902b7-01-new")).as_deref(),
            Some(id)
        );
        for bad in [
            String::new(),
            format!("{good}-more"),
            format!("ff-{id}-00f067aa0ba902b7-01"),
            format!("00-{}-00f067aa0ba902b7-01", id.to_uppercase()),
            format!("00-{}-00f067aa0ba902b7-01", "0".repeat(32)),
            format!("00-{id}-0000000000000000-01"),
            format!("00-{id}-00f067aa0ba902b7"),
            format!("00-{}-00f067aa0ba902b7-01", &id[1..]),
        ] {
            assert_eq!(trace(&bad), None, "{bad}");
        }
    }
}
