//! Bodies that are not what they should be: encodings, cuts, garbage.

use std::io::Write;

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

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
fn gzip_is_read_in_one_member_and_in_several() {
    let whole = encoded("gzip", gzip(b"[1, 2]"));
    let members = encoded("x-gzip", [gzip(b"[1, "), gzip(b"2]")].concat());
    for body in [whole, members, encoded("identity", b"[1, 2]".to_vec())] {
        let rows = decode_body(body, 100).unwrap().rows;
        assert_eq!(rows[0][..2], [number(1.0), number(2.0)]);
    }
    let mut answers = exchange(captured("[1, 2]"), encoded("gzip", gzip(b"[7]")));
    let decoder = Decoder::new(&two());
    assert_eq!(
        decoder.exchange(&answers, 100).unwrap().rows[0][2],
        number(7.0)
    );
    answers.response.encoding = "br".into();
    assert_eq!(
        decoder
            .exchange(&answers, 100)
            .unwrap()
            .response_problem
            .unwrap(),
        "response: content-encoding br is not read yet: gzip and identity are"
    );
}

#[test]
fn a_gzip_bomb_is_read_no_further_than_the_cap() {
    let exact = vec![b' '; 94]
        .into_iter()
        .chain(*b"[1, 2]")
        .collect::<Vec<u8>>();
    assert!(decode_body(encoded("gzip", gzip(&exact)), 100).is_ok());
    let zeros = gzip(&vec![b' '; 50 * MIB]);
    assert!(zeros.len() < 100_000);
    assert_eq!(
        decode_body(encoded("gzip", zeros), MIB).unwrap_err(),
        "body larger than tap.max_body once decompressed (more than 1048576 bytes): \
         raise tap.max_body to read it"
    );
}

#[test]
fn broken_gzip_and_other_encodings_say_so() {
    let mut cut = gzip(b"[1, 2]");
    cut.truncate(cut.len() - 6);
    for bytes in [cut, b"[1, 2]".to_vec(), vec![0x1f]] {
        let reason = decode_body(encoded("gzip", bytes), MIB).unwrap_err();
        assert!(reason.starts_with("invalid gzip: "), "{reason}");
    }
    for encoding in ["br", "deflate", "gzip, br", "zstd"] {
        assert_eq!(
            decode_body(encoded(encoding, vec![1]), MIB).unwrap_err(),
            format!("content-encoding {encoding} is not read yet: gzip and identity are")
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
