use std::sync::Arc;

use super::*;
use crate::drift::numbers::Numbers;
use crate::drift::random::SplitMix64;
use crate::drift::reference::ColumnReference;
use crate::feature::{Cell, Column, Kind};
use crate::timestamp::Timestamp;

fn numbers(values: &[f64]) -> Numbers {
    Numbers::new(values.iter().map(|value| Some(*value)))
}

fn buckets(values: &[f64]) -> Buckets {
    Buckets::of_numbers(&numbers(values), "0123")
}

/// The largest gap between two distribution functions by its definition: as fractions over n·w.
fn brute_force(reference: &[f64], current: &[f64]) -> u64 {
    let upto = |values: &[f64], x: f64| values.iter().filter(|v| **v <= x).count() as u64;
    let (n, w) = (reference.len() as u64, current.len() as u64);
    (reference.iter().chain(current))
        .map(|x| (upto(reference, *x) * w).abs_diff(upto(current, *x) * n))
        .max()
        .unwrap()
}

/// The largest gap at the edges, over n·w too.
fn at_edges(buckets: &Buckets, current: &[f64]) -> u64 {
    let (n, w) = (buckets.total(), current.len() as u64);
    let mut counts = vec![0; buckets.edges().len() + 1];
    for value in current {
        counts[buckets.of(*value)] += 1;
    }
    let mut upto = 0;
    (buckets.upto().iter().zip(counts))
        .map(|(reference, count)| {
            upto += count;
            (reference * w).abs_diff(upto * n)
        })
        .max()
        .unwrap_or(0)
}

/// D̂ ≤ D ≤ D̂ + resolution, resolution ≤ 1/50, and the counts at the edges are those of the values.
#[track_caller]
fn bounded(reference: &[f64], current: &[f64]) {
    let buckets = buckets(reference);
    let (n, w) = (reference.len() as u64, current.len() as u64);
    for (edge, upto) in buckets.edges().iter().zip(buckets.upto()) {
        let counted = reference.iter().filter(|v| *v <= edge).count() as u64;
        assert_eq!(counted, *upto, "upto {edge}");
    }
    assert!(buckets.edges().windows(2).all(|pair| pair[0] < pair[1]));
    assert!(buckets.edges().len() <= 2 * EDGES - 2);
    let resolution = (buckets.resolution() * n as f64).round() as u64;
    assert!(resolution * EDGES as u64 <= n, "{resolution} of {n}");
    let (found, exact) = (at_edges(&buckets, current), brute_force(reference, current));
    assert!(found <= exact, "{found} above {exact}");
    assert!(
        exact <= found + resolution * w,
        "{exact} above {found} + {resolution}·{w}"
    );
    assert_eq!(buckets.bins().map(|bin| bin.count).sum::<u64>(), n);
}

#[test]
fn the_gap_at_the_edges_is_within_the_bound_of_the_gap() {
    let mut random = SplitMix64::new(7);
    let mut uniform = move || random.uniform();
    for case in 0..300 {
        let n = 1 + (uniform() * 400.0) as usize;
        let w = 1 + (uniform() * 300.0) as usize;
        // Reals, tenths, integers, a heavy atom, infinities; the current ones shifted or between.
        let mut value = |shift: f64| match case % 6 {
            0 => uniform() + shift,
            1 => ((uniform() + shift) * 10.0).round() / 10.0,
            2 => (uniform() * 5.0 + 2.0 * shift).floor(),
            3 if uniform() < 0.4 => 0.0,
            3 => uniform() - 0.5 + shift,
            4 if uniform() < 0.1 => f64::INFINITY,
            4 if uniform() < 0.1 + shift => f64::NEG_INFINITY,
            _ => (uniform() * 1e6).powi(3),
        };
        let reference: Vec<f64> = (0..n).map(|_| value(0.0)).collect();
        let shift = f64::from(case % 4) * 0.1;
        let current: Vec<f64> = (0..w).map(|_| value(shift)).collect();
        bounded(&reference, &current);
        // Just below the atoms and on them, where a missing edge would be seen.
        let below: Vec<f64> = reference.iter().map(|v| v.next_down()).collect();
        bounded(&reference, &below);
    }
}

#[test]
fn a_tiny_reference_is_exact() {
    for n in 1..=49 {
        let reference: Vec<f64> = (0..n).map(|i| f64::from(i * i % 17)).collect();
        let buckets = buckets(&reference);
        assert!(buckets.resolution().abs() < 1e-12, "{n}");
        let between: Vec<f64> = reference.iter().map(|v| v - 0.5).collect();
        assert_eq!(
            at_edges(&buckets, &between),
            brute_force(&reference, &between)
        );
    }
}

#[test]
fn a_constant_column_has_an_edge_on_its_value_and_one_below() {
    let constant = buckets(&[3.0; 200]);
    assert_eq!(constant.edges(), [3.0_f64.next_down(), 3.0]);
    assert_eq!(constant.upto(), [0, 200]);
    let bins: Vec<u64> = constant.bins().map(|bin| bin.count).collect();
    assert_eq!(bins, [0, 200, 0]);
    assert!((constant.sum() - 600.0).abs() < 1e-9);
}

#[test]
fn infinities_belong_to_the_buckets_at_the_ends() {
    let (minus, plus) = (f64::NEG_INFINITY, f64::INFINITY);
    let infinite = buckets(&[minus, minus, 0.0, plus, plus]);
    let below_zero = 0.0_f64.next_down();
    assert_eq!(infinite.edges(), [minus, below_zero, 0.0, f64::MAX]);
    assert_eq!(infinite.upto(), [2, 2, 3, 3]);
    assert_eq!((infinite.of(minus), infinite.of(plus)), (0, 4));
    assert_eq!(infinite.of(f64::MIN), 1);
    assert!(infinite.sum().abs() < 1e-12);
}

