use super::super::super::tests::sample::{self, NOW};
use super::*;
use crate::drift::history::{Event, Happened};

#[test]
fn every_link_leads_to_a_section_of_the_runbook_the_alerts_link_to() {
    let read = |name: &str| {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/dashboards/");
        std::fs::read_to_string(format!("{folder}{name}")).unwrap()
    };
    let runbook = read("RUNBOOK.md");
    let anchors: Vec<String> = (runbook.lines())
        .filter_map(|line| line.strip_prefix("## "))
        .map(|heading| heading.to_lowercase().replace(' ', "-"))
        .collect();
    for section in [
        Section::ThreeWays,
        Section::ModelDrift,
        Section::PredictionDrift,
        Section::SlowDrift,
        Section::MissingValues,
        Section::TypeChanged,
        Section::EarlyWarning,
        Section::ReferenceMismatch,
        Section::CoverageLow,
        Section::WindowStuck,
        Section::UpstreamDown,
        Section::NoCheck,
        Section::ReferenceMissing,
    ] {
        assert!(anchors.iter().any(|a| a == section.anchor()), "{section:?}");
    }
    assert!(read("rules/driftd.alerts.yml").contains(RUNBOOK));
}

#[test]
fn commands_survive_a_shell_and_a_page() {
    assert_eq!(
        accept("iris", "petal_width"),
        "driftd accept --model iris --feature petal_width --for 7d --reason &quot;…&quot;"
    );
    assert!(
        accept("iris", "it's <b>")
            .contains("--feature &#39;it&#39;\\&#39;&#39;s &lt;b&gt;&#39; --for")
    );
}

#[test]
fn the_column_that_drifted_first_is_named_and_the_worst_is_accepted() {
    let mut report = sample::report();
    let model = &mut report.models[0];
    let hours = |hours: i64| Timestamp(NOW.0 - hours * 3_600_000);
    // Severity orders them: the worse one drifted later, after a deploy between the two.
    model.features = vec![
        sample::numeric("worse", 0.95),
        sample::numeric("milder", 0.5),
    ];
    model.features[0].since = Some(hours(2));
    model.features[1].since = Some(hours(30));
    let deploy = |version: &str, previous: &str, ago| Event {
        time: hours(ago),
        what: Happened::Reference {
            version: version.to_owned(),
            previous_version: Some(previous.to_owned()),
            hash: None,
            reference_changed: false,
            first: false,
        },
    };
    let history = ModelHistory {
        events: vec![deploy("v2", "v1", 31), deploy("v3", "v2", 14)],
        ..ModelHistory::default()
    };
    let steps = drifted(model, &history, NOW);
    assert!(
        steps[0].contains("<b>milder</b> drifted first at 2023-11-13 16:13:20"),
        "{}",
        steps[0]
    );
    assert!(
        steps[0].contains("version v2 after version v1, 1 h earlier."),
        "{}",
        steps[0]
    );
    assert!(steps[2].contains("--feature worse "), "{}", steps[2]);
    // Of those that began together the most severe is named.
    model.features.push(sample::numeric("third", 0.4));
    model.features[0].since = Some(hours(30));
    let named = first(model, &history, NOW).unwrap();
    assert!(
        named.contains("<b>worse</b> and 1 other, so most likely with one cause, drifted first"),
        "{named}"
    );
}

#[test]
fn an_alarm_that_nothing_can_clear_now_does_not_promise_to_clear() {
    let mut report = sample::report();
    let model = &mut report.models[0];
    model.features = vec![sample::numeric("a", 0.95), sample::numeric("b", 0.5)];
    let told = |model: &ModelReport| verdict(model, &ModelHistory::default(), NOW).concat();
    let clears = "The verdict clears by itself";
    assert!(told(model).contains(clears));
    // One column may have too few values; the other still decides.
    model.features[1].obstacle = Some(State::Insufficient);
    assert!(told(model).contains(clears));
    for (obstacle, first) in [
        (
            State::LowCoverage,
            "<b>Too much of the traffic is not read</b>",
        ),
        (
            State::Stale,
            "<b>No row has come for longer than the main span</b>",
        ),
        (State::Insufficient, "<b>Find the cause.</b>"),
    ] {
        for feature in &mut model.features {
            feature.obstacle = Some(obstacle);
        }
        let told = told(model);
        assert!(told.starts_with(first), "{told}");
        assert!(!told.contains(clears), "{told}");
        assert!(told.contains("Nothing can be decided now"), "{told}");
    }
}
