//! Who is told of changes: `[webhook]`, or one `[[webhook]]` for each receiver.

use std::path::{Path, PathBuf};

use config::Value;

use super::resolve;
use super::section::{HIDDEN, Section};
use crate::drift::report::Level;
use crate::proxy::Upstream;
use crate::push::{
    Config, DEFAULT_QUEUE, DEFAULT_RETRY_FOR, DEFAULT_TIMEOUT, Endpoint, Format, Secret,
    SecretSource,
};

/// Longest name of a receiver; it is a label's value.
const LONGEST_NAME: usize = 64;

/// What an address looks like.
const URL: &str = "write \"https://host/path\" or \"http://host/path\"";

/// Reads every receiver.
pub(super) fn read(top: &mut Section<'_>, base: &Path) -> Vec<Config> {
    if !top.has("webhook") {
        // Asked for all the same, so that it is known as a key.
        top.section("webhook").finish();
        return Vec::new();
    }
    let mut receivers: Vec<Config> = Vec::new();
    for mut section in top.secret_sections("webhook") {
        if let Some(receiver) = receiver(&mut section, base) {
            if receivers.iter().any(|known| known.name == receiver.name) {
                let message = format!(
                    "two webhooks are named {}; write a name of its own for each",
                    receiver.name
                );
                section.lacks("name", message);
            }
            receivers.push(receiver);
        }
        section.finish();
    }
    receivers
}

fn receiver(section: &mut Section<'_>, base: &Path) -> Option<Config> {
    let right = format!("letters, digits, _, - and . (at most {LONGEST_NAME})");
    let name = section.parse("name", &right, |text| {
        let fit = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
        let good = !text.is_empty() && text.len() <= LONGEST_NAME && text.chars().all(fit);
        good.then(|| text.to_owned()).ok_or_else(String::new)
    });
    let address = address(section, base);
    let secret = secret(section, base);
    let words: Vec<&str> = Format::ALL.iter().map(|format| format.as_str()).collect();
    let format = section.parse("format", &format!("one of: {}", words.join(", ")), |word| {
        let found = Format::ALL.into_iter().find(|f| f.as_str() == word);
        found.ok_or_else(String::new)
    });
    let levels = levels(section);
    let timeout = section.duration("timeout").unwrap_or(DEFAULT_TIMEOUT);
    let retry_for = section.duration("retry_for").unwrap_or(DEFAULT_RETRY_FOR);
    let queue = section.count("queue", 1);
    let queue = queue.and_then(|queue| usize::try_from(queue).ok());
    let ca = path(section, "ca", base, "the path of a PEM file");
    let (endpoint, url_file) = address?;
    Some(Config {
        name: name.unwrap_or_else(|| "default".to_owned()),
        endpoint,
        url_file,
        secret,
        format: format.unwrap_or_default(),
        levels,
        timeout,
        retry_for,
        queue: queue.unwrap_or(DEFAULT_QUEUE),
        ca,
    })
}

/// `url` or `url_file`. No problem repeats the address: it may be all a receiver asks for.
fn address(section: &mut Section<'_>, base: &Path) -> Option<(Endpoint, Option<PathBuf>)> {
    let url = section.take("url");
    let file = path(
        section,
        "url_file",
        base,
        "the path of a file that holds the address",
    );
    match (url, file) {
        (Some(value), None) => {
            let read = endpoint(&value.to_string());
            let refuse = |why| {
                let message = format!("{why}; {URL}");
                section.problem("url", &value, HIDDEN.to_owned(), message);
            };
            read.map_err(refuse).ok().map(|endpoint| (endpoint, None))
        }
        (None, Some(file)) => {
            let text = std::fs::read_to_string(&file).map_err(|error| error.to_string());
            let refuse = |why| {
                let message = format!("{}: {why}; {URL} into it", file.display());
                section.lacks("url_file", message);
            };
            let read = text.and_then(|text| endpoint(text.trim()));
            let endpoint = read.map_err(refuse).ok()?;
            Some((endpoint, Some(file)))
        }
        (Some(value), Some(_)) => {
            let message = "give either url or url_file".to_owned();
            section.problem("url", &value, HIDDEN.to_owned(), message);
            None
        }
        (None, None) => {
            section.lacks("url", format!("missing; {URL}"));
            None
        }
    }
}

/// An address that connections can be opened to.
pub(super) fn endpoint(text: &str) -> Result<Endpoint, String> {
    let endpoint = Endpoint::parse(text)?;
    match Upstream::parse(endpoint.origin()) {
        Ok(_) => Ok(endpoint),
        Err(crate::proxy::Error::Upstream { reason, .. }) => Err(reason.to_owned()),
        Err(_) => Err("it is not an URL".to_owned()),
    }
}

/// `secret` or `secret_file`, which must hold one now. No problem repeats it.
fn secret(section: &mut Section<'_>, base: &Path) -> SecretSource {
    let given = section.take("secret");
    let file = path(
        section,
        "secret_file",
        base,
        "the path of a file that holds the secret",
    );
    match (given, file) {
        (Some(value), Some(_)) => {
            let message = "give either secret or secret_file".to_owned();
            section.problem("secret", &value, HIDDEN.to_owned(), message);
            SecretSource::None
        }
        (Some(value), None) => match Secret::parse(&value.to_string()) {
            Ok(secret) => SecretSource::Given(secret),
            Err(message) => {
                section.problem("secret", &value, HIDDEN.to_owned(), message);
                SecretSource::None
            }
        },
        (None, Some(file)) => {
            let source = SecretSource::File(file);
            if let Err(message) = source.read() {
                section.lacks("secret_file", message);
            }
            source
        }
        (None, None) => SecretSource::None,
    }
}

fn path(section: &mut Section<'_>, key: &'static str, base: &Path, right: &str) -> Option<PathBuf> {
    let value: Value = section.take(key)?;
    let text = value.to_string();
    // An address in the place of a file is as secret as one in its own.
    if text.contains("://") {
        section.problem(key, &value, HIDDEN.to_owned(), format!("write {right}"));
        return None;
    }
    if text.trim().is_empty() {
        section.problem(key, &value, format!("{text:?}"), format!("write {right}"));
        return None;
    }
    Some(resolve(base, &value, &text))
}

/// The levels a receiver is told of, ascending.
fn levels(section: &mut Section<'_>) -> Vec<Level> {
    let all = [Level::Ok, Level::Warn, Level::Alert];
    let Some(words) = section.strings("on") else {
        return all.to_vec();
    };
    let known = |word: &String| all.iter().any(|level| level.as_str() == word);
    let alarming = words.iter().any(|word| word != "ok");
    if !words.iter().all(known) || !alarming {
        let message = format!(
            "[{}] is no list of levels to announce; write some of \"ok\", \"warn\" and \"alert\", and not \"ok\" alone",
            words.join(", ")
        );
        section.lacks("on", message);
    }
    let asked = |level: &Level| words.iter().any(|word| level.as_str() == word);
    all.into_iter().filter(asked).collect()
}
