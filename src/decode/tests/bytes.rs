//! Bodies that are not what they should be: encodings, cuts, garbage.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};

use super::*;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(plain, 3).unwrap()
}

fn hex(digits: &str) -> Vec<u8> {
    let pairs = digits.as_bytes().chunks(2);
    let byte = |pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap();
    pairs.map(byte).collect()
}

/// Node 20.20.2: `zlib.brotliCompressSync(Buffer.from("[1, 2]"))`
const BROTLI: &str = "8b02805b312c20325d03";
/// Node 20.20.2: `zlib.brotliCompressSync(Buffer.from(" ".repeat(94) + "[1, 2]"))`
const BROTLI_100: &str = "1b6300f88d94ac639b1a2446664bb174952c8805022f2c0a";
/// Node 20.20.2: `zlib.brotliCompressSync(Buffer.alloc(50 << 20, 0x20), {params: {[zlib.constants.BROTLI_PARAM_LGWIN]: 22}})`
const BROTLI_BOMB: &str = concat!(
    "cbffff3ff82540e2b14020f7fe8fffff7ff04b00c4611180eefd1fffffffe0970088c30200ddfb3ffeffffc12f01",
    "10870500baf77ffcffff835f02200e0b0074effff8ffff07bf04401c1600e8deffe5ffff077e0980382c00d0bdff",
    "00"
);
/// Node 20.20.2: `zlib.brotliCompressSync(Buffer.from("[1, 2]"), {params:
/// {[zlib.constants.BROTLI_PARAM_LARGE_WINDOW]: 1, [zlib.constants.BROTLI_PARAM_LGWIN]: 30}})`
const BROTLI_LARGE_WINDOW: &str = "111e0a00025b312c20325d03";
/// Node 20.20.2: `zlib.brotliCompressSync(zlib.gzipSync(Buffer.from("[1, 2]")))`
const GZIP_THEN_BROTLI: &str = "8b0c801f8b08000000000000038b36d451308a0500ffe7c9610600000003";
/// Node 20.20.2: `zlib.deflateSync(Buffer.from("[1, 2]"))`
const ZLIB: &str = "789c8b36d451308a050004ee0168";
/// Node 20.20.2: `zlib.deflateRawSync(Buffer.from("[1, 2]"))`
const RAW: &str = "8b36d451308a0500";

fn encoded(encoding: &str, bytes: Vec<u8>) -> CapturedBody {
    CapturedBody {
        encoding: encoding.into(),
        ..captured(bytes)
    }
}

fn decode_body(request: CapturedBody, max_body: usize) -> Result<Decoded, String> {
    Decoder::new(&two())
        .exchange(&exchange(request, captured("[0]")), max_body)
        .map_err(|undecodable| undecodable.reason)
}

#[test]
fn every_encoding_is_read() {
    for (encoding, bytes) in [
        ("gzip", gzip(b"[1, 2]")),
        ("x-gzip", [gzip(b"[1, "), gzip(b"2]")].concat()),
        ("identity", b"[1, 2]".to_vec()),
        ("br", hex(BROTLI)),
        ("deflate", hex(ZLIB)),
        ("deflate", hex(RAW)),
        ("deflate", zlib(b"[1, 2]")),
        ("deflate", raw_deflate(b"[1, 2]")),
        ("zstd", zstd(b"[1, 2]")),
        ("zstd", [zstd(b"[1, "), zstd(b"2]")].concat()),
        ("gzip, br", hex(GZIP_THEN_BROTLI)),
        ("gzip, identity, br", hex(GZIP_THEN_BROTLI)),
        ("deflate, gzip, zstd", zstd(&gzip(&hex(ZLIB)))),
        ("gzip,gzip", gzip(&gzip(b"[1, 2]"))),
    ] {
        let rows = decode_body(encoded(encoding, bytes), 100)
            .expect(encoding)
            .rows;
        assert_eq!(rows[0][..2], [number(1.0), number(2.0)], "{encoding}");
    }
}

#[test]
fn answers_are_decompressed_as_requests_are() {
    let decoder = Decoder::new(&two());
    let mut answers = exchange(captured("[1, 2]"), encoded("gzip", gzip(b"[7]")));
    assert_eq!(
        decoder.exchange(&answers, 100).unwrap().rows[0][2],
        number(7.0)
    );
    answers.response.encoding = "compress".into();
    assert_eq!(
        decoder
            .exchange(&answers, 100)
            .unwrap()
            .response_problem
            .unwrap(),
        "response: content-encoding compress is not read: gzip, deflate, br, zstd and identity are"
    );
}

