//! What a proxy must do to heads: refuse bad framing, remove what belongs to one hop.

use hyper::body::Body;
use hyper::header::{
    CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, EXPECT, Entry, HOST, HeaderMap, HeaderName,
    HeaderValue, PROXY_AUTHENTICATE, PROXY_AUTHORIZATION, TE, TRANSFER_ENCODING, UPGRADE,
};
use hyper::http::{request, response, uri};
use hyper::{Method, StatusCode, Uri, Version};

use super::known::{Known, Present};

/// Headers that concern one connection, beside those that `Connection` names.
static HOP_BY_HOP: [(Known, HeaderName); 8] = [
    (Known::KeepAlive, HeaderName::from_static("keep-alive")),
    (
        Known::ProxyConnection,
        HeaderName::from_static("proxy-connection"),
    ),
    (Known::ProxyAuthenticate, PROXY_AUTHENTICATE),
    (Known::ProxyAuthorization, PROXY_AUTHORIZATION),
    (
        Known::ProxyAuthenticationInfo,
        HeaderName::from_static("proxy-authentication-info"),
    ),
    (Known::Te, TE),
    (Known::TransferEncoding, TRANSFER_ENCODING),
    (Known::Upgrade, UPGRADE),
];

/// What the headers of one hop said.
struct Hop {
    /// `TE` took trailers.
    takes_trailers: bool,
    /// The connection ends with this message.
    closes: bool,
}

/// Most bytes kept of a `content-encoding`, which the tap's budget does not count one by one.
const MAX_ENCODING: usize = 64;

/// Why a request cannot be passed on, or `None`. hyper has already refused lengths that
/// contradict each other, and chunked bodies on HTTP/1.0; a length beside chunks it hides.
pub(super) fn fault(head: &request::Parts, present: Present) -> Option<&'static str> {
    let headers = &head.headers;
    if present.has(Known::TransferEncoding) {
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        // Anything else (`gzip, chunked`) would lose its label here, as hyper removes only chunks.
        let chunked = codings.next().map(HeaderValue::as_bytes);
        if !chunked.is_some_and(|coding| coding.eq_ignore_ascii_case(b"chunked"))
            || codings.next().is_some()
        {
            return Some("the only transfer-encoding taken is chunked, once");
        }
        if present.has(Known::ContentLength) {
            return Some("content-length and transfer-encoding exclude each other");
        }
    }
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) if head.version == Version::HTTP_11 => Some("the host header is missing"),
        (Some(_), Some(_)) => Some("there is more than one host header"),
        (Some(host), None) if !host.as_bytes().iter().all(in_host) => {
            Some("the host header is no host with or without a port")
        }
        _ => misplaced(&head.method, &head.uri),
    }
}

/// Why a target is not one for its method (RFC 9112, 3.2), or `None`.
fn misplaced(method: &Method, target: &Uri) -> Option<&'static str> {
    // `GET name` is read as an authority, which only CONNECT may name without a scheme.
    if target.scheme().is_none() && target.authority().is_some() && method != Method::CONNECT {
        return Some("the target begins with neither a slash nor a scheme");
    }
    (target.path() == "*" && method != Method::OPTIONS)
        .then_some("the target * is for OPTIONS alone")
}

/// Whether a byte may stand in `Host`: in a name, an address or a port (RFC 3986, 3.2.2). Of anything
/// else (`a/b`, `a@b`, `a, b`) two readers may make two hosts.
fn in_host(byte: &u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=%:[]".contains(byte)
}

/// The one protocol a request asks to switch to. `None` where it asks for none, for several, or for
/// HTTP/2, which would make the upstream speak it past us: the request goes on as it is without.
pub(super) fn upgrade(head: &request::Parts, present: Present) -> Option<HeaderValue> {
    let headers = &head.headers;
    if !present.has(Known::Upgrade) || head.version != Version::HTTP_11 {
        return None;
    }
    if !tokens(headers, &CONNECTION).any(is_upgrade) {
        return None;
    }
    let mut protocols = tokens(headers, &UPGRADE).filter(|protocol| {
        let name = protocol.split(|byte| *byte == b'/').next();
        let name = name.unwrap_or_default();
        !name.eq_ignore_ascii_case(b"h2c") && !name.eq_ignore_ascii_case(b"http")
    });
    let protocol = protocols.next()?;
    match protocols.next() {
        None => HeaderValue::from_bytes(protocol).ok(),
        Some(_) => None,
    }
}

