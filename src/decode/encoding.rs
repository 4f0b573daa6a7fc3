//! Content encodings, undone: gzip, deflate, br and zstd, alone or one upon the other.
//!
//! Whatever a body claims, each of its encodings is undone into one buffer that never grows beyond
//! the cap by more than a block, and the decoders' own tables and windows are bounded: 32 KiB for
//! deflate, 16 MiB for br (RFC 7932; its "large window" extension is refused), 8 MiB for zstd
//! (RFC 9659).

use std::borrow::Cow;
use std::io::{ErrorKind, Read};

use brotli_decompressor::{BrotliDecompressStream, BrotliResult, BrotliState, StandardAlloc};
use flate2::read::MultiGzDecoder;
use flate2::{Decompress, FlushDecompress, Status};

use super::fault::Fault;

/// Encodings upon one another at most: no client sends more than two.
const MOST: usize = 3;

/// What the output grows by.
const BLOCK: usize = 16 * 1024;

/// The largest zstd window read, as a power of two: what RFC 9659 lets an HTTP sender use.
const ZSTD_WINDOW_LOG: u32 = 23;

/// `bytes` as they were before the encodings in `header`, a `content-encoding` in lower case, were
/// applied; each step may take `max` bytes.
pub(super) fn undo<'a>(bytes: &'a [u8], header: &str, max: usize) -> Result<Cow<'a, [u8]>, Fault> {
    if header.is_empty() {
        return Ok(Cow::Borrowed(bytes));
    }
    let names = header.split(',').map(str::trim);
    let names: Vec<&str> = names
        .filter(|name| !name.is_empty() && *name != "identity")
        .collect();
    if names.len() > MOST {
        return Err(Fault::Encodings {
            count: names.len(),
            most: MOST,
        });
    }
    // An unknown one is named before any work is done, wherever it stands.
    let known = names.iter().map(|name| Encoding::named(name));
    let encodings: Vec<Encoding> = known.collect::<Result<_, _>>()?;
    let mut plain = Cow::Borrowed(bytes);
    // Applied in the order listed (RFC 9110, 8.4), so undone from the last one on.
    for encoding in encodings.into_iter().rev() {
        // No body at all, as of an answer to HEAD.
        if plain.is_empty() {
            break;
        }
        plain = Cow::Owned(encoding.undo(&plain, max)?);
    }
    Ok(plain)
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Gzip,
    Deflate,
    Brotli,
    Zstd,
}

/// How far a decoder came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    /// There is more.
    More,
    /// The end, as the encoding itself marks it.
    End,
}

// === impl Encoding ===

impl Encoding {
    fn named(name: &str) -> Result<Self, Fault> {
        match name {
            "gzip" | "x-gzip" => Ok(Self::Gzip),
            "deflate" => Ok(Self::Deflate),
            "br" => Ok(Self::Brotli),
            "zstd" => Ok(Self::Zstd),
            other => Err(Fault::Encoding {
                encoding: other.chars().take(40).collect(),
            }),
        }
    }

    const fn as_str(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Deflate => "deflate",
            Self::Brotli => "br",
            Self::Zstd => "zstd",
        }
    }

    fn undo(self, bytes: &[u8], max: usize) -> Result<Vec<u8>, Fault> {
        let plain = match self {
            Self::Gzip => read(MultiGzDecoder::new(bytes), max),
            Self::Deflate => deflate(bytes, max),
            Self::Brotli => brotli(bytes, max),
            Self::Zstd => zstd(bytes, max),
        };
        let plain = plain.map_err(|what| Fault::Compressed {
            encoding: self.as_str(),
            what,
        })?;
        if plain.len() > max {
            return Err(Fault::Inflated { max });
        }
        Ok(plain)
    }
}

/// What `decoder` gives, read no further than one block past `max`.
fn read(mut decoder: impl Read, max: usize) -> Result<Vec<u8>, String> {
    let mut block = vec![0; BLOCK];
    grow(max, |plain| match decoder.read(&mut block) {
        Ok(0) => Ok(Step::End),
        Ok(count) => {
            plain.extend_from_slice(&block[..count]);
            Ok(Step::More)
        }
        Err(error) if error.kind() == ErrorKind::Interrupted => Ok(Step::More),
        Err(error) => Err(error.to_string()),
    })
}

