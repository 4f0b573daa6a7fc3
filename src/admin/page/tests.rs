use crate::drift::accept::{Acceptance, Acceptances, Terms};
use crate::drift::report::{FeatureReport, Level, State, Test};

use super::super::tests::sample::{self, HOSTILE, NOW};
use super::*;

mod addresses;
mod standing;

fn page(selection: &str) -> String {
    let selection = Selection::parse(selection);
    render(
        &sample::report(),
        &sample::history(),
        &sample::status(),
        &selection,
        NOW,
    )
}

/// The part of `html` from `start` up to `end`.
fn part<'a>(html: &'a str, start: &str, end: &str) -> &'a str {
    let from = html.find(start).unwrap_or_else(|| panic!("no {start}"));
    let length = html[from..].find(end).unwrap_or_else(|| panic!("no {end}"));
    &html[from..from + length]
}

/// `DRIFTD_PAGE=page.html cargo test --lib the_page_can_be_looked_at` writes it for a browser.
#[test]
fn the_page_can_be_looked_at() {
    let html = page("");
    if let Ok(path) = std::env::var("DRIFTD_PAGE") {
        std::fs::write(path, &html).unwrap();
    }
    for opened in [
        "section", "article", "details", "summary", "svg", "table", "dl", "div", "figure",
    ] {
        let begun = html.matches(&format!("<{opened} ")).count()
            + html.matches(&format!("<{opened}>")).count();
        assert_eq!(
            begun,
            html.matches(&format!("</{opened}>")).count(),
            "{opened}"
        );
        assert!(begun > 0, "{opened}");
    }
}

#[test]
fn every_model_and_column_has_its_place() {
    let html = page("");
    for name in ["iris", "wine.v2", "churn", "new"] {
        assert!(html.contains(&format!("data-model=\"{name}\"")), "{name}");
    }
    let iris = part(&html, "data-model=\"iris\"", "data-model=\"wine.v2\"");
    let order: Vec<usize> = ["sepal_length", "device", "petal_width", "prediction"]
        .iter()
        .map(|name| iris.find(&format!("data-feature=\"{name}\"")).unwrap())
        .collect();
    assert!(order.is_sorted());
    for shown in [
        "3 of 6 columns drifted",
        "<strong>Drifted</strong>",
        "99.87 %",
        "8,213",
        "1 false alarm per 30 days; used 0.02",
        "1,202,750",
        "1,500 queue full, 50 window error",
        "12.3 ms",
        "142 µs",
        "<code title=\"9f3a61c0d2b47e58\">9f3a61c0</code>",
    ] {
        assert!(iris.contains(shown), "{shown}");
    }
}

#[test]
fn drifted_columns_stand_open_and_others_closed() {
    let html = page("");
    let details =
        |name: &str| part(&html, &format!("data-feature=\"{name}\""), "<summary").contains(" open");
    assert!(details("sepal_length") && details("device") && details("petal_width"));
    assert!(!details("prediction") && !details("petal_length"));
}

#[test]
fn a_link_opens_its_column() {
    let html = page("model=iris&feature=petal_length");
    let article = part(&html, "data-feature=\"petal_length\"", "<summary");
    assert!(article.contains("data-selected") && article.contains(" open"));
    assert_eq!(html.matches(" data-selected").count(), 1);
    let link = text::Encoded(HOSTILE).to_string();
    let html = page(&format!("feature={link}&model=iris"));
    assert!(part(&html, "data-feature=\"&lt;script&gt;", "<summary").contains(" data-selected"));
    // What does not exist changes nothing.
    let main = |html: &str| part(html, "<main", "</main>").to_owned();
    assert_eq!(main(&page("model=nobody&feature=x")), main(&page("")));
    assert!(page("model=churn").contains(
        "data-model=\"churn\" data-state=\"insufficient\" aria-labelledby=\"h-churn\" data-selected"
    ));
}

