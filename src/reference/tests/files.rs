//! Files as they come: encodings, delimiters, broken ones, identity, rows of other files.

use super::*;

const SMALL: &str = "a,b\n1.5,x\n2.5,y\n";

#[test]
fn a_small_file_is_read_whole() {
    let loaded = Sample::new(SMALL).load();
    assert_eq!(loaded.features(), ["a", "b"]);
    assert_eq!(loaded.outputs(), ["prediction"]);
    assert_eq!(
        (loaded.reference.rows, loaded.reference.loaded_at),
        (2, Timestamp(7))
    );
    assert_eq!(loaded.reference.columns.len(), 3);
    assert!(loaded.reference.columns[2].is_none());
    let ColumnReference::Numeric(numbers) = loaded.column("a") else {
        panic!("numbers");
    };
    assert_eq!(numbers.values(), Some(&[1.5, 2.5][..]));
    assert!(loaded.notes.is_empty(), "{:?}", loaded.notes);
}

#[test]
fn line_endings_byte_order_marks_and_delimiters_do_not_matter() {
    let plain = Sample::new(SMALL).load();
    for content in [
        "a,b\r\n1.5,x\r\n2.5,y".to_owned(),
        format!("\u{feff}{SMALL}"),
        SMALL.replace(',', ";"),
        SMALL.replace(',', "\t"),
        SMALL.replace(',', "|"),
        "\n\"a\", b \n\"1.5\",x\n\n 2.5 ,\"y\"\n\n".to_owned(),
    ] {
        let loaded = Sample::new(&content).load();
        assert_eq!(loaded.schema, plain.schema, "{content:?}");
        let (ours, other) = (plain.column("b"), loaded.column("b"));
        assert_eq!(
            ours.value(&Cell::Text("y".into())),
            other.value(&Cell::Text("y".into()))
        );
        assert_eq!(loaded.reference.rows, 2);
        let other = [';', '\t', '|']
            .iter()
            .any(|delimiter| content.contains(*delimiter));
        assert_eq!(
            loaded.notes.len(),
            usize::from(other),
            "{content:?} {:?}",
            loaded.notes
        );
    }
    let note = &Sample::new("a;b\n1;2\n").load().notes[0];
    assert!(
        note.ends_with("data.csv: columns are separated by semicolons"),
        "{note}"
    );
    let quoted = Sample::new("\"a;b;c\",d\n1,2\n").load();
    assert_eq!(quoted.features(), ["a;b;c", "d"]);
}

#[test]
fn files_that_are_no_table_say_so() {
    for (content, expected) in [
        (
            &b""[..],
            "data.csv: is empty; a header line and rows are expected",
        ),
        (
            b"\xef\xbb\xbf\n",
            "data.csv: is empty; a header line and rows are expected",
        ),
        (b"a,b\n", "data.csv: has a header but no rows"),
        (
            b"a,b\n1,2\n3\n",
            "data.csv, line 3: has 1 field, the header has 2",
        ),
        (
            b"a,b\r\n1,2\r\n\r\n3,4,5\r\n",
            "data.csv, line 4: has 3 fields, the header has 2",
        ),
        (
            b"a,b\n\"1\n1\",2\n3\n",
            "data.csv, line 4: has 1 field, the header has 2",
        ),
        (
            b"a,b\nr1,1,2\n",
            "data.csv, line 2: has 3 fields, the header has 2; the first column seems to lack a name (R's row names)",
        ),
        (
            b"a,b\n1,2\n1,M\xfcller\n",
            "data.csv, line 3, column 2: \"M\u{fffd}ller\" is not UTF-8; save the file as UTF-8",
        ),
        (
            b"\xff\xfea\0",
            "data.csv: is UTF-16 text, not CSV, JSON Lines or Parquet: save it as UTF-8",
        ),
        (
            b"PK\x03\x04....",
            "data.csv: is a zip archive or an Excel workbook, not CSV, JSON Lines or Parquet: export it as one of these",
        ),
        (
            b"a,,b\n1,2,3\n",
            "data.csv, line 1: column 2 has no name; name it in the header (`columns` knows it as \"Unnamed: 1\")",
        ),
        (
            b"a,b,a\n1,2,3\n",
            "data.csv, line 1: the name \"a\" stands in columns 1 and 3; names must differ",
        ),
        (
            b"5.1,3.5,1.4,Iris-setosa\n4.9,3.0,1.4,Iris-setosa\n",
            "data.csv, line 1: looks like data, not like names (5.1, 3.5, 1.4, Iris-setosa); put a header line before it, or name these columns in `features` if they are really called so",
        ),
    ] {
        assert_eq!(Sample::new(content).problem(), expected);
    }
    let gone = load(&Config::new("/nowhere/x.csv"), Timestamp(0))
        .unwrap_err()
        .to_string();
    assert!(
        gone.starts_with("/nowhere/x.csv: cannot be read: No such file"),
        "{gone}"
    );
    let dir = tempfile::tempdir().unwrap();
    let said = load(&Config::new(dir.path()), Timestamp(0))
        .unwrap_err()
        .to_string();
    assert!(said.contains("cannot be read: Is a directory"), "{said}");
}

