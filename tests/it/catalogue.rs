//! The README's list of metrics is the catalogue, line by line.

use std::fs;
use std::path::Path;

use driftd::metrics::catalogue::{ALL, SeriesKind};

/// The table between the README's markers, as the catalogue would write it.
fn table() -> String {
    let row = |series: &driftd::metrics::catalogue::Series| {
        let kind = match series.kind {
            SeriesKind::Counter => "counter",
            SeriesKind::Gauge => "gauge",
            SeriesKind::Histogram => "histogram",
            SeriesKind::Summary => "summary",
        };
        let labels: Vec<String> = series.labels.iter().map(|l| format!("`{l}`")).collect();
        format!(
            "| `{}` | {kind} | {} | {} |\n",
            series.name,
            labels.join(" "),
            series.help
        )
    };
    let head = "| series | kind | labels | |\n|---|---|---|---|\n";
    ALL.iter()
        .map(row)
        .fold(head.to_owned(), |text, row| text + &row)
}

#[test]
fn the_readme_lists_every_series_and_no_other() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let readme = fs::read_to_string(&path).unwrap();
    let (start, end) = ("<!-- metrics: begin -->\n", "<!-- metrics: end -->");
    let from = readme.find(start).expect("the marker before the metrics") + start.len();
    let to = readme.find(end).expect("the marker after the metrics");
    let table = table();
    // To write it anew: DRIFTD_WRITE=1 cargo test the_readme_lists
    if std::env::var_os("DRIFTD_WRITE").is_some() {
        let written = format!("{}{table}{}", &readme[..from], &readme[to..]);
        fs::write(&path, written).unwrap();
        return;
    }
    assert_eq!(
        &readme[from..to],
        table,
        "write it anew: DRIFTD_WRITE=1 cargo test the_readme_lists"
    );
    let names: Vec<&str> = ALL.iter().map(|series| series.name).collect();
    for word in readme.split(|c: char| !c.is_ascii_alphanumeric() && c != '_') {
        // The first key of a profile is none either.
        if word.starts_with("driftd_") && word != "driftd_profile" {
            assert!(
                names.contains(&word),
                "README names {word}, which is no series"
            );
        }
    }
}
