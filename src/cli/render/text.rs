//! Text from files, made harmless where it is printed: names of columns and values can hold anything.

/// Text on a terminal: what would move the cursor, colour, or turn the writing is spelt out.
pub(in crate::cli) fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_control() || is_bidi(c) {
            plain.extend(c.escape_default());
        } else {
            plain.push(c);
        }
    }
    plain
}

/// Text in a Markdown paragraph or cell, as GitHub reads it: no markup, no HTML, no mention.
pub(super) fn markdown(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in plain(text).chars() {
        match c {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            // A zero-width space keeps a name from calling people.
            '@' => written.push_str("@\u{200b}"),
            '\\' | '`' | '*' | '_' | '[' | ']' | '|' | '#' | '~' | '!' | '$' => {
                written.extend(['\\', c]);
            }
            _ => written.push(c),
        }
    }
    written
}

/// Text in HTML, in element content or a quoted attribute.
pub(super) fn html(text: &str) -> String {
    let mut written = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => written.push_str("&amp;"),
            '<' => written.push_str("&lt;"),
            '>' => written.push_str("&gt;"),
            '"' => written.push_str("&quot;"),
            '\'' => written.push_str("&#39;"),
            '\t' | '\n' => written.push(c),
            c if c.is_control() => written.push('\u{fffd}'),
            c => written.push(c),
        }
    }
    written
}

/// Characters that turn the direction of writing, by which a name can seem to be another.
const fn is_bidi(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{200e}' | '\u{200f}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn terminals_are_not_steered() {
        assert_eq!(plain("a\u{1b}[31mb\nc"), "a\\u{1b}[31mb\\nc");
        assert_eq!(plain("a\u{202e}b größe"), "a\\u{202e}b größe");
    }

    #[test]
    fn markdown_is_text() {
        assert_eq!(
            markdown("<script>|a_b|*c* `d` @all\n# e"),
            "&lt;script&gt;\\|a\\_b\\|\\*c\\* \\`d\\` @\u{200b}all\\\\n\\# e"
        );
    }

    #[test]
    fn html_is_text() {
        assert_eq!(
            html("<a b='c'>&\"\0"),
            "&lt;a b=&#39;c&#39;&gt;&amp;&quot;\u{fffd}"
        );
    }
}
