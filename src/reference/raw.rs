//! One cell as a format gives it, and how a block of bytes holds it.

use std::io;

/// A value as it stands in a file. Only CSV leaves open what a text means.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Raw<'a> {
    /// No value, as `null` or an absent key says; CSV says it by the words for missing values.
    Null,
    /// A field of CSV: a number, a word or no value, whatever its column turns out to hold.
    Untyped(&'a str),
    /// A string of a format that tells strings from numbers.
    Text(&'a str),
    /// An exact number as decimal text, from such a format.
    Digits(&'a str),
    /// A binary floating point number; NaN is no value.
    Number(f64),
    /// A boolean of such a format.
    Bool(bool),
}

/// The low bits of the head of a cell; the rest of the head is a length or one of `OTHER`'s codes.
const UNTYPED: u64 = 0;
const TEXT: u64 = 1;
const DIGITS: u64 = 2;
const OTHER: u64 = 3;

/// Codes of heads that are no length: eight bytes of a number follow, or nothing.
const NUMBER: u64 = 0;
const FALSE: u64 = 1;
const TRUE: u64 = 2;
/// From here on the code counts cells without a value, in a row; one is `NULLS + 1`.
const NULLS: u64 = 3;

/// What a block holds at one place.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Entry<'a> {
    /// A cell with a value.
    Cell(Raw<'a>),
    /// So many cells without one.
    Nulls(u64),
}

/// Appends a cell with a value, or a single null.
pub(super) fn write(block: &mut Vec<u8>, raw: Raw<'_>) {
    match raw {
        Raw::Null => write_nulls(block, 1),
        Raw::Untyped(text) => write_untyped(block, text.as_bytes()),
        Raw::Text(text) => write_bytes(block, TEXT, text.as_bytes()),
        Raw::Digits(text) => write_bytes(block, DIGITS, text.as_bytes()),
        Raw::Number(number) => {
            head(block, NUMBER << 2 | OTHER);
            block.extend_from_slice(&number.to_le_bytes());
        }
        Raw::Bool(value) => head(block, if value { TRUE } else { FALSE } << 2 | OTHER),
    }
}

/// Appends [`Raw::Untyped`], whose text is known to be UTF-8.
pub(super) fn write_untyped(block: &mut Vec<u8>, text: &[u8]) {
    write_bytes(block, UNTYPED, text);
}

/// Appends `count` cells without a value.
pub(super) fn write_nulls(block: &mut Vec<u8>, count: u64) {
    head(block, (NULLS + count) << 2 | OTHER);
}

/// The entry at `at` of `block`, which moves behind it.
///
/// # Errors
///
/// `InvalidData` where the block holds what none of the writers above wrote.
pub(super) fn read<'a>(block: &'a [u8], at: &mut usize) -> io::Result<Entry<'a>> {
    let head = read_head(block, at)?;
    let rest = head >> 2;
    let tag = head & 3;
    if tag == OTHER {
        return Ok(match rest {
            NUMBER => {
                let bytes = take(block, at, 8)?;
                let bytes = <[u8; 8]>::try_from(bytes).map_err(|_| damaged())?;
                Entry::Cell(Raw::Number(f64::from_le_bytes(bytes)))
            }
            FALSE => Entry::Cell(Raw::Bool(false)),
            TRUE => Entry::Cell(Raw::Bool(true)),
            count => Entry::Nulls(count - NULLS),
        });
    }
    let length = usize::try_from(rest).map_err(|_| damaged())?;
    let text = std::str::from_utf8(take(block, at, length)?).map_err(|_| damaged())?;
    Ok(Entry::Cell(match tag {
        UNTYPED => Raw::Untyped(text),
        TEXT => Raw::Text(text),
        _ => Raw::Digits(text),
    }))
}

#[inline]
fn write_bytes(block: &mut Vec<u8>, tag: u64, bytes: &[u8]) {
    head(block, (bytes.len() as u64) << 2 | tag);
    block.extend_from_slice(bytes);
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
#[inline]
fn head(block: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        block.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    block.push(value as u8);
}

#[inline]
fn read_head(block: &[u8], at: &mut usize) -> io::Result<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let byte = *block.get(*at).ok_or_else(damaged)?;
        *at += 1;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(damaged())
}

#[inline]
fn take<'a>(block: &'a [u8], at: &mut usize, length: usize) -> io::Result<&'a [u8]> {
    let end = at.checked_add(length).ok_or_else(damaged)?;
    let bytes = block.get(*at..end).ok_or_else(damaged)?;
    *at = end;
    Ok(bytes)
}

fn damaged() -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, "a block of cells is damaged")
}

// === impl Raw ===

impl Raw<'_> {
    /// The value as a person would write it; empty where there is none.
    pub(super) fn show(&self) -> String {
        match self {
            Self::Null => String::new(),
            Self::Untyped(text) | Self::Text(text) | Self::Digits(text) => (*text).to_owned(),
            Self::Number(number) => format!("{number:?}"),
            Self::Bool(value) => value.to_string(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_cell_comes_back_as_it_was_written() {
        let long = "ä".repeat(100_000);
        let cells = [
            Raw::Untyped(""),
            Raw::Untyped("1.5"),
            Raw::Text(&long),
            Raw::Digits("12345678901234567890"),
            Raw::Number(-0.1),
            Raw::Bool(true),
            Raw::Bool(false),
        ];
        let mut block = Vec::new();
        for cell in cells {
            write(&mut block, cell);
        }
        write(&mut block, Raw::Null);
        write_nulls(&mut block, 1 << 40);
        let mut at = 0;
        for cell in cells {
            assert_eq!(read(&block, &mut at).unwrap(), Entry::Cell(cell));
        }
        assert_eq!(read(&block, &mut at).unwrap(), Entry::Nulls(1));
        assert_eq!(read(&block, &mut at).unwrap(), Entry::Nulls(1 << 40));
        assert_eq!(at, block.len());
    }

    #[test]
    fn a_damaged_block_is_an_error() {
        let head = |length: u8, tag: u64| (u64::from(length) << 2 | tag) as u8;
        for block in [
            &[][..],
            &[0x80],
            &[0xff; 12],
            &[head(3, TEXT), b'a', b'b'],
            &[head(1, UNTYPED), 0xff],
            &[head(0, OTHER), 1, 2, 3],
        ] {
            let error = read(block, &mut 0).unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "{block:?}");
        }
    }
}
