//! How problems speak of names: as TOML, in lists, and with a guess at what was meant.

/// What a column without a name is called, as pandas does. `position` counts from 0.
pub(super) fn unnamed(position: usize) -> String {
    format!("Unnamed: {position}")
}

/// `name = "word"` as TOML.
pub(super) fn toml(name: &str, word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(plain) {
        format!("{name} = \"{word}\"")
    } else {
        format!("{name:?} = \"{word}\"")
    }
}

/// `; did you mean "x"?`, where one of `names` is close to `name`.
pub(super) fn suggestion<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> String {
    nearest(name, names).map_or_else(String::new, |near| format!("; did you mean {near:?}?"))
}

/// The one of `names` that `name` most likely means.
pub(super) fn nearest<'a>(name: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    const ALIKE: f64 = 0.85;
    let name = name.to_lowercase();
    let alike = |other: &str| strsim::jaro_winkler(&name, &other.to_lowercase());
    let scored = names.into_iter().map(|other| (alike(other), other));
    let best = scored.max_by(|a, b| a.0.total_cmp(&b.0));
    best.filter(|(alike, _)| *alike >= ALIKE)
        .map(|(_, other)| other)
}

/// Names for a message: the first ones, then how many more there are.
pub(super) fn list<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    const LISTED: usize = 30;
    let names: Vec<&str> = names.into_iter().collect();
    let more = names.len().saturating_sub(LISTED);
    let listed = names[..names.len() - more].join(", ");
    if more == 0 {
        listed
    } else {
        format!("{listed}, … ({} in all)", names.len())
    }
}
