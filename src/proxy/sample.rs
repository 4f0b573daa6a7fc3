//! Which exchanges are tapped: exclusions, and a share or a rate of the rest.

use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use hyper::HeaderMap;
use hyper::header::HeaderName;

use super::Error;

/// Which exchanges are left out: probes, synthetic traffic, routes that are no predictions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exclude(Rule);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Rule {
    Header {
        /// The header; any of its lines may match.
        name: HeaderName,
        /// How its value begins, in the same case.
        prefix: Box<str>,
    },
    /// How the path begins, by whole segments.
    Path(Box<str>),
}

/// How many of the exchanges are tapped.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Sample {
    /// This share of them, from 0 to 1; the request id decides, so one id always fares the same.
    Share(f64),
    /// At most this many a second, evenly spread, over all threads.
    PerSecond(u32),
}

/// A [`Sample`] at work.
#[derive(Debug)]
pub(super) enum Sampler {
    /// Ids that hash below this are in.
    Below(u64),
    All,
    Paced(Pace),
}

/// Lets one exchange through every `interval`, and after a pause a tenth of a second's worth at
/// once (the generic cell rate algorithm).
#[derive(Debug)]
pub(super) struct Pace {
    base: Instant,
    interval: u64,
    burst: u64,
    /// Nanoseconds from `base` at which the next exchange is due.
    due: AtomicU64,
}

// === impl Exclude ===

impl Exclude {
    /// Leaves out exchanges whose request has this header with a value that begins so.
    ///
    /// # Errors
    ///
    /// If `header` cannot be a header's name.
    pub fn new(header: &str, prefix: &str) -> Result<Self, Error> {
        let name = HeaderName::from_bytes(header.as_bytes()).map_err(|_| Error::Header {
            value: header.to_owned(),
        })?;
        let prefix = prefix.into();
        Ok(Self(Rule::Header { name, prefix }))
    }

    /// Leaves out exchanges whose path is `prefix` or lies below it: `/healthz` leaves out
    /// `/healthz` and `/healthz/db`, not `/healthzone`.
    ///
    /// # Errors
    ///
    /// If `prefix` does not begin with `/`.
    pub fn path(prefix: &str) -> Result<Self, Error> {
        if !prefix.starts_with('/') {
            let value = prefix.to_owned();
            return Err(Error::Path { value });
        }
        Ok(Self(Rule::Path(prefix.into())))
    }

    /// Whether a request for `path` with these headers is left out.
    pub(super) fn matches(&self, path: &str, headers: &HeaderMap) -> bool {
        match &self.0 {
            Rule::Header { name, prefix } => {
                let mut lines = headers.get_all(name).iter();
                lines.any(|line| line.as_bytes().starts_with(prefix.as_bytes()))
            }
            Rule::Path(prefix) => path
                .strip_prefix(prefix.trim_end_matches('/'))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }
}

/// As it stands in the configuration file.
impl fmt::Display for Exclude {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // TOML's basic strings escape as Rust's do, as far as visible characters go.
        match &self.0 {
            Rule::Header { name, prefix } => {
                write!(f, "{{ header = {:?}, prefix = {prefix:?} }}", name.as_str())
            }
            Rule::Path(prefix) => write!(f, "{{ path = {prefix:?} }}"),
        }
    }
}

// === impl Sample ===

impl Sample {
    /// Everything.
    pub const ALL: Self = Self::Share(1.0);

    /// Reads a share from 0 to 1, or a whole number a second: `0.1`, `200/s`.
    ///
    /// # Errors
    ///
    /// If `value` is neither.
    pub fn parse(value: &str) -> Result<Self, Error> {
        let parsed = match value.trim().strip_suffix("/s") {
            Some(rate) => rate.trim().parse().ok().map(Self::PerSecond),
            None => value.trim().parse().ok().map(Self::Share),
        };
        parsed
            .filter(|sample| match sample {
                Self::Share(share) => (0.0..=1.0).contains(share),
                Self::PerSecond(rate) => *rate > 0,
            })
            .ok_or_else(|| Error::Sample {
                value: value.to_owned(),
            })
    }
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Share(share) => share.fmt(f),
            Self::PerSecond(rate) => write!(f, "{rate}/s"),
        }
    }
}

// === impl Sampler ===

impl Sampler {
    pub(super) fn new(sample: Sample) -> Self {
        match sample {
            Sample::Share(share) if share >= 1.0 => Self::All,
            // Both casts saturate: a share of 0 or less, and NaN, let nothing in.
            Sample::Share(share) => Self::Below((share * u64::MAX as f64) as u64),
            Sample::PerSecond(rate) => Self::Paced(Pace::new(rate)),
        }
    }

    /// Whether the exchange with this request id is tapped.
    pub(super) fn admits(&self, request_id: &[u8]) -> bool {
        match self {
            Self::All => true,
            Self::Below(limit) => hash(request_id) < *limit,
            Self::Paced(pace) => pace.admits(pace.base.elapsed()),
        }
    }
}

// === impl Pace ===

