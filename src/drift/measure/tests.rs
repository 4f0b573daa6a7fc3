use std::sync::Arc;

use super::*;
use crate::drift::ColumnReference;
use crate::drift::current::Entry;
use crate::drift::decide::{Policy, Rule};
use crate::drift::random::SplitMix64;
use crate::drift::row::Row;
use crate::feature::{Cell, Kind};
use crate::timestamp::Timestamp;

fn measured(reference: &ColumnReference, cells: impl IntoIterator<Item = Cell>) -> Measurement {
    let values = Values::of(reference, cells);
    let mut tracks = Vec::new();
    reference.tracks(0, &mut tracks);
    let mut measured = measure(&tracks[0], &values[0], &mut Memo::default());
    measured.description = describe(&tracks[0], &values[0], &measured);
    measured
}

fn numbers(values: &[f64]) -> ColumnReference {
    ColumnReference::new(Kind::Numeric, values.iter().map(|v| Cell::Number(*v)))
}

fn words(words: &[&str]) -> ColumnReference {
    let cells = words.iter().map(|w| Cell::Text((*w).into()));
    ColumnReference::new(Kind::Categorical, cells)
}

#[test]
fn rows_give_what_their_cells_give() {
    let mut random = SplitMix64::new(5);
    // Ties, gaps between rows' values, and a largest gap below which only current values lie.
    let cells = |random: &mut SplitMix64, scale: f64, rows: usize| -> Vec<Cell> {
        let cell = |_| match random.next_u64() % 9 {
            0 => Cell::Missing,
            1 => Cell::Text("x".into()),
            n => Cell::Number((random.next_u64() % 500) as f64 * scale + (n % 2) as f64),
        };
        (0..rows).map(cell).collect()
    };
    for (case, rows) in [40, 300, 2500].into_iter().cycle().take(30).enumerate() {
        let scale = 1.0 - case as f64 / 40.0;
        let cells_of_reference = cells(&mut random, 0.01, 3000);
        let reference = ColumnReference::new(Kind::Numeric, cells_of_reference);
        let current = cells(&mut random, 0.01 * scale, rows);
        let by_cells = measured(&reference, current.clone());
        let entries: Vec<Entry> = (1..)
            .zip(&current)
            .map(|(id, cell)| {
                let mut values = Vec::new();
                reference.encode(cell, &mut values);
                Entry {
                    id,
                    priority: 0,
                    time: Timestamp(0),
                    values: Arc::new(values.into_iter().collect()),
                }
            })
            .collect();
        let rows: Vec<&Row> = entries.iter().map(|entry| &*entry.values).collect();
        let mut tracks = Vec::new();
        reference.tracks(0, &mut tracks);
        let values = Values::gather(&rows, &tracks[..1], &mut Vec::new()).remove(0);
        let values = values.from(&entries, tracks[0].slot);
        let by_rows = measure(&tracks[0], &values, &mut Memo::default());
        assert_eq!(by_rows.main().result, by_cells.main().result, "case {case}");
        assert_eq!(
            by_rows.tests[1].result, by_cells.tests[1].result,
            "case {case}"
        );
        assert_eq!(
            (by_rows.rows, by_rows.missing, by_rows.mistyped),
            (by_cells.rows, by_cells.missing, by_cells.mistyped)
        );
    }
}

#[test]
fn a_numeric_column_is_measured_as_ks_2samp_does() {
    let reference = numbers(&[1.0, 2.0, 3.0, 4.0, 5.0]);
    let cells = [3.0, 4.0, 5.0, 6.0].map(Cell::Number);
    let measured = measured(&reference, cells.into_iter().chain([Cell::Missing]));
    let tested = measured.main();
    let result = tested.result.as_ref().unwrap();
    // scipy.stats.ks_2samp([1,2,3,4,5], [3,4,5,6])
    //   → statistic=0.4, pvalue=0.7460317460317459, statistic_location=2, sign=1
    assert!((result.statistic - 0.4).abs() < 1e-15);
    assert!((result.p.p - 0.746_031_746_031_745_9).abs() < 1e-12);
    assert_eq!((result.location, result.sign), (Some(2.0), Some(1)));
    assert_eq!(
        (measured.rows, tested.n_current, measured.missing),
        (5, 4, 1)
    );
    // (numpy.mean([3,4,5,6]) - 3) / numpy.std([1,2,3,4,5]) → 1.0606601717798212
    assert!((measured.description.shift.unwrap() - 1.060_660_171_779_821_2).abs() < 1e-12);
}

