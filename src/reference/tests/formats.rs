//! JSON Lines, JSON arrays, Parquet and gzip: the same table, whatever it is written in.

use std::io::Write as _;
use std::path::Path;
use std::sync::Arc;

use ::parquet::basic::{Compression, GzipLevel, ZstdLevel};
use ::parquet::column::writer::ColumnWriter;
use ::parquet::data_type::ByteArray;
use ::parquet::file::properties::WriterProperties;
use ::parquet::file::writer::SerializedFileWriter;
use ::parquet::schema::parser::parse_message_type;
use flate2::Compression as Level;
use flate2::write::GzEncoder;

use super::*;

const TABLE: &str = "a,code,ok,word\n1.5,01,true,x\n-2,02,false,\n,02,true,y\n";

const LINES: &str = r#"{"a": 1.5, "code": "01", "ok": true, "word": "x"}

{"code": "02", "ok": false, "a": -2, "word": null}
{"ok": true, "word": "y", "code": "02"}
"#;

fn gzip(content: impl AsRef<[u8]>) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Level::fast());
    encoder.write_all(content.as_ref()).unwrap();
    encoder.finish().unwrap()
}

fn array(lines: &str) -> String {
    let objects: Vec<&str> = lines.lines().filter(|line| !line.is_empty()).collect();
    format!("[\n{}\n]\n", objects.join(",\n"))
}

/// Writes a row group's column at a place.
type Fill<'a> = &'a dyn Fn(usize, &mut ColumnWriter);

/// A Parquet file of `schema` whose columns `fill` writes, one row group for each.
fn parquet(schema: &str, compression: Compression, fill: &[Fill<'_>]) -> Vec<u8> {
    let schema = Arc::new(parse_message_type(schema).unwrap());
    let properties = WriterProperties::builder()
        .set_compression(compression)
        .build();
    let mut writer = SerializedFileWriter::new(Vec::new(), schema, Arc::new(properties)).unwrap();
    for fill in fill {
        let mut group = writer.next_row_group().unwrap();
        let mut place = 0;
        while let Some(mut column) = group.next_column().unwrap() {
            fill(place, column.untyped());
            column.close().unwrap();
            place += 1;
        }
        group.close().unwrap();
    }
    writer.into_inner().unwrap()
}

fn bytes(words: &[&str]) -> Vec<ByteArray> {
    words.iter().map(|word| ByteArray::from(*word)).collect()
}

/// The rows of [`TABLE`] in Parquet, over two row groups.
fn table_in_parquet(compression: Compression) -> Vec<u8> {
    let schema = "message m { optional double a; required binary code (UTF8); \
                  required boolean ok; optional binary word (UTF8); }";
    let first = |place: usize, column: &mut ColumnWriter| {
        match column {
            ColumnWriter::DoubleColumnWriter(c) => c.write_batch(&[1.5, -2.0], Some(&[1, 1]), None),
            ColumnWriter::BoolColumnWriter(c) => c.write_batch(&[true, false], None, None),
            ColumnWriter::ByteArrayColumnWriter(c) if place == 1 => {
                c.write_batch(&bytes(&["01", "02"]), None, None)
            }
            ColumnWriter::ByteArrayColumnWriter(c) => {
                c.write_batch(&bytes(&["x"]), Some(&[1, 0]), None)
            }
            _ => unreachable!(),
        }
        .map(drop)
        .unwrap()
    };
    let second = |place: usize, column: &mut ColumnWriter| {
        match column {
            ColumnWriter::DoubleColumnWriter(c) => c.write_batch(&[], Some(&[0]), None),
            ColumnWriter::BoolColumnWriter(c) => c.write_batch(&[true], None, None),
            ColumnWriter::ByteArrayColumnWriter(c) if place == 1 => {
                c.write_batch(&bytes(&["02"]), None, None)
            }
            ColumnWriter::ByteArrayColumnWriter(c) => {
                c.write_batch(&bytes(&["y"]), Some(&[1]), None)
            }
            _ => unreachable!(),
        }
        .map(drop)
        .unwrap()
    };
    parquet(schema, compression, &[&first, &second])
}

fn categories(loaded: &Loaded, name: &str) -> Vec<(String, u64)> {
    let ColumnReference::Categorical(words) = loaded.column(name) else {
        panic!("{name} holds words");
    };
    let names = words.names.iter().map(ToString::to_string);
    names.zip(words.counts.iter().copied()).collect()
}

fn sorted(loaded: &Loaded, name: &str) -> Vec<f64> {
    let ColumnReference::Numeric(numbers) = loaded.column(name) else {
        panic!("{name} holds numbers");
    };
    numbers.values().expect("an exact column").to_vec()
}

#[test]
fn one_table_reads_the_same_from_every_format() {
    let compressions = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(GzipLevel::default()),
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ];
    let mut files = vec![
        LINES.as_bytes().to_vec(),
        LINES.replace('\n', "\r\n").into_bytes(),
        format!("\u{feff}{LINES}").into_bytes(),
        LINES
            .replace("\"word\": null", "\"word\": NaN")
            .into_bytes(),
        array(LINES).into_bytes(),
        gzip(LINES),
        gzip(array(LINES)),
    ];
    files.extend(compressions.map(table_in_parquet));
    for (at, content) in files.iter().enumerate() {
        let loaded = Sample::new(content).load();
        assert_eq!(loaded.features(), ["a", "code", "ok", "word"], "{at}");
        assert_eq!(loaded.reference.rows, 3);
        assert_eq!(sorted(&loaded, "a"), [-2.0, 1.5], "{at}");
        assert_eq!(loaded.column("a").present(), 2);
        let codes = [("02".to_owned(), 2), ("01".to_owned(), 1)];
        assert_eq!(categories(&loaded, "code"), codes, "{at}");
        let flags = [("true".to_owned(), 2), ("false".to_owned(), 1)];
        assert_eq!(categories(&loaded, "ok"), flags, "{at}");
        let words = [("x".to_owned(), 1), ("y".to_owned(), 1)];
        assert_eq!(categories(&loaded, "word"), words, "{at}");
        assert!(loaded.notes.is_empty(), "{:?}", loaded.notes);
    }
}