/// Whether a response switches to `protocol` and to no other.
pub(super) fn switches(head: &response::Parts, protocol: &HeaderValue) -> bool {
    let mut named = tokens(&head.headers, &UPGRADE);
    let first = named.next();
    first.is_some_and(|first| first.eq_ignore_ascii_case(protocol.as_bytes()))
        && named.next().is_none()
        && tokens(&head.headers, &CONNECTION).any(is_upgrade)
}

/// Sets what asks for, or grants, a switch to `protocol`, on a head without hop-by-hop headers.
pub(super) fn set_upgrade(headers: &mut HeaderMap, protocol: HeaderValue) {
    headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
    headers.insert(UPGRADE, protocol);
}

/// Makes a target without a path, of which hyper makes `/`, ask for the server as a whole (RFC 9112,
/// 3.2.4).
pub(super) fn ask_server(target: &mut Uri) {
    let mut parts = std::mem::take(target).into_parts();
    parts.path_and_query = Some(uri::PathAndQuery::from_static("*"));
    *target = Uri::from_parts(parts).unwrap_or_default();
}

/// Makes a request's head one for the upstream. `body` is what will be sent along, `host` stands
/// in for a `Host` that HTTP/1.0 need not send.
pub(super) fn for_upstream(
    head: &mut request::Parts,
    present: &mut Present,
    body: &impl Body,
    host: impl FnOnce() -> HeaderValue,
) {
    let headers = &mut head.headers;
    let hop = strip(headers, present);
    if present.take(Known::Expect) {
        // hyper answers 100 to the client as soon as the body is first asked for.
        headers.remove(EXPECT);
    }
    if hop.takes_trailers {
        headers.insert(TE, HeaderValue::from_static("trailers"));
        present.add(Known::Te);
    }
    if !body.is_end_stream() && body.size_hint().exact().is_none() {
        // Without it hyper would send a GET's body of unknown length as none at all.
        headers.insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        present.add(Known::TransferEncoding);
    }
    if let Some(authority) = head.uri.authority() {
        // A target in absolute form carries the host that counts.
        let host = authority.as_str().rsplit('@').next().unwrap_or_default();
        if let Ok(host) = HeaderValue::from_str(host) {
            headers.insert(HOST, host);
            present.add(Known::Host);
        }
        head.uri = origin_form(&head.uri);
    }
    if !present.has(Known::Host) {
        headers.insert(HOST, host());
        present.add(Known::Host);
    }
    head.version = Version::HTTP_11;
    head.extensions.clear();
}

/// Makes a response's head one for the client. Whether it said that its connection ends with it.
pub(super) fn for_client(
    head: &mut response::Parts,
    present: &mut Present,
    method: &Method,
) -> bool {
    let chunked = present.has(Known::TransferEncoding);
    let hop = strip(&mut head.headers, present);
    // Where both are given chunks count; hyper would trust the length and cut the body to it.
    // On 204 and 304 hyper does not send one.
    let bodiless = matches!(
        head.status,
        StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED
    );
    if (chunked && method != Method::HEAD) || bodiless {
        head.headers.remove(CONTENT_LENGTH);
        present.take(Known::ContentLength);
    }
    head.version = Version::HTTP_11;
    hop.closes
}

/// The `content-encoding`, in lower case, cut where it is longer than any that can be undone.
pub(super) fn encoding(headers: &HeaderMap, present: Present) -> Box<str> {
    if !present.has(Known::ContentEncoding) {
        return Box::default();
    }
    let codings: Vec<_> = tokens(headers, &CONTENT_ENCODING)
        .map(|token| String::from_utf8_lossy(token).to_ascii_lowercase())
        .collect();
    let codings = codings.join(", ");
    let kept = codings.floor_char_boundary(MAX_ENCODING);
    codings[..kept].into()
}