#[test]
fn counted_names_are_names() {
    assert_eq!(Sample::new("0,1\n5.1,3.5\n").load().features(), ["0", "1"]);
    let labelled = Sample::new("label,1,2\nx,5.1,3.5\n").load();
    assert_eq!(labelled.features(), ["1", "2"]);
    let scikit_learn = Sample::new("150,4,setosa,versicolor,virginica\n5.1,3.5,1.4,0.2,0\n");
    assert!(scikit_learn.problem().contains("looks like data"));
    let years = Sample::new("2019,2020\n1.5,2.5\n").features(&["2020", "2019"]);
    assert_eq!(years.load().features(), ["2020", "2019"]);
}

#[test]
fn all_problems_come_at_once() {
    let sample = Sample::new("a,b\n1,x\n2,y\n")
        .column("a", "featur")
        .column("c", "id")
        .outputs(&["p", "p"])
        .kind("b", Kind::Numeric)
        .kind("z", Kind::Text);
    let problems = sample.problems();
    assert_eq!(problems.len(), 5, "{problems:#?}");
    let config_and_file = Sample::new("a,b\n1\n").column("a", "x").problems();
    assert_eq!(config_and_file.len(), 2, "{config_and_file:#?}");
}

#[test]
fn the_hash_is_of_content_and_reading() {
    let hash = |sample: Sample| sample.load().reference.hash;
    let plain = hash(Sample::new(SMALL));
    assert_eq!(plain.len(), 16);
    assert!(plain.bytes().all(|b| b.is_ascii_hexdigit()));
    assert_eq!(plain, hash(Sample::new(SMALL)));
    assert_eq!(plain, hash(Sample::new(SMALL).column("a", "feature")));
    let mut missing = Sample::new(SMALL);
    missing.config.missing.push("x".to_owned());
    let others = [
        hash(Sample::new("a,b\n1.5,x\n2.6,y\n")),
        hash(Sample::new(SMALL).features(&["b", "a"])),
        hash(Sample::new(SMALL).kind("a", Kind::Categorical)),
        hash(Sample::new(SMALL).column("b", "output")),
        hash(Sample::new(SMALL).outputs(&["p"])),
        hash(missing),
    ];
    for (at, other) in others.iter().enumerate() {
        assert_ne!(*other, plain, "{at}");
        assert!(!others[..at].contains(other), "{at}");
    }
}

#[test]
fn what_a_file_holds_does_not_depend_on_the_memory_it_takes() {
    let content = rows("a,b,id", 500, |i| format!("{i}.5,w{},u{i}", i % 7));
    let path = std::path::Path::new("x.csv");
    let found = |memory: usize| {
        let mut tell = |_: Progress<'_>| {};
        let mut meter = meter::Meter::new(path, 0, &mut tell);
        let text = content.as_bytes();
        let table = crate::reference::csv::read(text, b',', path, memory, &mut meter).unwrap();
        let words = default_missing();
        let found = role::find_all(&table, &Missing::new(&words)).unwrap();
        let seen = found
            .iter()
            .map(|f| (f.role, f.profile.present, f.guess.kind));
        seen.collect::<Vec<_>>()
    };
    let expected = [
        (FoundRole::Feature, 500, Some(Kind::Numeric)),
        (FoundRole::Feature, 500, Some(Kind::Categorical)),
        (FoundRole::Id, 500, Some(Kind::Text)),
    ];
    for memory in [0, 100, 1 << 30] {
        assert_eq!(found(memory), expected, "{memory}");
    }
}