#[test]
fn gzip_does_not_change_what_a_file_is() {
    let plain = Sample::new(TABLE).load();
    let zipped = Sample::new(gzip(TABLE)).load();
    assert_eq!(plain.reference.hash, zipped.reference.hash);
    assert_eq!(plain.schema, zipped.schema);
    // Two members one after the other are one file, as `cat a.gz b.gz` makes it.
    let halves = TABLE.split_at(20);
    let parts = [gzip(halves.0), gzip(halves.1)].concat();
    assert_eq!(
        Sample::new(parts).load().reference.hash,
        plain.reference.hash
    );
}

#[test]
fn strings_are_no_numbers_where_the_file_tells_them_apart() {
    let lines = rows_of(12, |i| {
        format!(
            "{{\"zip\": \"9021{}\", \"n\": 9021{}, \"s\": \"NA\", \"big\": 1234567890123456789{i}}}",
            i % 3,
            i % 3
        )
    });
    let loaded = Sample::new(lines).load();
    assert_eq!(loaded.kind("zip"), Some(Kind::Categorical));
    assert_eq!(loaded.kind("n"), Some(Kind::Numeric));
    assert_eq!(loaded.kind("big"), Some(Kind::Numeric));
    // A body's "NA" is a word; so is the file's, which has `null` for what is missing.
    assert_eq!(categories(&loaded, "s"), [("NA".to_owned(), 12)]);
    let csv = Sample::new(rows("zip,n", 12, |i| format!("9021{},1", i % 3))).load();
    assert_eq!(csv.kind("zip"), Some(Kind::Numeric));
}

fn rows_of(count: usize, row: impl Fn(usize) -> String) -> String {
    (0..count).map(|i| row(i) + "\n").collect()
}

#[test]
fn names_may_be_absent_and_come_late() {
    let lines = rows_of(300, |i| match i {
        0 => "{}".to_owned(),
        200 => format!("{{\"late\": 0.5, \"a\": {i}.5}}"),
        _ => format!("{{\"a\": {i}.5}}"),
    });
    let loaded = Sample::new(lines).load();
    assert_eq!(loaded.features(), ["a", "late"]);
    assert_eq!(loaded.reference.rows, 300);
    assert_eq!(sorted(&loaded, "late"), [0.5]);
    assert_eq!(sorted(&loaded, "a").len(), 299);
}

