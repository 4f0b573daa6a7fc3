use std::sync::Arc;

use super::*;
use crate::drift::picture::{Gap, Picture, Share};
use crate::drift::report::{Level, QuantilePair, Quantiles, Test};
use crate::feature::Role;
use crate::model::ModelName;

/// A name as a hostile or careless CSV could hold it.
const HOSTILE: &str = "<script>alert('1')</script>|\u{1b}[31m @all";

fn check(test: Test, statistic: f64, p: f64, drifted: bool) -> CheckReport {
    CheckReport {
        test,
        span: SpanName::Main,
        state: if drifted { State::Drifted } else { State::Ok },
        drifted: Some(drifted),
        level: if drifted { Level::Alert } else { Level::Ok },
        statistic: Some(statistic),
        p_value: Some(p),
        log10_p: Some(p.log10()),
        decision_p: Some(p),
        threshold: Some(0.1),
        n_reference: 100,
        n_current: 90,
        n_effective: 90.0,
        location: None,
        sign: None,
        effect: Some(statistic),
        lower_bound: None,
        error_bound: None,
        adjusted_p: None,
    }
}

/// A check that only says how large a difference is.
fn size(statistic: f64) -> CheckReport {
    CheckReport {
        p_value: None,
        log10_p: None,
        decision_p: None,
        threshold: None,
        drifted: None,
        ..check(Test::Psi, statistic, 1.0, false)
    }
}

fn column(name: &str, drifted: bool, checks: Vec<CheckReport>) -> FeatureReport {
    let quantiles = |shift: f64| Quantiles {
        p05: shift,
        p25: 1.0 + shift,
        p50: 2.0 + shift,
        p75: 3.0 + shift,
        p95: 4.0 + shift,
    };
    FeatureReport {
        name: Arc::from(name),
        role: Role::Feature,
        kind: Some(Kind::Numeric),
        state: if drifted { State::Drifted } else { State::Ok },
        drifted: Some(drifted),
        level: if drifted { Level::Alert } else { Level::Ok },
        obstacle: None,
        since: None,
        severity: Some(2.5),
        detectable: None,
        missing: Some(0.125),
        missing_reference: None,
        mistyped: None,
        unseen: None,
        shift: None,
        calibrated: false,
        quantiles: Some(QuantilePair {
            reference: quantiles(0.0),
            current: quantiles(1.0),
        }),
        sentence: format!("{name} is what it is."),
        checks,
        picture: Some(Picture::Ecdf {
            reference: (0..200)
                .map(|i| (f64::from(i), f64::from(i + 1) / 200.0))
                .collect(),
            current: (0..200)
                .map(|i| (f64::from(i) * 1.3, f64::from(i + 1) / 200.0))
                .collect(),
            gap: Some(Gap {
                location: 70.0,
                reference: 0.35,
                current: 0.27,
            }),
            histogram: None,
        }),
    }
}

fn document(features: Vec<FeatureReport>, checks: Vec<CheckReport>) -> Document {
    let drifted = features.iter().any(|f| f.drifted == Some(true));
    Document {
        command: "check",
        title: "b.csv against <a>.csv".to_owned(),
        facts: vec![Fact::new("decided", "family-wise α = 0.05 over 4 tests")],
        sections: vec![Section {
            facts: Vec::new(),
            report: ModelReport {
                model: ModelName::parse("a").unwrap(),
                version: String::new(),
                reference: None,
                rows: 90,
                spans: Vec::new(),
                checked_at: None,
                evaluated_at: None,
                coverage: None,
                calibrated: false,
                state: if drifted { State::Drifted } else { State::Ok },
                drifted: Some(drifted),
                level: Level::Ok,
                sentence: "The verdict.".to_owned(),
                detectable: None,
                accepted: Vec::new(),
                groups: Vec::new(),
                budget: None,
                checks,
                features,
            },
            tests: Some(4),
            listings: Vec::new(),
            json: None,
        }],
    }
}

/// Two tests and an effect size of one column, one test of another, one over both.
fn several() -> Document {
    let x = vec![
        check(Test::Ks, 0.3, 1e-5, true),
        check(Test::Chi2, 7.5, 0.02, false),
        size(0.21),
    ];
    let y = vec![check(Test::Ks, 0.05, 0.4, false)];
    document(
        vec![column("x", true, x), column("y", false, y)],
        vec![check(Test::Chi2, 1.5, 0.5, false)],
    )
}

#[test]
fn the_table_has_a_line_a_test_and_the_verdict_last() {
    // p adj: min(1, 4 · p)
    let expected = "\
column         kind     state    test  statistic  threshold  p       p adj   n   effect sizes
x              numeric  drifted  ks    0.3        0.1        1.0e-5  4.0e-5  90  psi 0.21
                        ok       chi2  7.5        0.1        0.02    0.08    90
y              numeric  ok       ks    0.05       0.1        0.4     1       90
(all columns)  -        ok       chi2  1.5        0.1        0.5     1       90

- x is what it is.
The verdict.
";
    let text = render(&several(), Format::Table);
    assert!(text.ends_with(expected), "{text}");
    assert!(
        text.contains("family-wise α = 0.05 over 4 tests\n"),
        "{text}"
    );
}

