//! The table `[tap]`: what is captured of which exchanges, and how much of it is held.

use super::section::Section;
use crate::proxy::{Exclude, HeaderList, Sample, TapConfig};

/// Larger than nearly every prediction request; what is longer passes all the same.
const DEFAULT_MAX_BODY: u64 = 1 << 20;
const DEFAULT_QUEUE: u64 = 32 << 20;

/// What the table says.
#[derive(Debug)]
pub(super) struct Tap {
    pub(super) limits: TapConfig,
    pub(super) exclude: Vec<Exclude>,
    pub(super) headers: HeaderList,
    pub(super) sample: Sample,
}

pub(super) fn read(mut section: Section<'_>) -> Tap {
    let bytes = |given: Option<u64>, default| {
        usize::try_from(given.unwrap_or(default)).unwrap_or(usize::MAX)
    };
    let max_body = bytes(section.bytes("max_body"), DEFAULT_MAX_BODY);
    let queue = bytes(section.bytes("queue"), DEFAULT_QUEUE);
    if queue < 2 * max_body {
        let message = format!(
            "the queue must hold both bodies of an exchange: write at least {} or lower tap.max_body",
            bytesize::ByteSize(2 * max_body as u64).display().iec()
        );
        section.lacks("queue", message);
    }
    let right = "a share between 0 and 1 such as 0.1, or a rate such as \"200/s\"";
    let sample = section.parse("sample", right, |text| {
        Sample::parse(text).map_err(|_| String::new())
    });
    let headers = headers(&mut section);
    let exclude = exclude(&mut section);
    section.finish();
    Tap {
        limits: TapConfig { max_body, queue },
        exclude,
        headers,
        sample: sample.unwrap_or(Sample::ALL),
    }
}

fn headers(section: &mut Section<'_>) -> HeaderList {
    let names = section.strings("headers").unwrap_or_default();
    match HeaderList::new(names.iter().map(String::as_str)) {
        Ok(list) => list,
        Err(error) => {
            section.lacks("headers", error.to_string());
            HeaderList::default()
        }
    }
}

fn exclude(section: &mut Section<'_>) -> Vec<Exclude> {
    let mut rules = Vec::new();
    for mut item in section.sections("exclude") {
        let given = (
            item.string("header"),
            item.string("prefix"),
            item.string("path"),
        );
        match given {
            (Some(header), Some(prefix), None) => match Exclude::new(&header, &prefix) {
                Ok(rule) => rules.push(rule),
                Err(error) => item.lacks("header", error.to_string()),
            },
            (None, None, Some(path)) => match Exclude::path(&path) {
                Ok(rule) => rules.push(rule),
                Err(error) => item.lacks("path", error.to_string()),
            },
            _ => item.lacks(
                "",
                "write { header = \"user-agent\", prefix = \"kube-probe\" } or { path = \"/healthz\" }"
                    .to_owned(),
            ),
        }
        item.finish();
    }
    rules
}