/// Removes what `Connection` names, on all its lines, and every other header of one hop.
fn strip(headers: &mut HeaderMap, present: &mut Present) -> Hop {
    let mut hop = Hop {
        takes_trailers: present.has(Known::Te) && accepts_trailers(headers),
        closes: false,
    };
    if present.take(Known::Connection)
        && let Entry::Occupied(connection) = headers.entry(CONNECTION)
    {
        let mut named = Vec::new();
        for line in connection.remove_entry_mult().1 {
            for token in tokens_of(&line) {
                if token.eq_ignore_ascii_case(b"close") {
                    hop.closes = true;
                } else if !token.eq_ignore_ascii_case(b"keep-alive") {
                    named.extend(HeaderName::from_bytes(token));
                }
            }
        }
        // Naming these would only serve to break the message.
        named.retain(|name| *name != HOST && *name != CONTENT_LENGTH);
        for name in named {
            headers.remove(&name);
            present.forget(&name);
        }
    }
    for (known, name) in &HOP_BY_HOP {
        if present.take(*known) {
            headers.remove(name);
        }
    }
    hop
}

fn is_upgrade(token: &[u8]) -> bool {
    token.eq_ignore_ascii_case(b"upgrade")
}

fn accepts_trailers(headers: &HeaderMap) -> bool {
    tokens(headers, &TE).any(|token| token.eq_ignore_ascii_case(b"trailers"))
}

/// The comma-separated tokens of a header, over all its lines.
fn tokens<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a [u8]> {
    headers.get_all(name).into_iter().flat_map(tokens_of)
}

/// Those of one line.
fn tokens_of(line: &HeaderValue) -> impl Iterator<Item = &[u8]> {
    line.as_bytes()
        .split(|byte| *byte == b',')
        .map(<[u8]>::trim_ascii)
        .filter(|token| !token.is_empty())
}

fn origin_form(target: &Uri) -> Uri {
    let given = target
        .path_and_query()
        .map_or("", uri::PathAndQuery::as_str);
    // `http://host?a=b` has a query and no path. What is empty (`http://host#part:`) reads `/`, but
    // would be written as nothing: so it is parsed anew, whatever it is.
    let rooted = if given.starts_with('/') || given == "*" {
        given.parse()
    } else {
        format!("/{given}").parse()
    };
    Uri::from(rooted.unwrap_or_else(|_| uri::PathAndQuery::from_static("/")))
}

#[cfg(test)]
mod tests {
    use std::pin::Pin;
    use std::task::{Context, Poll};

    use bytes::Bytes;
    use http_body_util::Empty;
    use hyper::Request;
    use hyper::body::Frame;

    use super::*;