#[test]
fn half_an_answer_is_not_read() {
    // What was `123` when it was whole.
    let mut cut = exchange(captured("[1, 2]"), captured("12"));
    cut.ending = Ending::UpstreamFailed;
    let decoded = Decoder::new(&two()).exchange(&cut, 100).unwrap();
    assert_eq!(decoded.rows[0][2], Cell::Missing);
    assert_eq!(decoded.response_problem.unwrap(), "upstream failed");
}

#[test]
fn a_bomb_is_read_no_further_than_the_cap() {
    let mut exact = vec![b' '; 94];
    exact.extend(*b"[1, 2]");
    let spaces = vec![b' '; 50 * MIB];
    for (encoding, exact, bomb) in [
        ("gzip", gzip(&exact), gzip(&spaces)),
        ("deflate", zlib(&exact), zlib(&spaces)),
        ("deflate", raw_deflate(&exact), raw_deflate(&spaces)),
        ("br", hex(BROTLI_100), hex(BROTLI_BOMB)),
        ("zstd", zstd(&exact), zstd(&spaces)),
        ("br, gzip", gzip(&hex(BROTLI_100)), gzip(&hex(BROTLI_BOMB))),
        ("gzip, zstd", zstd(&gzip(&exact)), zstd(&gzip(&spaces))),
    ] {
        assert!(bomb.len() < 100_000);
        let exact = decode_body(encoded(encoding, exact), 100);
        assert!(exact.is_ok(), "{encoding}: {exact:?}");
        assert_eq!(
            decode_body(encoded(encoding, bomb), MIB).unwrap_err(),
            "body larger than tap.max_body once decompressed (more than 1048576 bytes): \
             raise tap.max_body to read it",
            "{encoding}"
        );
    }
    // Nothing comes out of 50 MiB of empty members, so the cap on each step must hold.
    let empty = gzip(b"").repeat(50 * MIB / 20);
    let reason = decode_body(encoded("gzip, zstd", zstd(&empty)), MIB).unwrap_err();
    assert!(reason.starts_with("body larger than"), "{reason}");
}

#[test]
fn windows_beyond_what_http_allows_are_refused() {
    let reason = decode_body(encoded("br", hex(BROTLI_LARGE_WINDOW)), MIB).unwrap_err();
    assert!(reason.starts_with("invalid br: "), "{reason}");
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 1).unwrap();
    encoder.window_log(27).unwrap();
    encoder.write_all(b"[1, 2]").unwrap();
    let reason = decode_body(encoded("zstd", encoder.finish().unwrap()), MIB).unwrap_err();
    assert!(reason.starts_with("invalid zstd: "), "{reason}");
}

#[test]
fn broken_bodies_and_unknown_encodings_say_so() {
    for (encoding, whole) in [
        ("gzip", gzip(b"[1, 2]")),
        ("deflate", zlib(b"[1, 2]")),
        ("deflate", raw_deflate(b"[1, 2]")),
        ("br", hex(BROTLI)),
        ("zstd", zstd(b"[1, 2]")),
    ] {
        for kept in 1..whole.len() {
            let cut = encoded(encoding, whole[..kept].to_vec());
            let reason = decode_body(cut, MIB).unwrap_err();
            let expected = format!("invalid {encoding}: ");
            assert!(reason.starts_with(&expected), "{kept}: {reason}");
        }
        let plain = encoded(encoding, b"[1, 2]".to_vec());
        let reason = decode_body(plain, MIB).unwrap_err();
        assert!(
            reason.starts_with(&format!("invalid {encoding}: ")),
            "{reason}"
        );
    }
    for (header, named) in [
        ("compress", "compress"),
        ("gzip, aes128gcm", "aes128gcm"),
        ("dcb, gzip", "dcb"),
    ] {
        assert_eq!(
            decode_body(encoded(header, vec![1]), MIB).unwrap_err(),
            format!(
                "content-encoding {named} is not read: gzip, deflate, br, zstd and identity are"
            )
        );
    }
    assert_eq!(
        decode_body(encoded("gzip, gzip, gzip, gzip", vec![1]), MIB).unwrap_err(),
        "content-encoding lists 4 encodings: at most 3 are undone"
    );
    for encoding in ["gzip", "br", "zstd", "deflate", ""] {
        assert_eq!(
            decode_body(encoded(encoding, Vec::new()), MIB).unwrap_err(),
            "empty body: JSON is expected"
        );
    }
}