#[test]
fn the_gap_is_found_at_a_value_the_reference_lacks() {
    let reference = numbers(&[10.0, 20.0, 30.0]);
    let measured = measured(&reference, [12.0, 1.0, 3.0, 2.0].map(Cell::Number));
    let result = measured.main().result.as_ref().unwrap();
    // scipy.stats.ks_2samp([10,20,30], [12,1,3,2])
    //   → statistic=0.75, statistic_location=3, statistic_sign=-1
    assert!((result.statistic - 0.75).abs() < 1e-15);
    assert_eq!((result.location, result.sign), (Some(3.0), Some(-1)));
}

#[test]
fn a_categorical_column_is_measured_as_chi2_contingency_does() {
    let reference = words(&["a", "a", "a", "b", "b", "c"]);
    let cells = ["a", "b", "b", "b", "d"].map(|w| Cell::Text(w.into()));
    let measured = measured(&reference, cells);
    let result = measured.main().result.as_ref().unwrap();
    // scipy.stats.chi2_contingency([[3,2,1,0],[1,3,0,1]], correction=False)
    //   → statistic=3.135, pvalue=0.37127552923481943
    assert!((result.statistic - 3.135).abs() < 1e-12, "{result:?}");
    assert!(
        (result.p.p - 0.371_275_529_234_819_43).abs() < 1e-12,
        "{result:?}"
    );
    assert_eq!(measured.unseen, 1);
    // ½(|3/6−1/5| + |2/6−3/5| + |1/6−0| + |0−1/5|) = 7/15
    assert!((result.effect.size - 7.0 / 15.0).abs() < 1e-15);
}

/// Draws of one distribution must not look like drift, however many categories it has and
/// however many of them the reference happens to lack.
#[test]
fn many_rare_categories_are_no_drift() {
    let mut random = SplitMix64::new(0x5EED);
    // Zipf over 300 words by the inverse of ln.
    let mut word = || Cell::Text(format!("w{}", 300f64.powf(random.uniform()) as u32).into());
    let policy = Policy {
        rule: Rule::Budget,
        min_effect: 0.0,
    };
    let (mut flagged, mut memo) = (0, Memo::default());
    for _ in 0..60 {
        let cells: Vec<Cell> = (0..1000).map(|_| word()).collect();
        let reference = ColumnReference::new(Kind::Categorical, cells);
        let measured = measured(&reference, (0..3000).map(|_| word()));
        assert!(measured.unseen > 0, "every word was seen: no test");
        let decision = (policy.at(0.01, 1)).decide(measured.main(), 3000.0, false, &mut memo);
        flagged += usize::from(decision.unwrap().drifted);
    }
    // 60 tests at α = 0.01; scipy.stats.binom.sf(4, 60, .01) → 0.0003
    assert!(
        flagged <= 4,
        "{flagged} of 60 draws of one distribution differ at 1 %"
    );
}

#[test]
fn one_and_the_same_value_on_both_sides_is_constant() {
    let number = |value: f64| vec![Cell::Number(value); 4];
    assert!(measured(&numbers(&[2.0; 9]), number(2.0)).constant);
    let word = vec![Cell::Text("x".into()); 4];
    assert!(measured(&words(&["x"; 9]), word).constant);
    let other = measured(&numbers(&[2.0; 9]), number(3.0));
    assert!(!other.constant);
    let statistic = other.main().result.as_ref().unwrap().statistic;
    assert!((statistic - 1.0).abs() < 1e-15);
}

#[test]
fn an_empty_side_has_no_result() {
    let measured = measured(&numbers(&[1.0]), vec![Cell::Missing; 3]);
    assert_eq!(measured.main().result, None);
    assert_eq!(measured.missing, 3);
}

#[test]
fn a_rare_category_that_doubles_is_worth_a_word() {
    // 3 % → 6 %: total variation 0.03, but a share that grew by half or more, by 0.03.
    let effect = Effect::between(&[970, 30], &[940, 60]);
    assert!((effect.size - 0.03).abs() < 1e-12);
    assert!(effect.over(0.1) >= 1.0);
    // 30 % → 40 %: by a third only.
    let effect = Effect::between(&[700, 300], &[605, 395]);
    assert!(effect.over(0.1) < 1.0);
}

#[test]
fn values_beyond_the_range_are_counted_at_both_ends() {
    let measured = measured(
        &numbers(&[1.0, 2.0, 3.0]),
        [0.0, 3.0, 4.0, 5.0].map(Cell::Number),
    );
    let range = measured
        .tests
        .iter()
        .find(|t| t.test == Test::Range)
        .unwrap();
    let result = range.result.as_ref().unwrap();
    assert_eq!(result.evidence, Evidence::Range { above: 2, below: 1 });
    assert!((result.statistic - 0.75).abs() < 1e-15);
    // 2 * scipy.stats.hypergeom.pmf(2, 7, 4, 2) → 0.5714285714285714
    assert!(
        (result.p.p - 0.571_428_571_428_571_4).abs() < 1e-12,
        "{:?}",
        result.p
    );
}
