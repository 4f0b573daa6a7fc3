//! Two files side by side.

use super::*;

fn open(reference: &Sample, current: &Sample) -> Result<Pair, Errors> {
    let (reference, current) = (&reference.config.path, &current.config.path);
    Pair::open(reference, current, &default_missing(), &mut |_| {})
}

/// What the values of a column are: missing, mistyped, the numbers; categories by code; unseen.
#[derive(Debug, PartialEq)]
struct Told(usize, usize, Vec<f64>, Vec<u64>, u64);

fn told(pair: &Pair, index: usize) -> Told {
    let mut tracks = pair.column(index).unwrap().current.into_iter();
    let values = tracks.next().expect("a column with a track");
    let unseen = values.unseen();
    Told(
        values.missing,
        values.mistyped,
        values.numbers().to_vec(),
        values.counts,
        unseen,
    )
}

const REFERENCE: &str = "a,ok,word,score\n1.5,True,True,1\n2.5,False,unknown,2\n";

#[test]
fn the_current_file_is_read_like_the_reference() {
    let reference = Sample::new(REFERENCE);
    let current = Sample::new("word,score,ok,a,more\nTrue,3,true,NA,0\nzzz,x,maybe,4,0\n");
    let pair = open(&reference, &current).unwrap();
    assert_eq!((pair.reference_rows(), pair.current_rows()), (2, 2));
    assert_eq!(told(&pair, 0), Told(1, 0, vec![4.0], vec![], 0));
    assert_eq!(told(&pair, 1), Told(0, 0, vec![], vec![0, 1], 1));
    let words = told(&pair, 2);
    assert_eq!((words.3.iter().sum::<u64>(), words.4), (1, 1));
    assert_eq!(told(&pair, 3), Told(0, 1, vec![3.0], vec![], 0));
    // Columns may be asked for in any order, and again.
    assert_eq!(told(&pair, 0), Told(1, 0, vec![4.0], vec![], 0));
    assert!(pair.notes().is_empty(), "{:?}", pair.notes());
    assert_eq!(pair.hash().len(), 16);
}

#[test]
fn a_column_that_is_gone_is_missing_in_every_row() {
    let reference = Sample::new(REFERENCE);
    let pair = open(&reference, &Sample::new("a\n1\n2\n3\n")).unwrap();
    assert_eq!((pair.current_rows(), pair.notes().len()), (3, 3));
    let column = pair.column(3).unwrap();
    assert!(column.reference.is_some());
    assert_eq!(told(&pair, 3), Told(3, 0, vec![], vec![], 0));
    let said = open(&reference, &Sample::new("z\n1\n"))
        .unwrap_err()
        .to_string();
    assert!(
        said.ends_with("holds none of the reference's columns: a, ok, word, score"),
        "{said}"
    );
}

#[test]
fn files_of_different_formats_are_compared() {
    let reference = Sample::new(REFERENCE);
    let lines = "{\"score\": \"3\", \"a\": 2.5, \"ok\": true}\n{\"a\": null, \"score\": 4}\n";
    let pair = open(&reference, &Sample::new(lines)).unwrap();
    assert_eq!(told(&pair, 0), Told(1, 0, vec![2.5], vec![], 0));
    let ok = told(&pair, 1);
    assert_eq!((ok.0, ok.3.iter().sum::<u64>()), (1, 1));
    // A string is no number, as in a body.
    assert_eq!(told(&pair, 3), Told(0, 1, vec![4.0], vec![], 0));
}

#[test]
fn a_column_without_values_has_nothing_to_compare() {
    let sample = Sample::new("a,b\n1,\n2,NA\n");
    let pair = open(&sample, &sample).unwrap();
    let column = pair.column(1).unwrap();
    assert!(column.reference.is_none() && column.current.is_empty());
}

#[test]
fn progress_is_told_up_to_the_end() {
    let content = rows("a,b", 700_000, |i| format!("{i}.123456,{}", i % 7));
    let sample = Sample::new(&content);
    let path = &sample.config.path;
    let mut told = Vec::new();
    Pair::open(path, path, &default_missing(), &mut |progress| {
        assert_eq!(progress.path, path);
        assert_eq!(progress.total, content.len() as u64);
        told.push((progress.rows, progress.bytes));
    })
    .unwrap();
    assert_eq!(told.len(), 4, "{told:?}");
    let end = (700_000, content.len() as u64);
    assert_eq!((told[1], told[3]), (end, end));
    assert!(told[0].0 < 700_000 && told[0].1 >= 8 << 20, "{told:?}");
}