    fn request(uri: &str, lines: &[(&'static str, &'static str)]) -> request::Parts {
        let mut request = Request::builder().uri(uri);
        for (name, value) in lines {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn faulty(head: &request::Parts) -> Option<&'static str> {
        fault(head, Present::of(&head.headers))
    }

    fn sent(mut head: request::Parts) -> request::Parts {
        let mut present = Present::of(&head.headers);
        for_upstream(&mut head, &mut present, &Empty::<Bytes>::new(), || {
            "upstream".parse().unwrap()
        });
        assert_eq!(present, Present::of(&head.headers));
        head
    }

    fn names(headers: &HeaderMap) -> Vec<&str> {
        let mut names: Vec<_> = headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn removes_what_belongs_to_one_hop_and_what_any_connection_line_names() {
        let head = sent(request(
            "/",
            &[
                ("host", "model"),
                ("connection", "keep-alive, X-One"),
                ("connection", " x-two ,host, content-length,, close"),
                ("x-one", "1"),
                ("x-two", "2"),
                ("x-three", "3"),
                ("keep-alive", "timeout=5"),
                ("proxy-connection", "keep-alive"),
                ("proxy-authorization", "Basic x"),
                ("upgrade", "h2c"),
                ("te", "deflate, Trailers"),
                ("expect", "100-continue"),
                ("content-length", "0"),
                ("trailer", "x-sum"),
            ],
        ));
        let left = ["content-length", "host", "te", "trailer", "x-three"];
        assert_eq!(names(&head.headers), left);
        assert_eq!(head.headers["te"], "trailers");
    }

    #[test]
    fn keeps_the_host_and_takes_the_one_of_an_absolute_target() {
        let host = |head: request::Parts| head.headers["host"].to_str().unwrap().to_owned();
        assert_eq!(
            host(sent(request("/", &[("host", "public:81")]))),
            "public:81"
        );
        assert_eq!(host(sent(request("/", &[]))), "upstream");
        let head = sent(request("http://u:p@real:82/a?b=c", &[("host", "other")]));
        assert_eq!(head.uri, "/a?b=c");
        assert_eq!(host(head), "real:82");
        for (target, passed) in [
            ("http://real", "/"),
            ("http://real?a=b", "/?a=b"),
            ("http://real/?a=b", "/?a=b"),
            // Found by fuzzing: it went on without any target.
            ("hTttp://c#onnection:", "/"),
            ("http://c/a#part", "/a"),
        ] {
            assert_eq!(sent(request(target, &[])).uri, passed, "{target}");
        }
    }

    #[test]
    fn a_body_of_unknown_length_stays_chunked_whatever_the_method() {
        let mut head = request("/", &[("host", "a"), ("transfer-encoding", "chunked")]);
        let mut present = Present::of(&head.headers);
        for_upstream(&mut head, &mut present, &Unsized, || {
            "upstream".parse().unwrap()
        });
        assert_eq!(present, Present::of(&head.headers));
        assert_eq!(head.headers["transfer-encoding"], "chunked");
    }

    /// A body that does not say how long it is.
    struct Unsized;

    impl Body for Unsized {
        type Data = Bytes;
        type Error = std::convert::Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
            Poll::Ready(None)
        }
    }

    #[test]
    fn refuses_framing_that_two_parsers_may_read_in_two_ways() {
        let fine = [("host", "a"), ("transfer-encoding", "Chunked")];
        assert_eq!(faulty(&request("/", &fine)), None);
        for bad in [
            &[("host", "a"), ("transfer-encoding", "gzip, chunked")][..],
            &[
                ("host", "a"),
                ("transfer-encoding", "chunked"),
                ("transfer-encoding", "chunked"),
            ],
            &[
                ("host", "a"),
                ("transfer-encoding", "chunked"),
                ("content-length", "3"),
            ],
            &[("host", "a"), ("host", "a")],
            &[("host", "a b")],
            &[("host", "a/b")],
            &[("host", "a@b")],
            &[],
        ] {
            assert!(faulty(&request("/", bad)).is_some(), "{bad:?}");
        }
        for host in ["", "model_1:8080", "[::1]:80", "127.0.0.1", "m%C3%B6del"] {
            assert_eq!(faulty(&request("/", &[("host", host)])), None, "{host}");
        }
    }

    #[test]
    fn refuses_targets_that_are_not_for_their_method() {
        let told = |method: &str, target: &str| {
            let mut head = request(target, &[("host", "a")]);
            head.method = method.parse().unwrap();
            faulty(&head).is_some()
        };
        for (method, target) in [
            ("GET", "predict"),
            ("POST", "a:80"),
            ("GET", "u@a:80"),
            ("GET", "*"),
        ] {
            assert!(told(method, target), "{method} {target}");
        }
        for (method, target) in [
            ("GET", "/predict"),
            ("GET", "/a:80"),
            ("GET", "http://a"),
            ("OPTIONS", "*"),
            ("CONNECT", "a:80"),
        ] {
            assert!(!told(method, target), "{method} {target}");
        }
    }

    #[test]
    fn refuses_a_host_that_is_none() {
        for good in ["", "a", "a_b.c:81", "[::1]:80", "127.0.0.1", "xn--4ca.de"] {
            assert_eq!(faulty(&request("/", &[("host", good)])), None, "{good}");
        }
        for bad in ["a/b", "u@a", "a, b", "a b", "a?b", "a#b", "http://a"] {
            assert!(faulty(&request("/", &[("host", bad)])).is_some(), "{bad}");
        }
    }

    #[test]
    fn a_response_with_chunks_loses_its_length() {
        let response = hyper::Response::builder()
            .header("content-length", "3")
            .header("transfer-encoding", "chunked")
            .header("connection", "close");
        let (mut head, ()) = response.body(()).unwrap().into_parts();
        let mut present = Present::of(&head.headers);
        assert!(for_client(&mut head, &mut present, &Method::GET));
        assert_eq!(present, Present::default());
        assert!(head.headers.is_empty());
    }
}
