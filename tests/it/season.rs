//! Spans shorter than the season, compared with the same hours of a reference file that has times.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use driftd::drift::alarm::Alarms;
use driftd::drift::check::{Decided, Dependence, ModelCheck, SpanRows, Subject};
use driftd::drift::current::Entry;
use driftd::drift::decide::{Allowance, Policy, Rule};
use driftd::drift::memo::Memo;
use driftd::drift::report::{CheckReport, Level, ModelReport, SpanName, State, Test};
use driftd::drift::season::Against;
use driftd::feature::Cell;
use driftd::model::ModelName;
use driftd::reference::{self, Loaded};
use driftd::timestamp::Timestamp;

use super::random::Random;

const DAY: Duration = Duration::from_secs(86_400);

/// 2026-11-16T00:00:00Z in seconds: `date -u -d 2026-11-16 +%s`.
const MONDAY: i64 = 1_794_787_200;

/// A reference file read for a season of a day.
fn load(content: &str, season: Option<Duration>) -> Loaded {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("reference.csv");
    std::fs::write(&path, content).unwrap();
    let mut config = reference::Config::new(path);
    config.columns.insert("ts".to_owned(), "time".to_owned());
    if content.starts_with("ts,x,word") {
        (config.columns).insert("word".to_owned(), "feature".to_owned());
    }
    config.season = season;
    reference::load(&config, Timestamp(0)).unwrap()
}

/// One check of the main span alone: rows and when they were made, in seconds.
fn check(
    loaded: &Loaded,
    alarms: &mut Alarms,
    rows: &[(i64, Vec<Cell>)],
    against: Against,
) -> ModelReport {
    let entries = rows.iter().map(|(at, cells)| Entry {
        id: *at,
        priority: 0,
        time: Timestamp(at * 1000),
        values: Arc::new(loaded.reference.encode(cells)),
    });
    let span = SpanRows {
        name: SpanName::Main,
        size: rows.len(),
        population: rows.len() as f64,
        rows: entries.collect(),
        min_rows: 200,
        length: None,
        against,
        last: Decided::default(),
    };
    let policy = Policy {
        rule: Rule::Budget,
        min_effect: 0.1,
    };
    let policies = vec![policy; loaded.schema.columns().len()];
    let (info, tracks) = (loaded.reference.info(), loaded.reference.tracks());
    let subject = Subject {
        model: &ModelName::parse("m").unwrap(),
        version: "",
        schema: &loaded.schema,
        reference: Some(&info),
        tracks: &tracks,
        dependence: Dependence::None,
        since: None,
        together: loaded.reference.together.as_deref(),
        policies: &policies,
        allowance: Allowance {
            alarms: 1.0,
            per: 30 * DAY,
            replicas: 1.0,
        },
        tests: loaded.reference.tests(),
        min_coverage: 0.9,
        changed: false,
        previous: None,
        describe: true,
    };
    let mut memo = Memo::default();
    let now = Timestamp((rows.last().unwrap().0 + 1) * 1000);
    let mut check = ModelCheck::begin(subject, vec![span], None, alarms, &mut memo, now);
    while check.step() {}
    check.finish().report
}

/// What the reference says of a span of these rows.
fn against(loaded: &Loaded, rows: &[(i64, Vec<Cell>)]) -> Against {
    let times = rows.iter().map(|(at, _)| Timestamp(at * 1000));
    let seasonal = loaded.reference.seasonal.as_ref().unwrap();
    seasonal.against(times, 200)
}

/// A reference of five days, a row every 90 seconds, and 300 rows from 09:30 to 10:30.
fn hand_made() -> (String, Vec<(i64, Vec<Cell>)>) {
    let mut file = "ts,x,word\n".to_owned();
    for i in 0..4800_i64 {
        let hour = i * 90 / 3600 % 24;
        let x = (hour * 10 + i * 37 % 101) as f64 / 8.0;
        let word = ["a", "b", "c"][((hour / 8 + i * 7 % 5) % 3) as usize];
        let x = if i % 11 == 0 {
            String::new()
        } else {
            x.to_string()
        };
        writeln!(file, "{},{x},{word}", Timestamp((MONDAY + i * 90) * 1000)).unwrap();
    }
    let rows = (0..300_i64).map(|j| {
        let at = 9 * 3600 + 1800 + j * 12;
        let hour = at / 3600;
        let x = (hour * 10 + j * 53 % 101 + 15) as f64 / 8.0;
        let word = ["a", "b", "c", "d"][((hour / 8 + j * 3 % 4) % 4) as usize];
        let x = if j % 5 == 0 {
            Cell::Missing
        } else {
            Cell::Number(x)
        };
        (MONDAY + at, vec![x, Cell::Text(word.into())])
    });
    (file, rows.collect())
}

