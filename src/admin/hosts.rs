//! Names a listener answers to. A page of somebody else's whose name is made to lead to this machine
//! (DNS rebinding) is in the eyes of a browser the page of this listener, and could read it all: where
//! only this machine is to reach the listener, only names that nobody else can have are answered.

use std::net::IpAddr;

use hyper::http::uri::{Authority, Uri};
use hyper::{Request, header};

/// Names under which a listener may be asked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Hosts {
    /// Any: who reaches the listener is for others to decide.
    Any,
    /// Addresses, `localhost` and what ends so.
    Local {
        /// And the name people reach the page by.
        external: Option<String>,
    },
}

// === impl Hosts ===

impl Hosts {
    /// For a listener bound to `address`, whose page people reach at `external_url`.
    #[must_use]
    pub fn of(address: IpAddr, external_url: Option<&str>) -> Self {
        if !address.is_loopback() {
            return Self::Any;
        }
        let url = external_url.and_then(|url| url.parse::<Uri>().ok());
        Self::Local {
            external: url.and_then(|url| url.host().map(normal)),
        }
    }

    /// The name a request asks for, where it may not ask for it. What names nothing is no browser's.
    pub(super) fn refused<B>(&self, request: &Request<B>) -> Option<String> {
        let Self::Local { external } = self else {
            return None;
        };
        let named = request.headers().get_all(header::HOST).into_iter();
        let named = named.map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned());
        let target = request.uri().authority().map(ToString::to_string);
        let mut asked = named.chain(target).filter(|name| !name.is_empty());
        asked.find(|name| {
            let Ok(authority) = name.parse::<Authority>() else {
                return true;
            };
            let host = normal(authority.host());
            let address = host.trim_start_matches('[').trim_end_matches(']');
            let local = host == "localhost" || host.ends_with(".localhost");
            !local && address.parse::<IpAddr>().is_err() && external.as_ref() != Some(&host)
        })
    }
}

fn normal(host: &str) -> String {
    host.trim_end_matches('.').to_ascii_lowercase()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(hosts: &Hosts, target: &str, names: &[&str]) -> Option<String> {
        let mut request = Request::builder().uri(target);
        for name in names {
            request = request.header(header::HOST, *name);
        }
        hosts.refused(&request.body(()).unwrap())
    }

    #[test]
    fn only_names_nobody_else_can_have_are_answered_on_loopback() {
        let url = Some("https://Drift.example/below/");
        for address in ["127.0.0.1", "127.1.2.3", "::1"] {
            let hosts = Hosts::of(address.parse().unwrap(), url);
            for name in [
                "127.0.0.1:9464",
                "127.0.0.1",
                "10.0.0.7:80",
                "[::1]:9464",
                "[::1]",
                "localhost",
                "LocalHost.:9464",
                "a.localhost:1",
                "drift.example",
                "DRIFT.example.:443",
                "",
            ] {
                assert_eq!(refused(&hosts, "/", &[name]), None, "{name}");
            }
            for name in [
                "evil.example",
                "evil.example:9464",
                "localhost.evil.example",
                "127.0.0.1.evil.example:9464",
                "notlocalhost",
                "example",
                "sub.drift.example",
                "127.0.0.1 evil.example",
                "user@evil.example",
            ] {
                assert_eq!(refused(&hosts, "/", &[name]).as_deref(), Some(name));
            }
            assert_eq!(refused(&hosts, "/", &[]), None);
            assert!(refused(&hosts, "/", &["localhost", "evil.example"]).is_some());
            assert!(refused(&hosts, "http://evil.example/", &["localhost"]).is_some());
        }
        let hosts = Hosts::of("127.0.0.1".parse().unwrap(), None);
        assert!(refused(&hosts, "/", &["drift.example"]).is_some());
        for address in ["0.0.0.0", "::", "10.0.0.7", "fd00::1"] {
            assert_eq!(Hosts::of(address.parse().unwrap(), url), Hosts::Any);
        }
        assert_eq!(refused(&Hosts::Any, "/", &["evil.example"]), None);
    }
}
