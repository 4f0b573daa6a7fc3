use super::*;
use crate::drift::ColumnReference;
use crate::drift::measure::measure;
use crate::drift::reference::Side;
use crate::drift::values::{Samples, Values};
use crate::feature::{Cell, Kind};

const DAY: Duration = Duration::from_secs(86_400);

/// The KS test of 0, 1, … 999 against the same, moved up by `shift`.
fn tested(shift: f64) -> Tested {
    let numbers = |shift: f64| (0..1000).map(move |i| Cell::Number(f64::from(i) + shift));
    let reference = ColumnReference::new(Kind::Numeric, numbers(0.0));
    let values = Values::of(&reference, numbers(shift));
    let mut tracks = Vec::new();
    reference.tracks(0, &mut tracks);
    let measured = measure(&tracks[0], &values[0], &mut Memo::default());
    measured.main().clone()
}

fn budget(min_effect: f64) -> Policy {
    Policy {
        rule: Rule::Budget,
        min_effect,
    }
}

#[test]
fn the_budget_is_shared_by_time_and_tests() {
    let allowance = Allowance {
        alarms: 1.0,
        per: 30 * DAY,
        replicas: 1.0,
    };
    // facts: 60 s, 30 features, 1 per 30 days: 1·60/(2592000·30) = 7.716e-7
    let alpha = allowance.alpha(Duration::from_secs(60), 30);
    assert!((alpha - 7.716_049_382_716_05e-7).abs() < 1e-18);
    assert!(allowance.alpha(300 * DAY, 1) <= PLAIN_ALPHA);
    let three = Allowance {
        replicas: 3.0,
        ..allowance
    };
    assert!((three.alpha(Duration::from_secs(60), 30) * 3.0 - alpha).abs() < 1e-18);
}

#[test]
fn significance_alone_is_not_drift_below_the_effect_floor() {
    let policy = budget(0.1).at(0.01, 1);
    let mut memo = Memo::default();
    // A shift of 90 of 1,000 evenly spaced values: D = 0.09, p = 6e-4.
    let decision = policy.decide(&tested(90.0), 1000.0, false, &mut memo);
    assert!(!decision.unwrap().drifted);
    let decision = policy.decide(&tested(110.0), 1000.0, false, &mut memo);
    assert!(decision.unwrap().drifted);
}

#[test]
fn an_alarm_clears_well_below_its_threshold_only() {
    let policy = budget(0.1).at(0.01, 1);
    let mut memo = Memo::default();
    let mut drifted = |shift, standing| {
        let decision = policy.decide(&tested(shift), 1000.0, standing, &mut memo);
        decision.unwrap().drifted
    };
    assert!(!drifted(90.0, false));
    assert!(drifted(90.0, true));
    assert!(!drifted(70.0, true));
}

#[test]
fn the_plain_rule_is_p_below_five_percent() {
    let policy = Policy {
        rule: Rule::PValue,
        min_effect: 0.5,
    }
    .at(1e-9, 1);
    let mut memo = Memo::default();
    for shift in [58.0, 59.0, 60.0, 61.0, 62.0, 80.0] {
        let tested = tested(shift);
        let p = tested.result.as_ref().unwrap().p.p;
        let decision = policy.decide(&tested, 1.0, false, &mut memo).unwrap();
        assert_eq!(decision.drifted, p < 0.05, "shift {shift}: p = {p}");
    }
}

#[test]
fn detectable_shift_is_in_standard_deviations() {
    // 2 * scipy.stats.norm.ppf((1 + .1) / 2) → 0.2513226937101483
    assert!((detectable_shift(0.1).unwrap() - 0.251_322_693_710_148_3).abs() < 1e-6);
    assert_eq!(detectable_shift(1.0), None);
}

#[test]
fn ties_do_not_hide_a_change_worth_an_alarm() {
    // 1,000 coin tosses against 60 that fall 0.28 more often: scipy's p-value counts them as if they
    // were continuous, and says too much.
    let reference = ColumnReference::new(
        Kind::Numeric,
        (0..1000).map(|i| Cell::Number(f64::from(i % 2))),
    );
    let tosses = (0..60).map(|i| Cell::Number(f64::from(u8::from(i % 50 < 39 || i >= 50))));
    let values = Values::of(&reference, tosses);
    let mut tracks = Vec::new();
    reference.tracks(0, &mut tracks);
    let mut memo = Memo::default();
    let tested = measure(&tracks[0], &values[0], &mut memo).main().clone();
    let p = tested.result.as_ref().unwrap().p.p;
    let Side::Numbers(reference) = tracks[0].side else {
        panic!("a numeric column");
    };
    let samples = Samples {
        reference,
        current: &values[0],
    };
    let policy = budget(0.1).at(1e-5, 1);
    let decision = policy.decide_tied(&tested, Some(samples), 60.0, false, &mut memo);
    let decision = decision.unwrap();
    assert!(
        !policy
            .decide(&tested, 60.0, false, &mut memo)
            .unwrap()
            .drifted
    );
    assert!(
        p > 1e-5 && decision.p.p < 1e-5 && decision.drifted,
        "{p} {decision:?}"
    );
}

#[test]
fn the_guaranteed_rule_wants_the_true_gap_above_the_floor() {
    let policy = |rule| {
        Policy {
            rule,
            min_effect: 0.1,
        }
        .at(1e-3, 30)
    };
    let mut memo = Memo::default();
    for (shift, expected) in [(150.0, false), (260.0, true)] {
        let tested = tested(shift);
        let mut decide = |rule| {
            policy(rule)
                .decide(&tested, 1000.0, false, &mut memo)
                .unwrap()
        };
        let budget = decide(Rule::Budget);
        let guaranteed = decide(Rule::Guaranteed);
        assert!(budget.drifted, "{shift}");
        assert_eq!(guaranteed.drifted, expected, "{shift}");
        // D - scipy.stats.kstwo.isf(1e-3, 1000) - sqrt(ln(2*30/.05)/2000)
        //   = D - 0.061462224771709525 - 0.05954022520857681
        let bound = guaranteed.lower_bound.unwrap();
        assert!(
            (bound - (shift / 1000.0 - 0.061_46 - 0.059_54)).abs() < 1e-3,
            "{bound}"
        );
    }
}

#[test]
fn the_guaranteed_rule_is_its_threshold_and_clears_below_it() {
    let policy = Policy {
        rule: Rule::Guaranteed,
        min_effect: 0.1,
    }
    .at(1e-3, 30);
    let mut memo = Memo::default();
    for shift in [150.0, 190.0, 200.0, 210.0, 218.0, 226.0, 240.0, 300.0] {
        let tested = tested(shift);
        let mut decide = |standing| policy.decide(&tested, 1000.0, standing, &mut memo).unwrap();
        let (fresh, standing) = (decide(false), decide(true));
        let (d, threshold) = (shift / 1000.0, fresh.threshold.unwrap());
        assert_eq!(fresh.drifted, d > threshold, "{shift}: {threshold}");
        assert_eq!(
            standing.drifted,
            d >= 0.8 * threshold,
            "{shift}: {threshold}"
        );
    }
}
