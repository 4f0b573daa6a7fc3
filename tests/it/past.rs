//! What the page and the API show of before a restart.

use serde_json::Value;

use crate::app::{Driftd, SETTINGS, database, exchange, model_server};

const MODEL: &str =
    "reference = \"notes.csv\"\n[[model.feature]]\nname = \"note\"\nkind = \"text\"\n";

fn note(i: u32) -> String {
    "a word ".repeat(1 + i as usize % 9)
}

fn start(directory: &std::path::Path) -> Driftd {
    Driftd::start_with(directory, model_server(), SETTINGS, MODEL)
}

fn send(driftd: &Driftd, rows: std::ops::Range<u32>) {
    for i in rows {
        let (age, note) = (20 + i % 40, note(i));
        let body = format!(
            "{{\"features\":{{\"age\":{age},\"plan\":\"pro\",\"secret\":1,\"note\":\"{note}\"}}}}"
        );
        let answer = exchange(driftd.addresses.proxy, "POST /predict", &body);
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }
}

#[test]
fn lines_and_thresholds_outlive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let mut csv = String::from("age,plan,secret,note,prediction\n");
    for i in 0..400 {
        csv += &format!("{},pro,1,{},yes\n", 20 + i % 40, note(i));
    }
    std::fs::write(directory.path().join("notes.csv"), csv).unwrap();
    let driftd = start(directory.path());
    // Each part is more than the tenth of the rows from which a check decides anew.
    for part in 0..3 {
        let evaluated = driftd.model()["evaluated_at"].clone();
        send(&driftd, part * 400..(part + 1) * 400);
        driftd.eventually("decided", |d| {
            d.tap()["in_flight"] == 0 && d.model()["evaluated_at"] != evaluated
        });
    }
    // Two checks more, the second of which began when all was there: what is to decide is decided.
    for _ in 0..2 {
        let checked = driftd.model()["checked_at"].clone();
        driftd.eventually("a check", |d| d.model()["checked_at"] != checked);
    }
    let decisions = "SELECT count(DISTINCT time) FROM check_data WHERE \"column\" = 'note.length'";
    drop(driftd);
    let decided: u32 = (database(directory.path()))
        .query_row(decisions, [], |row| row.get(0))
        .unwrap();
    assert!(decided >= 2, "{decided}");

    let driftd = start(directory.path());
    let figures = |model: &Value| -> Vec<(String, Value)> {
        let features = model["features"].as_array().unwrap().iter();
        let main = features.filter(|f| f["checks"][0]["span"] == "main");
        main.map(|f| (f["name"].to_string(), f["checks"][0]["threshold"].clone()))
            .collect()
    };
    let first = driftd.model();
    let before = figures(&first);
    assert!(before.len() > 1 && before.iter().all(|(_, threshold)| threshold.is_f64()));
    // Ticks without a row decide nothing: what drift is does not change by them.
    let mut last = first["checked_at"].clone();
    for _ in 0..2 {
        driftd.eventually("a check", |d| d.model()["checked_at"] != last);
        let model = driftd.model();
        assert_eq!(model["evaluated_at"], first["evaluated_at"]);
        assert_eq!(figures(&model), before);
        last = model["checked_at"].clone();
    }
    // One point is what was measured since the start.
    let page = exchange(driftd.addresses.admin, "GET /", "");
    for name in ["age", "note.length"] {
        let from = page
            .find(&format!(">D of {name} from "))
            .unwrap_or_else(|| panic!("{name}"));
        let title = page[from..].split("</title>").next().unwrap();
        assert!(
            title.contains(&format!(" over {} checks", decided + 1)),
            "{title}"
        );
    }
}