/// RFC 9110 means zlib's format by the name; some clients send bare deflate, and browsers read both.
fn deflate(bytes: &[u8], max: usize) -> Result<Vec<u8>, String> {
    let zlib = match bytes {
        [first, second, ..] => {
            let header = u16::from_be_bytes([*first, *second]);
            first & 0x0f == 8 && header.is_multiple_of(31)
        }
        _ => false,
    };
    if zlib {
        // The two bytes may begin bare deflate by chance.
        inflate(bytes, true, max).or_else(|why| inflate(bytes, false, max).map_err(|_| why))
    } else {
        inflate(bytes, false, max)
    }
}

fn inflate(bytes: &[u8], zlib: bool, max: usize) -> Result<Vec<u8>, String> {
    let mut decoder = Decompress::new(zlib);
    // flate2's reader takes the end of the input for the end of the stream; its decoder knows.
    grow(max, |plain| {
        let (taken, given) = (decoder.total_in(), plain.len());
        let rest = bytes
            .get(usize::try_from(taken).unwrap_or(usize::MAX)..)
            .unwrap_or_default();
        let status = decoder
            .decompress_vec(rest, plain, FlushDecompress::None)
            .map_err(|error| error.to_string())?;
        match status {
            Status::StreamEnd => Ok(Step::End),
            _ if decoder.total_in() == taken && plain.len() == given => Err(cut()),
            _ => Ok(Step::More),
        }
    })
}

fn brotli(bytes: &[u8], max: usize) -> Result<Vec<u8>, String> {
    let alloc = StandardAlloc::default;
    let mut state = BrotliState::new_strict(alloc(), alloc(), alloc());
    let (mut left, mut at, mut total) = (bytes.len(), 0, 0);
    let mut block = vec![0; BLOCK];
    grow(max, |plain| {
        let (mut room, mut written) = (block.len(), 0);
        let result = BrotliDecompressStream(
            &mut left,
            &mut at,
            bytes,
            &mut room,
            &mut written,
            &mut block,
            &mut total,
            &mut state,
        );
        plain.extend_from_slice(&block[..written]);
        match result {
            BrotliResult::ResultSuccess => Ok(Step::End),
            BrotliResult::NeedsMoreOutput => Ok(Step::More),
            BrotliResult::NeedsMoreInput => Err(cut()),
            BrotliResult::ResultFailure => Err("the data are damaged".to_owned()),
        }
    })
}

fn zstd(bytes: &[u8], max: usize) -> Result<Vec<u8>, String> {
    let decoder = zstd::stream::read::Decoder::with_buffer(bytes);
    let mut decoder = decoder.map_err(|error| error.to_string())?;
    let limited = decoder.window_log_max(ZSTD_WINDOW_LOG);
    limited.map_err(|error| error.to_string())?;
    read(decoder, max)
}

/// Lets `step` add to a buffer, no more than a block at a time, until it ends or the buffer is over
/// `max`. The buffer doubles as it grows, and never has room for more than `max` and a block.
fn grow(
    max: usize,
    mut step: impl FnMut(&mut Vec<u8>) -> Result<Step, String>,
) -> Result<Vec<u8>, String> {
    let mut plain = Vec::new();
    loop {
        if plain.capacity() - plain.len() < BLOCK {
            let most = max.saturating_add(BLOCK);
            let wanted = (2 * plain.capacity()).max(plain.len() + BLOCK).min(most);
            plain.reserve_exact(wanted - plain.len());
        }
        if step(&mut plain)? == Step::End || plain.len() > max {
            return Ok(plain);
        }
    }
}

fn cut() -> String {
    "the data break off before their end".to_owned()
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{GzEncoder, ZlibEncoder};

    use super::*;

    #[test]
    fn neither_length_nor_room_goes_beyond_the_cap_by_more_than_a_block() {
        let zeros = vec![0; 10_000_000];
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&zeros).unwrap();
        let gzip = gzip.finish().unwrap();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(&zeros).unwrap();
        let zlib = zlib.finish().unwrap();
        let zstd_bytes = zstd::bulk::compress(&zeros, 3).unwrap();
        // Above a power of two: doubling alone would make nearly twice as much room.
        for max in [1, 70_000, (1 << 20) + 1] {
            for (name, plain) in [
                ("gzip", read(MultiGzDecoder::new(&gzip[..]), max)),
                ("deflate", deflate(&zlib, max)),
                ("zstd", zstd(&zstd_bytes, max)),
            ] {
                let plain = plain.unwrap();
                assert!(plain.len() > max, "{name}: it was cut");
                let most = max + BLOCK;
                assert!(plain.capacity() <= most, "{name}: {}", plain.capacity());
            }
        }
    }
}