#[test]
fn markdown_begins_with_the_verdict() {
    let text = render(&several(), Format::Markdown);
    let at = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part}: {text}"));
    let order = [
        at("**The verdict.**"),
        at("family-wise α = 0.05 over 4 tests"),
        at("- x is what it is."),
        at("| column | kind | state | test | statistic |"),
        at("| x | numeric | **drifted** | ks | 0.3 | 0.1 | 1.0e-5 | 4.0e-5 | 90 | psi 0.21 |"),
        at("|  |  | ok | chi2 | 7.5 |"),
        at("| (all columns) | - | ok | chi2 |"),
    ];
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn every_test_of_a_column_stands_in_its_details() {
    let html = render(&several(), Format::Html);
    let details = &html[html.find("id=\"c0-1\"").unwrap()..html.find("id=\"c0-2\"").unwrap()];
    for part in [
        "ks <small>main",
        "chi2 <small>main",
        "<td>1.0e-5</td><td>0.02</td><td>-</td>",
    ] {
        assert!(details.contains(part), "{part}: {details}");
    }
    assert!(
        details.contains("<dt>Missing</dt><dd>12 %</dd>"),
        "{details}"
    );
    assert!(details.contains("<svg class=\"chart\""));
    assert!(html.contains("<a href=\"#c0-1\">x</a>"));
}

#[test]
fn json_is_the_contracts_shape() {
    let text = render(&several(), Format::Json);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let model = &json["models"][0];
    assert_eq!(model["features"][0]["checks"][1]["test"], "chi2");
    assert_eq!(model["checks"][0]["p_value"], 0.5);
    assert!(text.ends_with("}\n"));
}

#[test]
fn names_and_values_are_inert_everywhere() {
    let mut hostile = column(HOSTILE, true, vec![check(Test::Ks, 0.3, 0.0, true)]);
    let share = Share {
        name: "</text><img onerror=alert(1)>".to_owned(),
        group: false,
        reference: 0.5,
        current: 0.1,
    };
    let words = FeatureReport {
        picture: Some(Picture::Shares(vec![share])),
        ..column("\"'><b>", true, vec![check(Test::Chi2, 9.0, 0.01, true)])
    };
    hostile.sentence = format!("{HOSTILE} has drifted.");
    let document = document(vec![hostile, words], Vec::new());
    let html = render(&document, Format::Html);
    for markup in ["<script", "<img", "<b>", "onerror=alert(1)>"] {
        assert!(!html.contains(markup), "{markup}");
    }
    assert!(html.contains("&lt;script&gt;alert(&#39;1&#39;)&lt;/script&gt;"));
    // Nothing is fetched, not even a picture or a font.
    for request in ["src=", "url(", "@import", "http://", "https://"] {
        assert!(!html.contains(request), "{request}");
    }
    let table = render(&document, Format::Table);
    assert!(!table.contains('\u{1b}'), "{table}");
    let markdown = render(&document, Format::Markdown);
    for markup in ["<script", "<b>", "@all", "\u{1b}"] {
        assert!(!markdown.contains(markup), "{markup}: {markdown}");
    }
    // A bar in a name makes no cell.
    let row = markdown
        .lines()
        .find(|line| line.starts_with("| &lt;script"))
        .unwrap();
    assert_eq!(row.replace("\\|", "").matches('|').count(), 10, "{row}");
    // A p-value of 0 is one a double cannot hold.
    assert!(
        row.contains("\\< 1e-300") || row.contains("&lt; 1e-300"),
        "{row}"
    );
}

#[test]
fn elements_are_closed() {
    let html = render(&several(), Format::Html);
    for name in [
        "section", "article", "header", "main", "div", "table", "thead", "tbody", "tr", "th", "td",
        "dl", "dt", "dd", "figure", "svg", "p", "ul", "li",
    ] {
        let begun =
            html.matches(&format!("<{name} ")).count() + html.matches(&format!("<{name}>")).count();
        assert_eq!(begun, html.matches(&format!("</{name}>")).count(), "{name}");
        assert!(begun > 0 || name == "ul" || name == "li", "{name}");
    }
}

#[test]
fn a_wide_model_is_drawn_where_it_matters_and_stays_small() {
    let checks = |drifted| {
        vec![
            check(Test::Ks, 0.123_456, 1e-12, drifted),
            check(Test::Chi2, 7.5, 0.02, false),
        ]
    };
    let wide = |drifted: usize| {
        let name = |i: usize| format!("a_rather_long_name_of_a_feature_{i}");
        let columns = (0..800).map(|i| column(&name(i), i < drifted, checks(i < drifted)));
        render(&document(columns.collect(), Vec::new()), Format::Html)
    };
    let some = wide(12);
    assert_eq!(some.matches("<svg class=\"chart\"").count(), 12 + 30);
    assert!(some.contains("Pictures and details of 42 columns"));
    assert!(some.contains("758 stand in this table only"));
    assert_eq!(some.matches("<th scope=\"row\">a_rather").count(), 758);
    // Every one of them drifted: as many are drawn as the size allows.
    let all = wide(800);
    for html in [&some, &all] {
        assert!(html.len() < 3_000_000, "{}", html.len());
    }
    assert!(all.matches("<svg class=\"chart\"").count() > 100);
    // All 800 stand in the list; what is not described below has its sentence there.
    assert_eq!(all.matches("<tr class=\"tone-drift\">").count(), 800);
    let told = all.matches("<article").count() + all.matches("<li>").count();
    assert_eq!(told, 800);
}
