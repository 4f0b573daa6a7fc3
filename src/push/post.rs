//! One POST over a connection of its own.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::client::conn::http1;
use hyper::header::{CONTENT_TYPE, HOST, RETRY_AFTER, USER_AGENT};
use hyper::{HeaderMap, Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::time::Instant;

use super::{Dial, Endpoint, Hidden};

/// What of an answer is read, to be told to whoever reads the log.
const MOST_READ: usize = 512;

/// How long it is read.
const LISTEN_FOR: Duration = Duration::from_secs(1);

/// What is sent.
#[derive(Debug)]
pub struct Post<'a> {
    /// To whom.
    pub endpoint: &'a Endpoint,
    /// Headers beside those every request has.
    pub headers: Vec<(Cow<'static, str>, String)>,
    /// The type of the body.
    pub content_type: &'a str,
    /// The body.
    pub body: Bytes,
}

/// What the receiver answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// Its status.
    pub status: StatusCode,
    /// How long it asks not to be tried again.
    pub retry_after: Option<Duration>,
    /// The beginning of what it said, in one line, without what of the request may not be shown.
    pub text: String,
    /// The same as it came, for what is no text.
    pub body: Vec<u8>,
}

/// Why there is no answer.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No connection could be opened.
    #[error("it cannot be reached")]
    Connect(#[source] std::io::Error),
    /// The connection broke, or what came on it is not HTTP.
    #[error("the exchange broke off")]
    Exchange(#[source] hyper::Error),
    /// It could not be said in HTTP.
    #[error("a header cannot be sent")]
    Header(#[source] hyper::http::Error),
    /// There is nothing to sign it with.
    #[error("it cannot be signed: {reason}")]
    Secret {
        /// Why not.
        reason: String,
    },
    /// It took too long.
    #[error("no answer within {}", humantime::format_duration(*.after))]
    Timeout {
        /// How long was waited.
        after: Duration,
    },
}

/// Sends it and reads the answer, all within `timeout`.
///
/// # Errors
/// There is no answer.
pub async fn post(dial: &Dial, what: Post<'_>, timeout: Duration) -> Result<Answer, Failure> {
    // An answer that begins in time counts, however long it goes on.
    let listen_until = Instant::now() + timeout.mul_f64(0.9);
    let answered = tokio::time::timeout(timeout, exchange(dial, what, listen_until)).await;
    answered.unwrap_or(Err(Failure::Timeout { after: timeout }))
}

async fn exchange(dial: &Dial, what: Post<'_>, listen_until: Instant) -> Result<Answer, Failure> {
    let mut request = Request::post(what.endpoint.path())
        .header(HOST, what.endpoint.authority())
        .header(USER_AGENT, concat!("driftd/", env!("CARGO_PKG_VERSION")))
        .header(CONTENT_TYPE, what.content_type);
    for (name, value) in &what.headers {
        request = request.header(&**name, value);
    }
    let values = what.headers.iter().map(|(_, value)| value.as_str());
    let hidden = Hidden::new(what.endpoint, values);
    let request = request
        .body(Full::new(what.body))
        .map_err(Failure::Header)?;
    let stream = dial().await.map_err(Failure::Connect)?;
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream))
        .await
        .map_err(Failure::Exchange)?;
    let answer = async {
        let answer = sender.send_request(request).await?;
        let (head, mut body) = answer.into_parts();
        let mut said = Vec::new();
        let listen = async {
            while said.len() < MOST_READ
                && let Some(Ok(frame)) = body.frame().await
            {
                said.extend(frame.into_data().unwrap_or_default());
            }
        };
        // The status has come and decides: what it says besides does not matter enough to wait for.
        let until = listen_until.min(Instant::now() + LISTEN_FOR);
        let _ = tokio::time::timeout_at(until, listen).await;
        Ok(Answer {
            status: head.status,
            retry_after: retry_after(&head.headers, SystemTime::now()),
            text: hidden.mask(&one_line(&said)),
            body: said,
        })
    };
    tokio::pin!(answer);
    tokio::select! {
        answer = &mut answer => answer.map_err(Failure::Exchange),
        // It ends with the answer's last byte at hand, or else the answer fails by itself.
        _ = connection => answer.await.map_err(Failure::Exchange),
    }
}

/// How long `Retry-After` says to wait (RFC 9110, section 10.2.3): seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// Text for a log: one line without control characters.
fn one_line(said: &[u8]) -> String {
    let said = String::from_utf8_lossy(&said[..said.len().min(MOST_READ)]);
    let words: Vec<&str> = said.split_whitespace().collect();
    words
        .join(" ")
        .chars()
        .filter(|c| !c.is_control())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let read = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, now).map(|wait| wait.as_secs())
        };
        assert_eq!(read("120"), Some(120));
        assert_eq!(read("Sun, 06 Nov 1994 08:50:37 GMT"), Some(60));
        assert_eq!(read("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0));
        assert_eq!(read("soon"), None);
        assert_eq!(read("-1"), None);
        assert_eq!(retry_after(&HeaderMap::new(), now), None);
    }

    #[test]
    fn what_a_receiver_says_fits_one_line_of_a_log() {
        assert_eq!(
            one_line(b" no\r\n\x1b[31msuch\thook \xff"),
            "no [31msuch hook \u{fffd}"
        );
        assert_eq!(one_line(&[b'x'; 5000]).len(), MOST_READ);
    }

    #[test]
    fn what_a_receiver_repeats_of_the_request_is_not_passed_on() {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let dial: Dial = Box::new(|| {
            Box::pin(async {
                let (ours, mut theirs) = tokio::io::duplex(1 << 16);
                tokio::spawn(async move {
                    let mut head = vec![0; 1 << 16];
                    let read = theirs.read(&mut head).await.unwrap();
                    let head = String::from_utf8_lossy(&head[..read]).into_owned();
                    // The whole request, as debugging pages show it, longer than what is read of it.
                    let length = head.len() + 490;
                    let answer = format!(
                        "HTTP/1.1 404 Not Found\r\ncontent-length: {length}\r\n\r\n{head}{}",
                        "/services/T0/b1gsecret".repeat(100)
                    );
                    let _ = theirs.write_all(answer.as_bytes()).await;
                });
                Ok(Box::new(ours) as Box<dyn crate::push::Connection>)
            })
        });
        let endpoint = Endpoint::parse("http://h/services/T0/b1gsecret?key=qu3rysecret").unwrap();
        let what = Post {
            endpoint: &endpoint,
            headers: vec![("authorization".into(), "Bearer h3adersecret".into())],
            content_type: "text/plain",
            body: Bytes::from_static(b"hello"),
        };
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .unwrap();
        let answer = runtime.block_on(post(&dial, what, Duration::from_secs(20)));
        let said = answer.unwrap().text;
        assert!(said.starts_with("POST *** HTTP/1.1 host: h "), "{said}");
        for secret in ["b1gs", "qu3r", "h3ad", "services"] {
            assert!(!said.contains(secret), "{said}");
        }
    }
}