#[test]
fn roles_are_found_in_typed_files_too() {
    let lines = rows_of(40, |i| {
        format!(
            "{{\"id\": \"u{i}\", \"row\": {i}, \"when\": \"2026-01-01T00:00:{i:02}Z\", \"x\": {i}.5, \"prediction\": {}}}",
            i % 2 == 0
        )
    });
    let sample = Sample::new(lines).column("row", "ignore");
    let loaded = sample.load();
    let roles: Vec<FoundRole> = loaded.roles.iter().map(|(_, role, _)| *role).collect();
    use FoundRole::{Feature, Id, Ignore, Output, Time};
    assert_eq!(roles, [Id, Ignore, Time, Feature, Output]);
}

#[test]
fn what_is_wrong_with_json_names_line_and_key() {
    let flat = "a value must be a number, a string, true, false or null; flatten the objects, or leave that out";
    for (content, expected) in [
        (
            "{\"a\": 1}\n\n{\"a\": [1]}\n".to_owned(),
            format!("data.csv, line 3: \"a\" holds an array; {flat}"),
        ),
        (
            "[{\"a\": 1},\n {\"b\": {\"c\": 1}}]".to_owned(),
            format!("data.csv, line 2: \"b\" holds an object; {flat}"),
        ),
        (
            "{\"a\": 1}\n{\"a\": 1, \"a\": 2}\n".to_owned(),
            "data.csv, line 2: \"a\" stands twice in the object".to_owned(),
        ),
        (
            "{\"a\": 1}\n5\n".to_owned(),
            "data.csv, line 2: invalid type: integer `5`, expected an object of names and values".to_owned(),
        ),
        (
            "{\n\"a\": 1\n}\n".to_owned(),
            "data.csv, line 1: no JSON: EOF while parsing an object at column 0; an object stands on one line, or all of them in one array".to_owned(),
        ),
        (
            "{\"a\": 1}\n{\"a\": x}\n".to_owned(),
            "data.csv, line 2: no JSON: expected value at column 7".to_owned(),
        ),
        (
            "[{\"a\": 1}] x".to_owned(),
            "data.csv, line 1: no JSON: trailing characters at column 12".to_owned(),
        ),
        ("[]".to_owned(), "data.csv: has a header but no rows".to_owned()),
    ] {
        assert_eq!(Sample::new(content).problem(), expected);
    }
    let not_text = [b"{\"a\": 1}\n{\"a\": \"\xff\"}\n".as_slice()].concat();
    assert_eq!(
        Sample::new(not_text).problem(),
        "data.csv, line 2: is not UTF-8; save the file as UTF-8"
    );
}

#[test]
fn kinds_that_types_contradict_name_line_and_value() {
    let sample = Sample::new(LINES).kind("code", Kind::Numeric);
    assert_eq!(
        sample.problem(),
        "data.csv, line 1: \"code\" is \"01\", which is no number; kind = \"numeric\" does not fit, \
         write \"categorical\" or \"text\", or make the value null"
    );
    let sample = Sample::new(LINES).kind("a", Kind::Text);
    assert_eq!(
        sample.problem(),
        "data.csv, line 1: \"a\" is 1.5, which is no string; kind = \"text\" does not fit, \
         write \"numeric\" or \"categorical\""
    );
    let late = "{\"a\": 1}\n\n{\"a\": 2}\n{\"a\": \"x\"}\n";
    let said = Sample::new(gzip(late)).kind("a", Kind::Numeric).problem();
    assert!(
        said.starts_with("data.csv, line 4: \"a\" is \"x\""),
        "{said}"
    );
    let said = Sample::new(gzip("a\n1\n\nx\n"))
        .kind("a", Kind::Numeric)
        .problem();
    assert!(
        said.starts_with("data.csv, line 4: \"a\" is \"x\""),
        "{said}"
    );
    let sample = Sample::new(table_in_parquet(Compression::SNAPPY)).kind("code", Kind::Numeric);
    assert!(
        sample
            .problem()
            .starts_with("data.csv, row 1: \"code\" is \"01\"")
    );
}