#[test]
fn reals_have_one_edge_for_every_fiftieth() {
    let mut random = SplitMix64::new(3);
    let reals: Vec<f64> = (0..1000).map(|_| random.uniform()).collect();
    let buckets = buckets(&reals);
    assert_eq!(buckets.edges().len(), EDGES - 1);
    assert_eq!(buckets.bins().count(), 10);
    assert!(buckets.bins().all(|bin| bin.count == 100));
    assert!((buckets.sum() - reals.iter().sum::<f64>()).abs() < 1e-9);
}

#[test]
fn a_binned_reference_is_counted_exactly_at_its_own_edges() {
    let mut random = SplitMix64::new(4);
    let reals: Vec<f64> = (0..5000)
        .map(|i| {
            if i % 3 == 0 {
                1.0
            } else {
                random.uniform() * 2.0
            }
        })
        .collect();
    let binned = Buckets::of_numbers(&numbers(&reals).binned(512), "0123");
    for (edge, upto) in binned.edges().iter().zip(binned.upto()) {
        let counted = reals.iter().filter(|v| *v <= edge).count() as u64;
        assert_eq!(counted, *upto, "upto {edge}");
    }
    let current: Vec<f64> = reals.iter().map(|v| v * 0.9).collect();
    let (found, exact) = (at_edges(&binned, &current), brute_force(&reals, &current));
    let bound = (binned.resolution() * 5000.0 * 5000.0).round() as u64;
    assert!(found <= exact && exact <= found + bound);
}

#[test]
fn identity_is_of_reference_edges_and_counts() {
    let one = buckets(&[1.0, 2.0, 3.0]);
    assert_eq!(one.identity(), buckets(&[3.0, 1.0, 2.0]).identity());
    assert_eq!(one.identity().len(), 8);
    for other in [
        buckets(&[1.0, 2.0, 3.5]),
        buckets(&[1.0, 2.0, 3.0, 3.0]),
        Buckets::of_numbers(&numbers(&[1.0, 2.0, 3.0]), "4567"),
    ] {
        assert_ne!(one.identity(), other.identity());
    }
}

// --- of a model ---

fn column(name: &str, role: Role) -> Column {
    Column {
        name: name.into(),
        role,
        kind: None,
    }
}

/// Two inputs and an output: numbers, words, numbers.
fn model() -> (Reference, Schema) {
    let number = |i: u32| Cell::Number(f64::from(i));
    let word = |i: u32| Cell::Text(["b", "b", "a"][i as usize % 3].into());
    let numeric = || ColumnReference::new(Kind::Numeric, (0..90).map(number));
    let words = ColumnReference::new(Kind::Categorical, (0..90).map(word));
    let reference = Reference {
        hash: "00ff".to_owned(),
        rows: 90,
        loaded_at: Timestamp(0),
        columns: vec![Some(numeric()), Some(words), Some(numeric())],
        together: None,
        dependence: Vec::new(),
        seasonal: None,
    };
    let inputs = vec![column("x", Role::Feature), column("w", Role::Feature)];
    let schema = Schema::new(inputs, vec![column("y", Role::Output)]);
    (reference, schema)
}

#[test]
fn the_first_features_are_outputs_then_inputs_in_their_order() {
    let (reference, schema) = model();
    let names = |selection| {
        let histograms = Histograms::new(&reference, &schema, selection);
        let names = histograms.features().iter().map(|f| f.name.to_string());
        names.collect::<Vec<_>>()
    };
    assert_eq!(names(Selection::All), ["y", "x", "w"]);
    assert_eq!(names(Selection::Top(2)), ["y", "x"]);
    assert_eq!(names(Selection::Off), [""; 0]);
}

#[test]
fn rows_are_counted_by_value_and_by_rank() {
    let (reference, schema) = model();
    let histograms = Arc::new(Histograms::new(&reference, &schema, Selection::All));
    let text = |word: &str| Cell::Text(word.into());
    for (x, word) in [
        (Cell::Number(f64::INFINITY), text("a")),
        (Cell::Number(-5.0), text("b")),
        (Cell::Missing, text("new")),
        (text("mistyped"), Cell::Missing),
        (Cell::Number(f64::NEG_INFINITY), text("b")),
    ] {
        histograms.append(&reference.encode(&[x, word, Cell::Missing]));
    }
    let [y, x, w] = &histograms.counts()[..] else {
        panic!("three histograms");
    };
    assert_eq!((y.count(), x.count(), w.count()), (0, 3, 4));
    assert_eq!((x.buckets[0], *x.buckets.last().unwrap()), (2, 1));
    assert!((x.sum + 5.0).abs() < 1e-12, "finite ones alone");
    // b has rank 0, a 1, and what the reference does not hold comes after both.
    assert_eq!(histograms.features()[2].buckets.edges(), [0.5, 1.5]);
    assert_eq!(w.buckets, [2, 1, 1]);
    assert!((w.sum - 3.0).abs() < 1e-12);
}

#[test]
fn many_categories_have_as_many_edges_as_numbers() {
    let counts: Vec<u64> = (0..200).map(|i| 400 - 2 * i).collect();
    let buckets = Buckets::of_categories(&counts, "0");
    assert_eq!(buckets.edges().len(), EDGES);
    let rest: u64 = counts[EDGES..].iter().sum();
    let total: u64 = counts.iter().sum();
    assert_eq!(buckets.upto()[EDGES - 1], total - rest);
    assert!((buckets.resolution() - rest as f64 / total as f64).abs() < 1e-12);
    assert_eq!(buckets.bins().count(), EDGES + 1);
}