fn found(report: &ModelReport, column: &str, test: Test) -> CheckReport {
    let feature = report.features.iter().find(|f| *f.name == *column).unwrap();
    let check = feature.checks.iter().find(|c| c.test == test).unwrap();
    check.clone()
}

fn near(found: Option<f64>, expected: f64) {
    let found = found.unwrap();
    assert!(
        (found / expected - 1.0).abs() < 1e-10,
        "{found:e} {expected:e}"
    );
}

#[test]
fn the_figures_of_the_same_hours_are_those_of_scipy() {
    let (file, rows) = hand_made();
    let loaded = load(&file, Some(DAY));
    assert_eq!(loaded.notes, Vec::<String>::new());
    let hours = against(&loaded, &rows);
    assert_eq!(hours, Against::Hours([9, 10].into_iter().collect()));
    let report = check(&loaded, &mut Alarms::default(), &rows, hours);
    // r, c: x and y below without their missing values; i, j = arange(4800), arange(300)
    // hour, h = i*90//3600 % 24, (34200 + j*12)//3600; r of the rows with hour in (9, 10)
    // x, y = (hour*10 + i*37 % 101)/8, (h*10 + j*53 % 101 + 15)/8; missing: i % 11 == 0, j % 5 == 0
    // ks_2samp(r, c) → statistic 0.14800275482093664, pvalue 0.003101289152562594,
    // statistic_location 23.125, statistic_sign 1
    let ks = found(&report, "x", Test::Ks);
    assert_eq!((ks.n_reference, ks.n_current, ks.sign), (363, 240, Some(1)));
    near(ks.statistic, 0.148_002_754_820_936_64);
    near(ks.p_value, 0.003_101_289_152_562_594);
    near(ks.location, 23.125);
    // 2 * hypergeom.pmf(23, 363 + 240, 240, 23): c > r.max() 23 times, c < r.min() never
    let range = found(&report, "x", Test::Range);
    near(range.statistic, 23.0 / 240.0);
    near(range.p_value, 6.460_710_766_773_21e-10);
    // chi2_contingency([[37, 363], [60, 240]], correction=False)
    let missing = found(&report, "x", Test::Missing);
    assert_eq!((missing.n_reference, missing.n_current), (400, 300));
    near(missing.statistic, 16.596_142_996_358_424);
    near(missing.p_value, 4.624_497_338_210_639e-05);
    // chi2_contingency([[80, 160, 160, 0], [75, 75, 75, 75]], correction=False)
    let words = found(&report, "word", Test::Chi2);
    assert_eq!((words.n_reference, words.n_current), (400, 300));
    near(words.statistic, 124.914_207_275_223_05);
    near(words.p_value, 6.743_827_278_115_275e-27);
    for feature in report.features.iter().filter(|f| f.kind.is_some()) {
        let said = &feature.sentence;
        assert!(
            said.ends_with("; compared with the same hours of the reference."),
            "{said}"
        );
    }
    // ks_2samp of all rows → statistic 0.294005462602185, pvalue 6.618446299795082e-18
    let all = Against::Unlike { rows: None };
    let report = check(&loaded, &mut Alarms::default(), &rows, all);
    let ks = found(&report, "x", Test::Ks);
    assert_eq!((ks.n_reference, ks.sign), (4363, Some(-1)));
    near(ks.statistic, 0.294_005_462_602_185);
    near(ks.p_value, 6.618_446_299_795_082e-18);
}

impl Random {
    /// Normal numbers around a cycle of ±1 that goes round with the day.
    fn at(&mut self, second: i64) -> f64 {
        let phase = (second % 86_400) as f64 / 86_400.0;
        (std::f64::consts::TAU * phase).sin() + self.normal()
    }
}