#[test]
fn names_are_escaped_everywhere() {
    let html = page("");
    assert_eq!(html.matches("<script>").count(), 1, "the page's own");
    assert!(!html.contains("<b>tv"));
    assert!(
        html.contains("&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt; &amp; &#39;größe&#39; 😀")
    );
    for handler in ["onclick", "onload", "style=\"", "javascript:", "http://www"] {
        assert!(!html.contains(handler), "{handler}");
    }
    // Links to the runbook, for whoever follows them; nothing is loaded from there.
    let runbook = "<a href=\"https://github.com/driftd/driftd/blob/main/dashboards/RUNBOOK.md#";
    assert!(html.matches(runbook).count() > 3);
    assert_eq!(
        html.matches("https://").count(),
        html.matches(runbook).count()
    );
}

#[test]
fn what_cannot_be_said_is_not_said_to_be_well() {
    for state in State::ALL {
        let mut report = sample::report();
        report.models.truncate(1);
        report.models[0].features = vec![sample::without_verdict("x", state)];
        let html = render(
            &report,
            &History::default(),
            &Status::default(),
            &Selection::default(),
            NOW,
        );
        let article = part(&html, "<article", "</article>");
        let fine = article.contains("tone-fine");
        assert_eq!(
            fine,
            matches!(state, State::Ok | State::Constant | State::Accepted),
            "{state:?}"
        );
        assert!(article.contains(&format!("data-state=\"{}\"", state.as_str())));
        assert!(!article.contains("NaN"));
    }
}

#[test]
fn pictures_name_their_gap_and_survive_odd_values() {
    let html = page("");
    assert!(part(&html, "data-feature=\"sepal_length\"", "</article>").contains(">D = 0."));
    assert!(html.contains("role=\"img\" aria-label=\"Cumulative distribution of sepal_length"));
    assert!(html.contains("Shares of the categories of device"));
    let draw = |points: &[(f64, f64)]| {
        let picture = crate::drift::picture::Picture::Ecdf {
            reference: points.to_vec(),
            current: Vec::new(),
            gap: Some(crate::drift::picture::Gap {
                location: f64::INFINITY,
                reference: 1.0,
                current: 0.0,
            }),
            histogram: None,
        };
        chart::picture(&FeatureReport {
            picture: Some(picture),
            ..sample::numeric("x", 0.0)
        })
    };
    assert_eq!(draw(&[]), None);
    for points in [
        &[(0.0, 1.0)][..],
        &[(1e300, 0.5), (1.5e300, 1.0)],
        &[(-1e-9, 0.1), (1e-9, 1.0)],
    ] {
        let svg = draw(points).unwrap();
        assert!(!svg.contains("NaN") && !svg.contains("inf"), "{svg}");
    }
}

#[test]
fn the_policy_holds_the_hashes_of_what_is_inlined() {
    // printf '' | openssl dgst -sha256 -binary | base64
    assert_eq!(
        base64(&Sha256::digest("")),
        "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU="
    );
    assert_eq!(base64(b"a"), "YQ==");
    assert_eq!(base64(b"ab"), "YWI=");
    let html = page("");
    let inlined = part(&html, "<style>", "</style>").trim_start_matches("<style>");
    let hash = base64(&Sha256::digest(inlined));
    assert!(content_security_policy().contains(&format!("style-src 'sha256-{hash}'")));
    let inlined = part(&html, "<script>", "</script>").trim_start_matches("<script>");
    let hash = base64(&Sha256::digest(inlined));
    assert!(content_security_policy().contains(&format!("script-src 'sha256-{hash}'")));
}

