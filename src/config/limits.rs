//! The table `[proxy]`: what clients may take, and what upstreams are told of them.

use std::num::NonZeroUsize;

use super::section::{Section, parse_duration};
use crate::proxy::{Forwarded, Limits};

/// The table as read.
#[derive(Debug)]
pub(super) struct Proxy {
    pub(super) limits: Limits,
    /// Client connections open at once, where that was said.
    pub(super) max_connections: Option<NonZeroUsize>,
}

pub(super) fn read(mut section: Section<'_>) -> Proxy {
    let usual = Limits::default();
    let count = |number: Option<u64>| {
        let number = number.map(|number| usize::try_from(number).unwrap_or(usize::MAX));
        number.and_then(NonZeroUsize::new)
    };
    let max_connections = count(section.count("max_connections", 1));
    let max_in_flight = count(section.count("max_in_flight", 1));
    let right = "a size from \"1KiB\" to \"1MiB\"";
    let max_head = section.parse("max_head", right, |text| {
        let size: bytesize::ByteSize = text.parse().map_err(|_| String::new())?;
        let size = usize::try_from(size.as_u64()).map_err(|_| String::new())?;
        let fits = (Limits::LEAST_HEAD..=Limits::MOST_HEAD).contains(&size);
        fits.then_some(size).ok_or_else(String::new)
    });
    let right = format!("a whole number from 1 to {}", Limits::MOST_HEADERS);
    let max_headers = section.parse("max_headers", &right, |text| {
        let number: usize = text.parse().map_err(|_| String::new())?;
        let fits = (1..=Limits::MOST_HEADERS).contains(&number);
        fits.then_some(number).ok_or_else(String::new)
    });
    let right = "\"append\", \"off\" or \"replace\"";
    let forwarded = section.parse("forwarded", right, |word| {
        word.parse::<Forwarded>().map_err(|()| String::new())
    });
    let mut time = |key, usual| section.duration(key).unwrap_or(usual);
    let header_timeout = time("header_timeout", usual.header_timeout);
    let idle_timeout = time("idle_timeout", usual.idle_timeout);
    let body_timeout = time("body_timeout", usual.body_timeout);
    let write_timeout = time("write_timeout", usual.write_timeout);
    let right = "a duration such as \"1h\", or \"off\"";
    let tunnel_timeout = section.parse("tunnel_timeout", right, |text| match text {
        "off" => Ok(None),
        text => parse_duration(text).map(Some),
    });
    let upstream_keepalive = section.boolean("upstream_keepalive");
    section.finish();
    Proxy {
        limits: Limits {
            max_in_flight: max_in_flight.unwrap_or(usual.max_in_flight),
            max_head: max_head.unwrap_or(usual.max_head),
            max_headers: max_headers.unwrap_or(usual.max_headers),
            header_timeout,
            idle_timeout,
            body_timeout,
            write_timeout,
            tunnel_timeout: tunnel_timeout.unwrap_or(usual.tunnel_timeout),
            upstream_keepalive: upstream_keepalive.unwrap_or(usual.upstream_keepalive),
            forwarded: forwarded.unwrap_or(usual.forwarded),
        },
        max_connections,
    }
}
