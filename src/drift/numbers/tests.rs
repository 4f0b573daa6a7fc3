use super::*;

fn exact(values: &[f64]) -> Numbers {
    Numbers::new(values.iter().map(|value| Some(*value)))
}

#[test]
fn numbers_are_sorted_and_missing_ones_counted() {
    let numbers = Numbers::new([Some(2.0), None, Some(f64::NEG_INFINITY), Some(f64::NAN)]);
    assert_eq!(numbers.values(), Some(&[f64::NEG_INFINITY, 2.0][..]));
    assert_eq!(numbers.missing(), 2);
    assert_eq!(numbers.range(), Some((f64::NEG_INFINITY, 2.0)));
}

#[test]
fn codes_say_between_which_values_or_on_which() {
    let numbers = exact(&[1.0, 2.0, 2.0, 2.0, 5.0]);
    let values = [0.0, 1.0, 1.5, 2.0, 3.0, 5.0, 9.0, -0.0, f64::INFINITY];
    let mut codes = [0; 9];
    numbers.codes(&values, &mut codes);
    assert_eq!(codes, [0, 1, 2, 3, 4, 5, 6, 0, 6]);
    let around = |code| {
        let Around {
            before,
            below,
            upto,
        } = numbers.around(code);
        (before, below, upto)
    };
    assert_eq!(around(3), (1, 1, 4));
    assert_eq!(around(4), (4, 4, 4));
    assert_eq!(around(6), (5, 5, 5));
    // Where no value occurs twice, codes point to the values themselves.
    assert_eq!(exact(&[1.0, 2.0]).code(9.0), 4);
}

#[test]
fn an_empty_column_has_one_code() {
    let numbers = exact(&[]);
    assert_eq!(numbers.code(3.0), 0);
    assert_eq!((numbers.range(), numbers.quantile(0.5)), (None, None));
    assert_eq!(numbers.binned(9).len(), 0);
}

#[test]
fn many_searches_side_by_side_find_what_one_finds() {
    let sorted: Vec<f64> = (0..1000).map(|i| f64::from(i / 3)).collect();
    let numbers = exact(&sorted);
    let values: Vec<f64> = (0..701).map(|i| f64::from(i) * 0.5 - 4.0).collect();
    let mut codes = vec![0; values.len()];
    numbers.codes(&values, &mut codes);
    for (value, code) in values.iter().zip(codes) {
        let below = sorted.partition_point(|v| v < value);
        let upto = sorted.partition_point(|v| v <= value);
        let around = numbers.around(code);
        assert_eq!((around.below, around.upto), (below as u64, upto as u64));
    }
}

#[test]
fn a_binned_column_knows_its_edges_exactly_and_the_rest_within_a_bin() {
    let sorted: Vec<f64> = (0..10_000).map(|i| f64::from(i).sqrt()).collect();
    let numbers = exact(&sorted);
    let binned = numbers.binned(101);
    assert_eq!(binned.len(), 10_000);
    assert_eq!(binned.range(), numbers.range());
    assert!(binned.resolution() <= 0.01, "{}", binned.resolution());
    for edge in binned.edges().unwrap() {
        assert!((numbers.ecdf(edge.value) - binned.ecdf(edge.value)).abs() < 1e-15);
    }
    for x in [0.5, 33.3, 99.0, 1000.0] {
        let (fine, coarse) = (numbers.ecdf(x), binned.ecdf(x));
        assert!(coarse <= fine && fine - coarse <= binned.resolution());
    }
}

#[test]
fn moments_are_those_of_the_finite_values() {
    // numpy.mean([1, 2, 4]), numpy.std([1, 2, 4]) → 2.3333333333333335, 1.247219128924647
    let moments = Moments::of(&[1.0, 2.0, 4.0, f64::INFINITY]).unwrap();
    assert!((moments.mean - 2.333_333_333_333_333_5).abs() < 1e-15);
    assert!((moments.deviation - 1.247_219_128_924_647).abs() < 1e-15);
    assert_eq!(Moments::of(&[f64::INFINITY]), None);
}