#[test]
fn what_is_accepted_says_so_and_by_whom() {
    let mut report = sample::report();
    let model = &mut report.models[0];
    model.features = vec![sample::numeric("petal", 2.0)];
    model.checks.clear();
    let terms = Terms {
        by: "mira <m>".to_owned(),
        reason: "a new web form".to_owned(),
        length: std::time::Duration::from_secs(7 * 86_400),
    };
    let d = model.features[0].checks[0].effect.unwrap();
    let accepted = Acceptance::new("petal".to_owned(), Test::Ks, d, &terms, NOW);
    let ended = Acceptances::new(vec![accepted]).apply(model, NOW);
    assert_eq!(ended, []);
    let html = render(
        &report,
        &sample::history(),
        &sample::status(),
        &Selection::default(),
        NOW,
    );
    let column = part(&html, "<article", "</article>");
    assert!(column.contains("tone-fine"), "{column}");
    assert!(
        column.contains("<span class=\"badge\">accepted until 2023-11-21</span>"),
        "{column}"
    );
    assert!(
        column.contains("as mira &lt;m&gt; accepted on 2023-11-14 22:13 UTC"),
        "{column}"
    );
    assert!(column.contains("a new web form"), "{column}");
}

#[test]
fn a_drifted_model_says_since_when_after_what_and_what_to_do() {
    let html = page("");
    let iris = part(&html, "data-model=\"iris\"", "data-model=\"wine.v2\"");
    let todo = part(iris, "What to do", "</div>");
    // The drift began 7,500 s before, the deploy was 14 h before.
    for said in [
        "<b>sepal_length</b> and 2 others, so most likely with one cause, drifted first at \
         2023-11-14 20:08:20",
        "<b>Deploy</b>: version 2026-11 after version 2026-10, 11 h 55 min earlier.",
        "driftd accept --model iris --feature sepal_length --for 7d",
        "RUNBOOK.md#three-ways-out-of-drift",
    ] {
        assert!(todo.contains(said), "{said}\n{todo}");
    }
    let events = part(iris, "<ul class=\"events\">", "</ul>");
    for told in [
        "<b>Gap</b>: 1,500 exchanges not recorded in 1 h (queue full)",
        "by mira &lt;m&gt;: “a new &quot;web&quot; form”",
        "&lt;script&gt;alert",
        "drifted from here on",
    ] {
        assert!(events.contains(told), "{told}\n{events}");
    }
    // What holds comes first, what it rests on last.
    let order = [
        "class=\"verdict\"",
        "What to do",
        "Time line",
        "Columns <span>",
        "Comparison",
        "Tap",
    ];
    let places: Vec<usize> = order.iter().map(|at| iris.find(at).expect(at)).collect();
    assert!(places.is_sorted(), "{places:?}");
    // Nothing is to be done where all is well.
    let wine = part(&html, "data-model=\"wine.v2\"", "data-model=\"churn\"");
    assert!(!wine.contains("What to do"), "{wine}");
}

#[test]
fn trouble_around_a_model_is_said_before_its_verdict_is_explained() {
    let html = page("");
    let churn = part(&html, "data-model=\"churn\"", "</section>");
    assert!(churn.contains("The upstream does not answer"), "{churn}");
    let mut status = sample::status();
    status.recording = crate::admin::RecordingStatus::new(Some("disk <full>".to_owned()), 0);
    let (report, history) = (sample::report(), sample::history());
    let html = render(&report, &history, &status, &Selection::default(), NOW);
    assert!(html.contains("<b>Nothing is recorded:</b> disk &lt;full&gt;."));
    assert!(html.contains("<strong class=\"bad\">degraded</strong>"));
}

#[test]
fn every_heading_follows_one_above_it() {
    let html = page("");
    let mut last = 0;
    for (at, _) in html.match_indices("<h") {
        let Some(level @ 1..=6) = html[at + 2..].chars().next().and_then(|c| c.to_digit(10)) else {
            continue;
        };
        assert!(level <= last + 1, "h{level} after h{last}");
        last = level;
    }
    assert_eq!(last, 3, "the last is a card's");
}

#[test]
fn a_page_asked_to_stand_still_neither_reloads_nor_updates() {
    let live = page("");
    assert!(live.contains("http-equiv=\"refresh\"") && live.contains("href=\"?updates=off\""));
    let still = page("updates=off");
    assert!(!still.contains("http-equiv") && still.contains("<main id=\"main\" data-still>"));
}
