//! Where a receiver is.

use std::fmt;

use hyper::Uri;

/// The address of a receiver. Its path and query are never shown: they often hold a secret.
#[derive(Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// `http://host:port` or `https://host:port`.
    origin: String,
    /// `host` or `host:port`, as it was written.
    authority: String,
    /// Path and query.
    path: String,
}

// === impl Endpoint ===

impl Endpoint {
    /// Reads `http://host/path` or `https://host/path`.
    ///
    /// # Errors
    /// What is wrong with it, without repeating it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let scheme = match text.split_once("://") {
            Some((scheme @ ("http" | "https"), _)) => scheme,
            _ => return Err("it has no http:// or https:// in front".to_owned()),
        };
        let uri: Uri = text.parse().map_err(|_| "it is not an URL")?;
        let authority = uri.authority().map_or("", |authority| authority.as_str());
        if authority.contains('@') {
            return Err("credentials cannot be given in front of the host".to_owned());
        }
        let path = uri.path_and_query().map_or("/", |path| path.as_str());
        Ok(Self {
            origin: format!("{scheme}://{authority}"),
            authority: authority.to_owned(),
            path: path.to_owned(),
        })
    }

    /// Scheme, host and port.
    #[must_use]
    pub fn origin(&self) -> &str {
        &self.origin
    }

    /// Whether it is reached with TLS.
    #[must_use]
    pub fn has_tls(&self) -> bool {
        self.origin.starts_with("https:")
    }

    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.origin)?;
        f.write_str(if self.path == "/" { "/" } else { "/***" })
    }
}

impl fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Endpoint({self})")
    }
}