#[test]
fn what_is_no_whole_json_text_says_so() {
    let truncated = CapturedBody {
        length: 20_971_520,
        truncated: true,
        ..captured("[1, 2]")
    };
    assert_eq!(
        decode_body(truncated, MIB).unwrap_err(),
        "body larger than tap.max_body (20971520 bytes, 6 captured): raise tap.max_body to read it"
    );
    for (body, expected) in [
        (&b""[..], "empty body: JSON is expected"),
        (b" \n", "empty body: JSON is expected"),
        (
            b"[1, \xff]",
            "invalid UTF-8 at byte 4: JSON in UTF-8 is expected",
        ),
        (
            b"[1,\n 2",
            "invalid JSON: EOF while parsing a list at line 2 column 2",
        ),
        (
            b"a=1&b=2",
            "invalid JSON: expected value at line 1 column 1",
        ),
        (
            b"[1, 2] x",
            "invalid JSON: trailing characters at line 1 column 8",
        ),
        (
            b"[nan, 2]",
            "invalid JSON: expected ident at line 1 column 3",
        ),
        (
            b"[.5, 2]",
            "invalid JSON: expected value at line 1 column 2",
        ),
        (
            b"[NaNa, 2]",
            "invalid JSON: expected value at line 1 column 2",
        ),
    ] {
        assert_eq!(decode_body(captured(body), MIB).unwrap_err(), expected);
    }
}

#[test]
fn a_fault_beside_bare_words_is_found_where_it_is() {
    let body = "{\"x\": \"y\", \"features\":\n [NaN, 1e400, }";
    assert_eq!(
        decode_body(captured(body), MIB).unwrap_err(),
        "invalid JSON: expected value at line 2 column 15"
    );
}

#[test]
fn deep_nesting_is_refused() {
    for deep in [
        "[".repeat(500_000),
        format!("[NaN, {}", "[".repeat(500_000)),
    ] {
        assert_eq!(
            decode_body(captured(deep), MIB).unwrap_err(),
            "JSON nested too deeply: more than 127 levels"
        );
    }
}

/// xorshift64*, fixed seed: the same bodies every time.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let drawn = self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33;
        usize::try_from(drawn).unwrap() % bound
    }
}

#[test]
fn no_bytes_make_it_panic() {
    const SEEDS: [&str; 8] = [
        r#"{"features": [[1, 2.5], [NaN, "ä\"\\"]], "x": {"y": [null, true]}}"#,
        r#"{"a": -Infinity, "b": "Infinity", "a": 1e400}"#,
        r#"[{"a": 1, "b": 2}, {"b": 4, "a": 3}]"#,
        "[1, 2]",
        r#"{"prediction": [0.1, {"p": 1}]}"#,
        r#"{"predictions": [["x", 0.5], ["y", -0.5]]}"#,
        r#"{"p": [1e-400, NaN], "q": 3}"#,
        r#""\ud83d\ude00""#,
    ];
    const SPLICES: [&str; 12] = [
        "\"",
        "\\",
        "[",
        "]",
        "{",
        "}",
        "NaN",
        "-Infinity",
        "1e999",
        ",",
        "\u{1f600}",
        "\\u00",
    ];
    let decoders = [two(), schema(&["a", "b"], &["p", "q"]), schema(&["a"], &[])];
    let decoders = decoders.map(|schema| Decoder::new(&schema));
    let mut random = Random(0x5eed);
    let (mut read, mut refused) = (0, 0);
    for _ in 0..30_000 {
        let mut mutated = || {
            let mut bytes = SEEDS[random.below(SEEDS.len())].as_bytes().to_vec();
            for _ in 0..random.below(4) {
                let at = random.below(bytes.len());
                match random.below(4) {
                    0 => bytes[at] = u8::try_from(random.below(256)).unwrap(),
                    1 => drop(bytes.drain(at..)),
                    2 => bytes.extend_from_within(at..),
                    _ => {
                        let splice = SPLICES[random.below(SPLICES.len())].bytes();
                        drop(bytes.splice(at..at, splice));
                    }
                }
                bytes.push(b' ');
            }
            match random.below(20) {
                0 => encoded("gzip", bytes),
                1 => {
                    let mut packed = gzip(&bytes);
                    let at = random.below(packed.len());
                    packed[at] ^= 1;
                    encoded("gzip", packed)
                }
                _ => captured(bytes),
            }
        };
        let exchange = exchange(mutated(), mutated());
        for decoder in &decoders {
            match decoder.exchange(&exchange, 4096) {
                Ok(decoded) => {
                    read += 1;
                    assert!(!decoded.rows.is_empty());
                }
                Err(undecodable) => {
                    refused += 1;
                    assert!(undecodable.reason.len() < 1000, "{}", undecodable.reason);
                }
            }
        }
    }
    assert!(
        read > 5_000 && refused > 5_000,
        "{read} read, {refused} refused"
    );
}