impl Pace {
    fn new(rate: u32) -> Self {
        let interval = 1_000_000_000 / u64::from(rate.max(1));
        Self {
            base: Instant::now(),
            interval,
            burst: interval.max(100_000_000),
            due: AtomicU64::new(0),
        }
    }

    fn admits(&self, since_base: Duration) -> bool {
        let now = u64::try_from(since_base.as_nanos()).unwrap_or(u64::MAX);
        let next = |due: u64| {
            let due = due.max(now);
            let next = due.saturating_add(self.interval);
            (next <= now.saturating_add(self.burst)).then_some(next)
        };
        self.due
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, next)
            .is_ok()
    }
}

/// FNV-1a, then splitmix64's finalizer: FNV alone leaves the high bits of similar ids alike.
fn hash(bytes: &[u8]) -> u64 {
    let fnv = bytes.iter().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3)
    });
    mix(fnv)
}

/// The finalizer of splitmix64 (Steele, Lea and Flood 2014): a bijection that spreads every bit.
pub(super) fn mix(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_share_is_stable_and_of_its_size() {
        let sampler = Sampler::new(Sample::parse("0.25").unwrap());
        let admitted = |id: u32| sampler.admits(format!("request-{id}").as_bytes());
        let count = (0..40_000).filter(|id| admitted(*id)).count();
        assert!((9_500..10_500).contains(&count), "{count} of 40000");
        assert!((0..100).all(|id| admitted(id) == admitted(id)));
    }

    #[test]
    fn the_ends_of_the_scale_are_all_and_nothing() {
        let count = |text| {
            let sampler = Sampler::new(Sample::parse(text).unwrap());
            (0..1000_u32)
                .filter(|id| sampler.admits(&id.to_be_bytes()))
                .count()
        };
        assert_eq!(count("1"), 1000);
        assert_eq!(count("0"), 0);
    }

    #[test]
    fn a_rate_holds_over_time_whatever_comes_at_once() {
        let pace = Pace::new(200);
        let at = |millis| pace.admits(Duration::from_millis(millis));
        let burst = (0..1000).filter(|_| at(0)).count();
        assert_eq!(burst, 20, "a tenth of a second's worth");
        let later: usize = (1..=1000).map(|ms| (0..5).filter(|_| at(ms)).count()).sum();
        assert!((199..=201).contains(&later), "{later}");
    }

    #[test]
    fn refuses_what_is_no_sample() {
        for bad in ["", "1.5", "-1", "NaN", "0/s", "1.5/s", "fast", "200/m"] {
            assert!(Sample::parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn excludes_by_prefix_on_any_line() {
        let exclude = Exclude::new("User-Agent", "kube-probe").unwrap();
        let mut headers = HeaderMap::new();
        headers.append("user-agent", "curl/8".parse().unwrap());
        assert!(!exclude.matches("/", &headers));
        headers.append("user-agent", "kube-probe/1.31".parse().unwrap());
        assert!(exclude.matches("/", &headers));
        assert!(Exclude::new("user agent", "").is_err());
    }

    #[test]
    fn excludes_by_path_in_whole_segments() {
        let none = HeaderMap::new();
        let exclude = Exclude::path("/healthz").unwrap();
        for (path, out) in [
            ("/healthz", true),
            ("/healthz/db", true),
            ("/healthzone", false),
            ("/predict/healthz", false),
        ] {
            assert_eq!(exclude.matches(path, &none), out, "{path}");
        }
        assert!(Exclude::path("/v1/").unwrap().matches("/v1/x", &none));
        assert!(Exclude::path("/").unwrap().matches("/v1/x", &none));
        assert!(Exclude::path("healthz").is_err());
    }

    /// What a share decides is part of the contract: a request that is retried, at another replica or
    /// after a restart, fares as it did before.
    #[test]
    fn a_request_id_fares_the_same_in_every_process_and_version() {
        // FNV-1a and splitmix64's finalizer written out in Python:
        // M = 2**64 - 1
        // def h(s):
        //     x = 0xcbf29ce484222325
        //     for b in s.encode(): x = (x ^ b) * 0x100000001b3 & M
        //     x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9 & M
        //     x = (x ^ x >> 27) * 0x94d049bb133111eb & M
        //     return x ^ x >> 31
        // hex(h("request-1")), hex(h("018bcfe5-687b-7000-8000-000000000000")), hex(h(""))
        for (id, expected) in [
            ("request-1", 0x611a_2dc6_b4f2_ee72),
            (
                "018bcfe5-687b-7000-8000-000000000000",
                0x0d4a_412c_9883_85d1,
            ),
            ("", 0xf52a_15e9_a9b5_e89b),
        ] {
            assert_eq!(hash(id.as_bytes()), expected, "{id}");
        }
        // sum(h(f"request-{i}") < 2**62 for i in range(1000))
        let sampler = Sampler::new(Sample::Share(0.25));
        let admitted = (0..1000).filter(|i| sampler.admits(format!("request-{i}").as_bytes()));
        assert_eq!(admitted.count(), 233);
    }
}
