//! What deliveries are signed with: HMAC-SHA256 (RFC 2104) as the Standard Webhooks specification uses
//! it.

use std::fmt;
use std::path::PathBuf;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;

/// What the specification puts in front of a key in base64.
const PREFIX: &str = "whsec_";

/// Shorter ones can be guessed from one delivery.
const SHORTEST: usize = 16;

/// The specification's longest is 64 bytes; there is no use for more than a page of text.
const LONGEST: usize = 1024;

/// The key of the signatures; never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<[u8]>);

/// Where the secret comes from.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum SecretSource {
    /// None: deliveries are not signed.
    #[default]
    None,
    /// The configuration itself.
    Given(Secret),
    /// A file, such as a mounted secret, read for each delivery: a new one holds from the next on.
    File(PathBuf),
}

// === impl Secret ===

impl Secret {
    /// Accepts `whsec_` and a key in base64, as the specification writes secrets, or else any text,
    /// whose bytes are the key. Spaces and line ends around it are left out, as editors add them.
    ///
    /// # Errors
    /// What is wrong with it, without saying what it is.
    pub fn parse(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let key = match text.strip_prefix(PREFIX) {
            Some(coded) => STANDARD
                .decode(coded)
                .map_err(|_| format!("what follows {PREFIX} is not base64"))?,
            None => text.as_bytes().to_vec(),
        };
        if key.len() < SHORTEST || key.len() > LONGEST {
            return Err(format!(
                "a secret of {} bytes; write one of {SHORTEST} to {LONGEST}, such as `echo {PREFIX}$(openssl rand -base64 32)` gives",
                key.len()
            ));
        }
        Ok(Self(key.into()))
    }

    /// The value of `webhook-signature` for a delivery of `body` with this id at this time, in seconds
    /// since the epoch.
    #[must_use]
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let mut mac = Hmac::<Sha256>::new_from_slice(&self.0)
            .expect("HMAC takes keys of any length (RFC 2104)");
        mac.update(format!("{id}.{seconds}.").as_bytes());
        mac.update(body);
        format!("v1,{}", STANDARD.encode(mac.finalize().into_bytes()))
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(***)")
    }
}

// === impl SecretSource ===

impl SecretSource {
    /// The secret, read from its file where it is in one.
    ///
    /// # Errors
    /// The file cannot be read or holds no secret.
    pub fn read(&self) -> Result<Option<Secret>, String> {
        match self {
            Self::None => Ok(None),
            Self::Given(secret) => Ok(Some(secret.clone())),
            Self::File(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|error| format!("cannot read {}: {error}", path.display()))?;
                let secret = Secret::parse(&text);
                secret
                    .map(Some)
                    .map_err(|what| format!("{} holds {what}", path.display()))
            }
        }
    }
}