#[test]
fn lines_are_found_in_gzip_as_in_plain_text() {
    let said = Sample::new(gzip("a,b\n1,2\n\n3\n")).problem();
    assert_eq!(said, "data.csv, line 4: has 1 field, the header has 2");
    let cut = gzip(TABLE.repeat(50));
    let said = Sample::new(&cut[..cut.len() / 2]).problem();
    assert!(said.starts_with("data.csv: cannot be read: "), "{said}");
}

#[test]
fn nested_and_broken_parquet_says_so() {
    let schema = "message m { required double x; optional group tags (LIST) { \
                  repeated group list { optional int32 element; } } }";
    let fill = |_: usize, column: &mut ColumnWriter| {
        let written = match column {
            ColumnWriter::DoubleColumnWriter(c) => c.write_batch(&[1.0], None, None),
            ColumnWriter::Int32ColumnWriter(c) => c.write_batch(&[1], Some(&[3]), Some(&[0])),
            _ => unreachable!(),
        };
        assert_eq!(written.unwrap(), 1);
    };
    let nested = parquet(schema, Compression::UNCOMPRESSED, &[&fill]);
    assert_eq!(
        Sample::new(&nested).problem(),
        "data.csv: column \"tags\" holds lists, which cannot be compared; write it as columns of \
         numbers, strings, booleans or times, or leave it out of the file"
    );
    let whole = table_in_parquet(Compression::SNAPPY);
    let said = Sample::new(&whole[..whole.len() - 3]).problem();
    assert!(said.starts_with("data.csv: cannot be read: "), "{said}");
    // Whatever byte is damaged, reading ends with a table or with errors that name the file.
    let mut errors = 0;
    for at in (0..whole.len()).step_by(7) {
        let mut damaged = whole.clone();
        damaged[at] ^= 0x5a;
        let sample = Sample::new(&damaged);
        if let Err(said) = load(&sample.config, Timestamp(0)) {
            assert!(said.to_string().contains("data.csv"), "{at}: {said}");
            errors += 1;
        }
    }
    assert!(
        errors > 20,
        "only {errors} of the damaged files were found out"
    );
    // A column of CSV may be called like the magic bytes.
    assert_eq!(
        Sample::new("PAR1,b\n1,2\n").load().features(),
        ["PAR1", "b"]
    );
}

#[test]
fn every_type_that_pyarrow_writes_is_read() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/types.parquet");
    let mut config = Config::new(path);
    config.columns.insert("clock".to_owned(), "time".to_owned());
    config
        .columns
        .insert("int8".to_owned(), "feature".to_owned());
    let loaded = load(&config, Timestamp(0)).unwrap();
    assert_eq!(loaded.reference.rows, 60);
    assert_eq!(
        loaded.features(),
        [
            "int8", "uint64", "float32", "float64", "half", "flag", "code", "city", "price"
        ]
    );
    for name in ["born", "seen"] {
        assert_eq!(loaded.role(name), FoundRole::Time, "{name}");
    }
    // sorted(float(x) for x in pyarrow.parquet.read_table('types.parquet')[NAME].to_pylist()
    //        if x is not None): how many, the second, the last
    for (name, second, last) in [
        ("int8", -29.0, 29.0),
        (
            "uint64",
            1.844_674_407_370_955_2e19,
            1.844_674_407_370_955_2e19,
        ),
        ("float32", 0.100_000_001_490_116_12, 5.900_000_095_367_432),
        ("float64", 0.1, 5.9),
        ("half", 0.25, 14.75),
        ("price", 0.25, 14.75),
    ] {
        let numbers = sorted(&loaded, name);
        assert_eq!(numbers.len(), 52, "{name}");
        assert_eq!((numbers[1], numbers[51]), (second, last), "{name}");
    }
    // collections.Counter(….to_pylist())
    let count = |name: &str| categories(&loaded, name);
    assert_eq!(count("city")[0].1 + count("city")[1].1, 52);
    assert_eq!(count("code").len(), 4);
    assert_eq!(
        count("flag").iter().map(|(_, count)| count).sum::<u64>(),
        52
    );
    assert!(
        loaded.notes[0].contains("float32 holds 32-bit numbers"),
        "{:?}",
        loaded.notes
    );
}
