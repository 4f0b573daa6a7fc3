//! Where links lead, and what stands behind them.

use super::*;

#[test]
fn addresses_are_relative_and_keep_what_was_asked_for() {
    for query in ["", "model=iris&feature=petal_length", "updates=off"] {
        let html = page(query);
        for attribute in ["href=\"/", "src=\"/", "action="] {
            assert!(!html.contains(attribute), "{attribute}");
        }
        assert!(SCRIPT.contains("fetch(location.pathname + location.search"));
    }
    let foot = |html: &str| part(html, "<footer", "</footer>").to_owned();
    let html = page("model=iris&feature=petal_length");
    assert!(
        foot(&html)
            .contains("<a href=\"?model=iris&amp;feature=petal_length&amp;updates=off\">stop"),
        "{}",
        foot(&html)
    );
    assert!(html.contains("<h1><a href=\"?\">driftd</a></h1>"));
    let html = page("model=iris&feature=petal_length&updates=off");
    assert!(
        foot(&html).contains("<a href=\"?model=iris&amp;feature=petal_length\">resume</a>"),
        "{}",
        foot(&html)
    );
    assert!(html.contains("<h1><a href=\"?updates=off\">driftd</a></h1>"));
    assert!(
        html.contains("<a href=\"?model=iris&amp;feature=device&amp;updates=off\">Link to this")
    );
    // And back again, whatever the names.
    let selection = Selection {
        model: Some("m".to_owned()),
        feature: Some(HOSTILE.to_owned()),
        paused: true,
    };
    let address = selection.href().replace("&amp;", "&");
    assert_eq!(Selection::parse(address.trim_start_matches('?')), selection);
}

fn of_columns(count: usize, selection: &str) -> String {
    let mut report = sample::report();
    report.models.truncate(1);
    report.models[0].features = (0..count)
        .map(|i| sample::numeric(&format!("f{i}"), 0.1))
        .collect();
    render(
        &report,
        &sample::history(),
        &sample::status(),
        &Selection::parse(selection),
        NOW,
    )
}

#[test]
fn a_page_of_many_columns_draws_the_first_and_links_the_rest() {
    let html = of_columns(400, "model=iris&feature=f399");
    let drawn = model::DRAWN + 1;
    assert_eq!(html.matches("<article").count(), 400);
    for of_each in [
        "<figcaption>Histograms",
        "<figcaption>Over time",
        "class=\"spark\" viewBox",
        "<summary class=\"row\"",
        "<caption>Tests</caption>",
    ] {
        assert_eq!(html.matches(of_each).count(), drawn, "{of_each}");
    }
    assert_eq!(html.matches("<a class=\"row\"").count(), 400 - drawn);
    let line = part(&html, "data-feature=\"f398\"", "</article>");
    assert!(line.contains("<a class=\"row\" href=\"?model=iris&amp;feature=f398\"><h4>f398</h4>"));
    assert!(line.contains("<strong>No drift</strong>"));
}

#[test]
fn a_page_of_very_many_columns_stays_below_a_megabyte() {
    let html = of_columns(1500, "");
    assert_eq!(html.matches("<article").count(), 1500);
    assert!(html.len() < 1_000_000, "{}", html.len());
}

#[test]
fn the_title_counts_what_needs_a_look() {
    let title = |html: &str| part(html, "<title>", "</title>").replace("<title>", "");
    assert_eq!(
        title(&page("")),
        "(1) Upstream down · (1) Drift · (2) No verdict · driftd"
    );
    let mut status = sample::status();
    status.models.truncate(2);
    let mut report = sample::report();
    report.models.remove(0);
    report.models.truncate(1);
    let titled = |report: &Report, status: &Status, now: i64| {
        let now = Timestamp(NOW.0 + now * 1000);
        title(&render(
            report,
            &sample::history(),
            status,
            &Selection::default(),
            now,
        ))
    };
    status.models.remove(0);
    assert_eq!(titled(&report, &status, 0), "driftd");
    assert_eq!(titled(&report, &status, 86_400), "(1) No verdict · driftd");
    // Drift warns too, while it may not page; wrong wiring is no drift.
    report.models[0].level = Level::Warn;
    assert_eq!(titled(&report, &status, 0), "(1) To look at · driftd");
    report.models[0].state = State::Drifted;
    assert_eq!(titled(&report, &status, 0), "(1) Drift · driftd");
    report.models[0].state = State::Mismatch;
    assert_eq!(titled(&report, &status, 0), "(1) To look at · driftd");
}

#[test]
fn an_alert_is_said_once_and_its_age_only_seen() {
    let html = page("");
    assert!(html.contains(
        "<p id=\"lost\" hidden><span role=\"alert\"></span><span aria-hidden=\"true\"></span></p>"
    ));
    // The age goes on; what is said is written only where it changes.
    assert!(SCRIPT.contains("if (said.textContent !== why) said.textContent = why;"));
    assert_eq!(SCRIPT.matches("said.textContent =").count(), 1);
}
