//! The token: what a request that changes something must show.

use std::fmt;
use std::path::PathBuf;

use sha2::{Digest, Sha256};

/// Shorter ones can be guessed.
const SHORTEST: usize = 8;

/// Longer ones do not fit a header beside others.
const LONGEST: usize = 1024;

/// A secret; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Token(Box<str>);

/// Where the token comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum TokenSource {
    /// None: nothing can be changed over the admin listener.
    #[default]
    None,
    /// The configuration itself.
    Given(Token),
    /// A file, such as a mounted secret, read at the start and on every reload.
    File(PathBuf),
}

// === impl Token ===

impl Token {
    /// Accepts what a header can carry and nobody guesses; spaces and line ends around it are left
    /// out, as editors add them.
    ///
    /// # Errors
    /// What is wrong with it, without saying what it is.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        if text.len() < SHORTEST || text.len() > LONGEST {
            let length = text.len();
            return Err(format!(
                "a token of {length} characters; write one of {SHORTEST} to {LONGEST}, such as `openssl rand -hex 32` gives"
            ));
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("a token holds letters, digits and signs of ASCII only, no spaces; write one such as `openssl rand -hex 32` gives".to_owned());
        }
        Ok(Self(text.into()))
    }

    /// The secret itself, to be sent.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether `shown` is this token. Takes the same time whatever it is: hashes are compared, all of
    /// them, so that time tells nothing of the token, not even its length.
    #[must_use]
    pub fn is(&self, shown: &[u8]) -> bool {
        let ours = Sha256::digest(self.0.as_bytes());
        let theirs = Sha256::digest(shown);
        let differing = ours
            .iter()
            .zip(&theirs)
            .fold(0, |sum, (a, b)| sum | (a ^ b));
        std::hint::black_box(differing) == 0
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token(***)")
    }
}

// === impl TokenSource ===

impl TokenSource {
    /// The token, read from its file where it is in one.
    ///
    /// # Errors
    /// The file cannot be read or holds no token.
    pub fn read(&self) -> Result<Option<Token>, String> {
        match self {
            Self::None => Ok(None),
            Self::Given(token) => Ok(Some(token.clone())),
            Self::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
                let token = Token::parse(&text);
                token
                    .map(Some)
                    .map_err(|what| format!("{} holds {what}", path.display()))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_itself_and_nothing_else_and_never_shown() {
        let token = Token::parse(" 0123456789abcdef\n").unwrap();
        assert!(token.is(b"0123456789abcdef"));
        let others: [&[u8]; 5] = [
            b"",
            b"0123456789abcdeF",
            b"0123456789abcde",
            b"0123456789abcdef ",
            &[0xff; 16],
        ];
        for other in others {
            assert!(!token.is(other), "{other:?}");
        }
        let source = TokenSource::Given(token);
        assert_eq!(format!("{source:?}"), "Given(Token(***))");
    }

    #[test]
    fn what_is_no_token_is_refused_without_being_repeated() {
        for bad in [
            "",
            "short",
            "with a space in it",
            "größe-größe",
            &"x".repeat(2000),
        ] {
            let said = Token::parse(bad).unwrap_err();
            assert!(bad.is_empty() || !said.contains(bad), "{said}");
        }
    }

    #[test]
    fn a_file_is_read_anew_each_time() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("token");
        let source = TokenSource::File(path.clone());
        assert!(source.read().unwrap_err().contains("cannot read"));
        for token in ["first-token", "second-token"] {
            std::fs::write(&path, format!("{token}\n")).unwrap();
            assert!(source.read().unwrap().unwrap().is(token.as_bytes()));
        }
    }
}
