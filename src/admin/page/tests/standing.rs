//! What the page says of a verdict that no check has renewed for long.

use super::*;

fn at(seconds: i64) -> String {
    render(
        &sample::report(),
        &sample::history(),
        &sample::status(),
        &Selection::default(),
        Timestamp(NOW.0 + seconds * 1000),
    )
}

#[test]
fn an_old_verdict_is_no_good_news() {
    let wine = |html: &str| part(html, "data-model=\"wine.v2\"", "class=\"sentence\"").to_owned();
    // Every 60 s, last 12 s before: 600 + 5 × 60 s have passed with the 888th second from then.
    let (fresh, old) = (at(888), at(889));
    let fine = "<strong>No drift</strong>";
    assert!(wine(&fresh).contains(fine) && !wine(&fresh).contains("Not checked"));
    assert!(fresh.contains("<li class=\"tone-fine\"><a href=\"#m-wine.v2\">"));
    assert!(!wine(&old).contains(fine), "{}", wine(&old));
    assert!(wine(&old).contains("<strong>Not checked</strong>"));
    assert!(old.contains("<section class=\"model tone-unknown\" id=\"m-wine.v2\""));
    assert!(old.contains("<li class=\"tone-unknown\"><a href=\"#m-wine.v2\">"));
    // A day later it comes first under what to do, with the way to the runbook; drift stays drift.
    let html = at(86_400);
    for name in ["iris", "wine.v2", "churn", "new"] {
        let todo = part(&html, &format!("id=\"d-{name}\""), "</li>");
        let since = if name == "new" {
            // Never checked: since the process began, 90,000 s before.
            "2 d 1 h: not once since driftd began."
        } else {
            "1 d: this verdict is old."
        };
        assert!(
            todo.contains(&format!("<ul><li><b>Not checked for {since}</b>")),
            "{todo}"
        );
        assert!(todo.contains("RUNBOOK.md#driftdnocheck"), "{todo}");
    }
    assert!(html.contains("<section class=\"model tone-drift\" id=\"m-iris\""));
}

#[test]
fn a_verdict_is_old_when_the_alert_says_so() {
    let folder = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/dashboards/rules/driftd.alerts.yml"
    );
    let rules = std::fs::read_to_string(folder).unwrap();
    let limit = "(600 + 5 * driftd_instance:check_interval_seconds:held)";
    assert!(rules.contains(limit));
    let mut status = sample::status();
    for (interval, limit) in [(0.0, 600), (60.0, 900), (3600.0, 18_600)] {
        status.check_interval_seconds = interval;
        let overdue = |seconds: i64| status.overdue(Some(NOW), Timestamp(NOW.0 + seconds * 1000));
        assert_eq!(overdue(limit), None);
        assert_eq!(
            overdue(limit + 1).map(|passed| passed.as_secs() as i64),
            Some(limit + 1)
        );
    }
}