#[test]
fn traffic_that_goes_round_with_the_day_is_no_drift_from_its_own_hours() {
    let mut random = Random(7);
    let mut file = "ts,a,b\n".to_owned();
    for i in 0..14 * 24 * 60_i64 {
        let second = MONDAY + i * 60;
        let (a, b) = (random.at(second), random.at(second + 40_000));
        writeln!(file, "{second},{a},{b}").unwrap();
    }
    let loaded = load(&file, Some(DAY));
    let mut same = Alarms::default();
    let (mut drifted, mut whole) = (0, Alarms::default());
    // An hour of traffic, looked at every hour and a third, for five days.
    let mut hour_of = |start: i64, moved: f64| -> Vec<(i64, Vec<Cell>)> {
        let row = |k: i64| {
            let second = start + k * 6;
            let (a, b) = (random.at(second) + moved, random.at(second + 40_000));
            (second, vec![Cell::Number(a), Cell::Number(b)])
        };
        (0..600).map(row).collect()
    };
    for look in 0..90 {
        let rows = hour_of(MONDAY + 20 * 86_400 + look * 4800, 0.0);
        let report = check(&loaded, &mut same, &rows, against(&loaded, &rows));
        assert_eq!(report.state, State::Ok, "{look}: {}", report.sentence);
        assert_eq!(report.level, Level::Ok, "{look}: {}", report.sentence);
        let all = Against::Unlike { rows: None };
        let report = check(&loaded, &mut whole, &rows, all);
        drifted += u32::from(report.drifted == Some(true));
        assert!(report.level <= Level::Warn, "{look}: {}", report.sentence);
    }
    assert!(drifted > 80, "{drifted} of 90 looks at all hours");
    let rows = hour_of(MONDAY + 30 * 86_400, 1.0);
    let report = check(&loaded, &mut same, &rows, against(&loaded, &rows));
    assert_eq!(report.level, Level::Alert, "{}", report.sentence);
    let moved = report.features.iter().find(|f| f.drifted == Some(true));
    assert_eq!(&*moved.unwrap().name, "a");
}

#[test]
fn too_few_rows_of_the_same_hours_only_warn_and_say_why() {
    let mut random = Random(3);
    let mut file = "ts,a,b\n".to_owned();
    for i in 0..3000_i64 {
        // Two days of ten hours.
        let second = MONDAY + i / 1500 * 86_400 + 8 * 3600 + i % 1500 * 24;
        writeln!(file, "{second},{},{}", random.normal(), random.normal()).unwrap();
    }
    let loaded = load(&file, Some(DAY));
    let mut night = |hour: i64| -> Vec<(i64, Vec<Cell>)> {
        let row = |k: i64| {
            let cells = vec![
                Cell::Number(random.normal() + 1.0),
                Cell::Number(random.normal()),
            ];
            (MONDAY + hour * 3600 + k * 9, cells)
        };
        (0..400).map(row).collect()
    };
    let rows = night(23);
    let said = |against| {
        let report = check(&loaded, &mut Alarms::default(), &rows, against);
        (report.features[0].sentence.clone(), report.level)
    };
    assert_eq!(
        against(&loaded, &rows),
        Against::Unlike { rows: Some(0) },
        "nobody was there"
    );
    let (sentence, level) = said(against(&loaded, &rows));
    assert_eq!(level, Level::Warn);
    let end = "; the reference holds no rows of the same hours: compared with all of it, which \
               only warns.";
    assert!(sentence.ends_with(end), "{sentence}");
    let (sentence, _) = said(Against::Unlike { rows: Some(150) });
    assert!(
        sentence.contains("holds only 150 rows of the same hours, and a check needs 200"),
        "{sentence}"
    );
    let rows = night(10);
    let report = check(
        &loaded,
        &mut Alarms::default(),
        &rows,
        against(&loaded, &rows),
    );
    assert_eq!(report.level, Level::Alert, "{}", report.sentence);
}

#[test]
fn what_keeps_a_reference_from_telling_hours_is_said() {
    let without = load("ts,x\n2026-11-16T01:00:00Z,1.5\n", None);
    assert!(without.reference.seasonal.is_none() && without.notes.is_empty());
    let days = load(
        "ts,x\n2026-11-16,1.5\n2026-11-17,2.5\n21/11/2026 03:47,3.5\n",
        Some(DAY),
    );
    assert!(days.reference.seasonal.is_none());
    let said = days.notes.join("\n");
    assert!(
        said.contains("3 of 3 values of the time column ts are no times that tell the hour of the season of 1d, such as \"2026-11-16\" in row 1"),
        "{said}"
    );
    // Days do tell the 24ths of a season of 24 days.
    let days = load("ts,x\n2026-11-16,1.5\n2026-11-17,2.5\n", Some(24 * DAY));
    assert!(days.reference.seasonal.is_some() && days.notes.is_empty());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("untimed.csv");
    std::fs::write(&path, "x,y_pred\n1.5,1\n2.5,2\n").unwrap();
    let mut config = reference::Config::new(&path);
    config.season = Some(DAY);
    let untimed = reference::load(&config, Timestamp(0)).unwrap();
    assert!(untimed.reference.seasonal.is_none());
    let said = untimed.notes.join("\n");
    assert!(
        said.contains("no column is a time, so that a span shorter than drift.season = 1d only warns; with columns = { NAME = \"time\" }"),
        "{said}"
    );
}
