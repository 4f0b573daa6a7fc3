//! Which of the headers that driftd looks at a head has.
//!
//! One look over the names that are there tells it. To ask a head for each, most of which are missing
//! most of the time, hashes as many names.

use hyper::HeaderMap;
use hyper::header::HeaderName;

/// A header that driftd looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    CloudEventId,
    Connection,
    ContentEncoding,
    ContentLength,
    Expect,
    ForwardedFor,
    ForwardedHost,
    ForwardedProto,
    Host,
    KeepAlive,
    ProxyAuthenticate,
    ProxyAuthenticationInfo,
    ProxyAuthorization,
    ProxyConnection,
    RequestId,
    Te,
    TraceParent,
    TransferEncoding,
    Upgrade,
    /// The last: one of the `x-forwarded-…` with a `_` in place of a `-`. CGI and WSGI servers make one variable of
    /// both, so that it could stand for, or behind, what driftd says.
    Misspelt,
}

/// Those of them that a head has, as of when it was looked over, but for what [`header`](super::header) has
/// changed since. `Misspelt` may stand for one that is gone.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Present(u32);

const _: () = assert!((Known::Misspelt as u32) < u32::BITS);

// === impl Known ===

impl Known {
    /// What this name is to driftd, if anything.
    pub(super) fn of(name: &HeaderName) -> Option<Self> {
        let name = name.as_str();
        // By the length first, which alone tells most names apart.
        Some(match name.len() {
            2 if name == "te" => Self::Te,
            4 if name == "host" => Self::Host,
            5 if name == "ce-id" => Self::CloudEventId,
            6 if name == "expect" => Self::Expect,
            7 if name == "upgrade" => Self::Upgrade,
            10 if name == "connection" => Self::Connection,
            10 if name == "keep-alive" => Self::KeepAlive,
            11 if name == "traceparent" => Self::TraceParent,
            12 if name == "x-request-id" => Self::RequestId,
            14 if name == "content-length" => Self::ContentLength,
            15 if name == "x-forwarded-for" => Self::ForwardedFor,
            16 if name == "content-encoding" => Self::ContentEncoding,
            16 if name == "x-forwarded-host" => Self::ForwardedHost,
            16 if name == "proxy-connection" => Self::ProxyConnection,
            17 if name == "transfer-encoding" => Self::TransferEncoding,
            17 if name == "x-forwarded-proto" => Self::ForwardedProto,
            18 if name == "proxy-authenticate" => Self::ProxyAuthenticate,
            19 if name == "proxy-authorization" => Self::ProxyAuthorization,
            25 if name == "proxy-authentication-info" => Self::ProxyAuthenticationInfo,
            15..=17 if is_misspelt(name) => Self::Misspelt,
            _ => return None,
        })
    }
}

fn is_misspelt(name: &str) -> bool {
    const RIGHT: [&str; 3] = ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto"];
    let same = |(right, other): (u8, u8)| right == other || (right == b'-' && other == b'_');
    name.contains('_')
        && (RIGHT.iter())
            .any(|right| right.len() == name.len() && right.bytes().zip(name.bytes()).all(same))
}

// === impl Present ===

impl Present {
    /// Looks over a head.
    pub(super) fn of(headers: &HeaderMap) -> Self {
        let mut present = Self::default();
        for known in headers.keys().filter_map(Known::of) {
            present.add(known);
        }
        present
    }

    /// Whether the head has it.
    pub(super) fn has(self, known: Known) -> bool {
        self.0 & (1 << known as u32) != 0
    }

    /// The head has it from now on.
    pub(super) fn add(&mut self, known: Known) {
        self.0 |= 1 << known as u32;
    }

    /// Whether the head had it, which is to be removed now.
    pub(super) fn take(&mut self, known: Known) -> bool {
        let had = self.has(known);
        self.0 &= !(1 << known as u32);
        had
    }

    /// The head has no header of this name any more.
    pub(super) fn forget(&mut self, name: &HeaderName) {
        match Known::of(name) {
            None => {}
            // There may be another one.
            Some(Known::Misspelt) => {}
            Some(known) => _ = self.take(known),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_head_has_what_it_is_found_to_have() {
        let names = [
            ("ce-id", Known::CloudEventId),
            ("connection", Known::Connection),
            ("content-encoding", Known::ContentEncoding),
            ("content-length", Known::ContentLength),
            ("expect", Known::Expect),
            ("x-forwarded-for", Known::ForwardedFor),
            ("x-forwarded-host", Known::ForwardedHost),
            ("x-forwarded-proto", Known::ForwardedProto),
            ("host", Known::Host),
            ("keep-alive", Known::KeepAlive),
            ("proxy-authenticate", Known::ProxyAuthenticate),
            ("proxy-authentication-info", Known::ProxyAuthenticationInfo),
            ("proxy-authorization", Known::ProxyAuthorization),
            ("proxy-connection", Known::ProxyConnection),
            ("x-request-id", Known::RequestId),
            ("te", Known::Te),
            ("traceparent", Known::TraceParent),
            ("transfer-encoding", Known::TransferEncoding),
            ("upgrade", Known::Upgrade),
            ("x-forwarded_for", Known::Misspelt),
        ];
        assert_eq!(names.len(), Known::Misspelt as usize + 1);
        let mut all = HeaderMap::new();
        let mut present = Present::default();
        for (number, (name, known)) in names.into_iter().enumerate() {
            assert_eq!(known as usize, number, "{name} is out of order");
            let header = HeaderName::from_static(name);
            let alone = HeaderMap::from_iter([(header.clone(), "1".parse().unwrap())]);
            let found = Present::of(&alone);
            assert_eq!(
                names.map(|(_, other)| found.has(other)),
                names.map(|(_, other)| other == known)
            );
            all.append(&header, "2".parse().unwrap());
            all.append(header, "3".parse().unwrap());
            present.0 |= found.0;
            assert_eq!(Present::of(&all), present);
        }
        for (name, known) in names {
            let mut once = present;
            assert!(once.take(known) && !once.has(known) && !once.take(known));
            let mut forgotten = present;
            forgotten.forget(&HeaderName::from_static(name));
            let gone = known != Known::Misspelt;
            assert_eq!(forgotten, if gone { once } else { present }, "{name}");
        }
        let others = [
            "x",
            "accept",
            "user-agent",
            "x-forwarded-fob",
            "xxforwarded-for",
            "tee",
        ];
        for name in others {
            all = HeaderMap::from_iter([(HeaderName::from_static(name), "1".parse().unwrap())]);
            assert_eq!(Present::of(&all), Present::default(), "{name}");
        }
    }
}
