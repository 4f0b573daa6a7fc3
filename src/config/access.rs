//! How a running driftd is reached and what it takes to change something in it.

use std::net::SocketAddr;
use std::path::Path;

use config::{Value, ValueKind};

use crate::admin::{Token, TokenSource};

use super::section::{Collector, Section};
use super::{DEFAULT_ADMIN, DEFAULT_FILE, Given, Problems, resolve, sources};

/// What a command needs to ask a running driftd.
#[derive(Debug, Clone)]
pub struct Access {
    /// Its admin address.
    pub admin: SocketAddr,
    /// Its token.
    pub token: TokenSource,
}

/// The admin address and token alone, for whoever only wants to ask a running driftd: the rest of
/// the configuration need not be at hand.
///
/// # Errors
/// What is wrong with them, or with the file as a whole.
pub fn admin_access(
    file: Option<&Path>,
    environment: impl Iterator<Item = (String, String)>,
) -> Result<Access, Problems> {
    let default = Path::new(DEFAULT_FILE);
    let file = file.or_else(|| default.exists().then_some(default));
    let merged = sources::merge(file, environment, Given::default())?;
    let base = file.and_then(Path::parent).unwrap_or(Path::new(""));
    let problems = Collector::default();
    let mut top = Section::new("", merged.value, &problems);
    let given = top.address("admin");
    let token = token(&mut top, base);
    let found = problems.into_vec();
    match given.or_else(|| DEFAULT_ADMIN.parse().ok()) {
        Some(admin) if found.is_empty() => Ok(Access { admin, token }),
        _ => Err(Problems(found)),
    }
}

/// `admin_token` or `admin_token_file`. No problem repeats the token.
pub(super) fn token(top: &mut Section<'_>, base: &Path) -> TokenSource {
    let text = |value: &Value| match &value.kind {
        ValueKind::String(text) => Some(text.clone()),
        _ => None,
    };
    let token = top.take("admin_token");
    let file = top.take("admin_token_file");
    if let (Some(value), Some(_)) = (&token, &file) {
        let message = "give either admin_token or admin_token_file".to_owned();
        top.problem("admin_token", value, "\"***\"".to_owned(), message);
        return TokenSource::None;
    }
    if let Some(value) = token {
        let token = text(&value).ok_or_else(|| "write a string".to_owned());
        match token.and_then(|text| Token::parse(&text)) {
            Ok(token) => return TokenSource::Given(token),
            Err(message) => top.problem("admin_token", &value, "\"***\"".to_owned(), message),
        }
    }
    if let Some(value) = file {
        match text(&value).filter(|path| !path.trim().is_empty()) {
            Some(path) => return TokenSource::File(resolve(base, &value, &path)),
            None => {
                let message = "write the path of a file that holds the token".to_owned();
                top.problem("admin_token_file", &value, value.to_string(), message);
            }
        }
    }
    TokenSource::None
}
