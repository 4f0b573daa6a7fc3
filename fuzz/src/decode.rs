//! `decode`: the bodies of an exchange. First the content encodings of request and response, a line
//! each; then the request's body, the separator, the response's body.

use std::io::Write;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use driftd::decode::{Decoded, Decoder, MAX_CELLS, MAX_ROWS, Undecodable};
use driftd::exchange::{CapturedBody, Ending, Exchange};
use driftd::feature::{Cell, Column, Kind, Role};
use driftd::model::{Row, Schema};
use driftd::timestamp::Timestamp;
use flate2::Compression;
use flate2::write::{GzEncoder, ZlibEncoder};

use super::parts;

/// What a body may grow to.
const MAX_BODY: usize = 64 * 1024;

/// The longest reason: two lists of eight names of forty characters, and the words about them.
const LONGEST_REASON: usize = 4096;

const FEATURES: [(&str, Kind); 3] = [
    ("age", Kind::Numeric),
    ("plan", Kind::Categorical),
    ("note", Kind::Text),
];

const OUTPUTS: [(&str, Kind); 2] = [("prediction", Kind::Numeric), ("label", Kind::Categorical)];

/// A model with columns of each kind, and one with a single output.
static DECODERS: LazyLock<[(Decoder, usize); 2]> = LazyLock::new(|| {
    [2, 1].map(|outputs| {
        let outputs = &OUTPUTS[..outputs];
        let schema = Schema::new(columns(&FEATURES), columns(outputs));
        (Decoder::new(&schema), FEATURES.len() + outputs.len())
    })
});

/// Decodes the exchange that `data` describes, several times and in several ways.
pub fn run(data: &[u8]) {
    let (encodings, bodies) = head(data);
    let bodies = parts(bodies);
    let request = bodies.first().copied().unwrap_or_default();
    let response = bodies.get(1).copied().unwrap_or_default();
    let given = exchange(
        captured(request, &encodings[0]),
        captured(response, &encodings[1]),
    );
    for (decoder, width) in &*DECODERS {
        let decoded = decoder.exchange(&given, MAX_BODY);
        assert_eq!(decoded, decoder.exchange(&given, MAX_BODY));
        assert_eq!(decoded, decoder.explain(&given, MAX_BODY).decoded);
        holds(&decoded, *width);
        if let Ok(decoded) = &decoded {
            written_again(decoder, &decoded.rows);
        }
        if encodings.iter().all(String::is_empty) && data.len() <= MAX_BODY {
            for pack in [gzip, deflate] {
                let packed = exchange(pack(request), pack(response));
                assert_eq!(decoded, decoder.exchange(&packed, MAX_BODY));
            }
        }
    }
}

/// What holds of every outcome.
fn holds(decoded: &Result<Decoded, Undecodable>, width: usize) {
    let decoded = match decoded {
        Ok(decoded) => decoded,
        Err(undecodable) => {
            let length = undecodable.reason.len();
            assert!((1..=LONGEST_REASON).contains(&length), "{undecodable}");
            return;
        }
    };
    assert!(decoded.rows.len() <= MAX_ROWS.min(MAX_CELLS / width));
    for row in &decoded.rows {
        assert_eq!(row.len(), width);
        for cell in row {
            match cell {
                Cell::Number(value) => assert!(!value.is_nan()),
                Cell::Text(text) => assert!(text.len() <= MAX_BODY),
                Cell::Missing | Cell::Bool(_) => {}
            }
        }
    }
    if let Some(problem) = &decoded.response_problem {
        assert!((1..=LONGEST_REASON).contains(&problem.len()), "{problem}");
        let outputs = decoded.rows.iter().flat_map(|row| &row[FEATURES.len()..]);
        assert!(outputs.into_iter().all(|cell| *cell == Cell::Missing));
    }
}

/// Rows that are written as JSON and read again are the same rows.
fn written_again(decoder: &Decoder, rows: &[Row]) {
    let cells = |row: &Row| {
        let cells: Vec<String> = row[..FEATURES.len()].iter().map(json).collect();
        format!("[{}]", cells.join(","))
    };
    let text: Vec<String> = rows.iter().map(cells).collect();
    let text = format!("[{}]", text.join(",\n"));
    let again = exchange(captured(text.as_bytes(), ""), CapturedBody::default());
    let again = decoder.exchange(&again, text.len()).expect(&text);
    let features = |rows: &[Row]| -> Vec<Vec<Cell>> {
        let rows = rows.iter();
        rows.map(|row| row[..FEATURES.len()].to_vec()).collect()
    };
    assert_eq!(features(rows), features(&again.rows), "{text}");
}

fn json(cell: &Cell) -> String {
    match cell {
        Cell::Missing => "null".to_owned(),
        Cell::Bool(value) => value.to_string(),
        Cell::Number(f64::INFINITY) => "Infinity".to_owned(),
        Cell::Number(f64::NEG_INFINITY) => "-Infinity".to_owned(),
        Cell::Number(value) => format!("{value:?}"),
        Cell::Text(text) => serde_json::to_string(text).expect("a string"),
    }
}

/// The first two lines and what comes behind them.
fn head(data: &[u8]) -> ([String; 2], &[u8]) {
    let mut rest = data;
    let lines = [(); 2].map(|()| {
        let (line, behind) = match rest.iter().position(|byte| *byte == b'\n') {
            Some(end) => (&rest[..end], &rest[end + 1..]),
            None => (rest, &[][..]),
        };
        rest = behind;
        String::from_utf8_lossy(line).to_ascii_lowercase()
    });
    (lines, rest)
}

fn columns(named: &[(&str, Kind)]) -> Vec<Column> {
    let column = |(name, kind): &(&str, Kind)| Column {
        name: (*name).into(),
        role: Role::Feature,
        kind: Some(*kind),
    };
    named.iter().map(column).collect()
}

fn captured(bytes: &[u8], encoding: &str) -> CapturedBody {
    CapturedBody {
        bytes: bytes.to_vec(),
        length: bytes.len() as u64,
        truncated: false,
        encoding: encoding.into(),
    }
}

fn gzip(bytes: &[u8]) -> CapturedBody {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("a vector takes every byte");
    captured(&encoder.finish().expect("the same"), "gzip")
}

fn deflate(bytes: &[u8]) -> CapturedBody {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(bytes).expect("a vector takes every byte");
    captured(&encoder.finish().expect("the same"), "deflate")
}

fn exchange(request: CapturedBody, response: CapturedBody) -> Exchange {
    Exchange {
        request_id: "r".into(),
        trace_id: None,
        model: 0,
        started: Timestamp(0),
        method: "POST".into(),
        route: Arc::from("/predict"),
        status: 200,
        total: Duration::ZERO,
        upstream: None,
        request,
        response,
        headers: Default::default(),
        ending: Ending::Complete,
    }
}
