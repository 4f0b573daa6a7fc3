//! Which column plays which part, and what must be written where that is not clear.

use super::*;
use FoundRole::{Feature, Id, Ignore, Output, Target, Time};

#[test]
fn roles_are_found_by_name_and_content() {
    let content = rows(
        "PassengerId,age,created_at,city,seen,Survived,y_pred,prediction_score,delivery_time",
        12,
        |i| {
            format!(
                "{},3{i}.5,17000000{i:02},c{},2026-11-{:02},{},1,0.5,{}",
                40 - i,
                i % 3,
                i + 1,
                i % 2,
                i * 7 % 5
            )
        },
    );
    let loaded = Sample::new(content).load();
    let roles: Vec<_> = loaded
        .roles
        .iter()
        .map(|(name, role, _)| (name.as_str(), *role))
        .collect();
    assert_eq!(
        roles,
        [
            ("PassengerId", Id),
            ("age", Feature),
            ("created_at", Time),
            ("city", Feature),
            ("seen", Time),
            ("Survived", Target),
            ("y_pred", Output),
            ("prediction_score", Output),
            ("delivery_time", Feature),
        ]
    );
    assert_eq!(loaded.features(), ["age", "city", "delivery_time"]);
    assert_eq!(loaded.outputs(), ["y_pred", "prediction_score"]);
    assert_eq!(loaded.roles[0].2, "is named like an id, every value once");
}

#[test]
fn an_index_without_a_name_is_an_id() {
    for header in [",a", "\"\",a", "Unnamed: 0,a"] {
        let loaded = Sample::new(rows(header, 3, |i| format!("{i},{i}.5"))).load();
        assert_eq!(loaded.role("Unnamed: 0"), Id, "{header}");
        assert_eq!(loaded.features(), ["a"]);
    }
}

#[test]
fn a_lone_target_is_no_output() {
    let loaded = Sample::new("a,species\n1.5,x\n").load();
    assert_eq!(loaded.role("species"), Target);
    assert_eq!(
        (loaded.outputs(), loaded.kind("prediction")),
        (vec!["prediction"], None)
    );
    assert!(loaded.reference.columns[1].is_none());
}

#[test]
fn what_might_be_a_feature_or_not_must_be_settled() {
    let position = "so positional values could mean two orders; write";
    let cases = [
        (
            rows("a,row", 3, |i| format!("0.5,{}", i + 1)),
            "row",
            "ignore",
            "may be a row number: it only counts 0, 1, 2 … or 1, 2, 3 …",
        ),
        (
            rows("account,a", 10, |i| format!("A{i},0.5")),
            "account",
            "ignore",
            "may be an id: it comes first and has every value once",
        ),
        (
            rows("a,store_id", 4, |i| format!("0.5,{}", i % 2)),
            "store_id",
            "id",
            "is named like an id, but its values repeat or are no ids",
        ),
        (
            rows("a,birth", 2, |i| format!("0.5,1{i}/11/1990")),
            "birth",
            "time",
            "may be a time: its values are dates or epochs, its name is none",
        ),
        (
            rows("a,updated", 10, |i| format!("0.5,170000000{i}")),
            "updated",
            "time",
            "may be a time: its values are dates or epochs, its name is none",
        ),
        (
            rows("a,time", 3, |i| format!("0.5,{}", i + 40)),
            "time",
            "time",
            "is named like a time, but does not hold dates",
        ),
        (
            rows("x,y,z", 3, |_| "0.5,0.5,0.5".to_owned()),
            "y",
            "target",
            "may be the target, or a coordinate beside x and z",
        ),
    ];
    for (content, name, word, why) in cases {
        let said = Sample::new(&content).problem();
        let ending = format!(
            "{name:?} {why}, {position} columns = {{ {name} = \"{word}\" }} or columns = {{ {name} = \"feature\" }} (`driftd init` writes a file with all of them)"
        );
        assert!(
            said.starts_with("data.csv, column ") && said.ends_with(&ending),
            "{said}\n{ending}"
        );
        for word in [word, "feature"] {
            let loaded = Sample::new(&content).column(name, word).load();
            assert_eq!(
                loaded.features().contains(&name),
                word == "feature",
                "{name} {word}"
            );
        }
        let header = content.lines().next().unwrap();
        let others: Vec<&str> = header.split(',').filter(|other| *other != name).collect();
        assert_eq!(
            Sample::new(&content).features(&others).load().features(),
            others
        );
        let all: Vec<&str> = header.split(',').rev().collect();
        assert_eq!(Sample::new(&content).features(&all).load().features(), all);
    }
}

#[test]
fn a_column_with_the_words_of_an_output_may_be_the_target() {
    let content = rows("size,arrival,prediction", 12, |i| {
        let word = |late: bool| if late { "late" } else { "on_time" };
        format!("{}.5,{},{}", i * i, word(i % 3 == 0), word(i % 4 == 0))
    });
    let problem = Sample::new(&content).problem();
    assert!(problem.contains("arrival"), "{problem}");
    assert!(
        problem.contains("columns = { arrival = \"target\" }"),
        "{problem}"
    );
    let settled = Sample::new(&content).column("arrival", "target").load();
    assert_eq!(settled.features(), ["size"]);
    let settled = Sample::new(&content).column("arrival", "feature").load();
    assert_eq!(settled.features(), ["size", "arrival"]);
}

#[test]
fn a_last_column_of_few_words_may_be_the_target() {
    let flowers = |header: &str| {
        rows(header, 60, |i| {
            format!("{}.5,{}", i * i, ["red", "white"][i % 2])
        })
    };
    let problem = Sample::new(flowers("alcohol,cultivar")).problem();
    assert!(
        problem.contains("columns = { cultivar = \"target\" }"),
        "{problem}"
    );
    let settled = Sample::new(flowers("alcohol,cultivar"))
        .column("cultivar", "output")
        .load();
    assert_eq!(
        (settled.features(), settled.outputs()),
        (vec!["alcohol"], vec!["cultivar"])
    );
    // Where another column is one, the last is a feature like others.
    let other = rows("y,alcohol,colour", 60, |i| {
        format!("{},{}.5,{}", i % 3, i * i, ["red", "white"][i % 2])
    });
    assert_eq!(Sample::new(other).load().features(), ["alcohol", "colour"]);
}

#[test]
fn few_rows_and_fractions_are_no_ids() {
    assert_eq!(
        Sample::new("age,a\n30,1.5\n41,2.5\n").load().features(),
        ["age", "a"]
    );
    let loaded = Sample::new(rows("length,a", 50, |i| format!("{i}.5,1.5"))).load();
    assert_eq!(loaded.features(), ["length", "a"]);
}

#[test]
fn configured_roles_win() {
    let loaded =
        Sample::new("id,species,note,score,when\n1,x,n,0.5,2026-01-01\n2,y,n,0.6,2026-01-02\n")
            .column("id", "feature")
            .column("species", "output:class")
            .column("note", "ignore")
            .column("when", "feature")
            .load();
    assert_eq!(loaded.features(), ["id", "when"]);
    assert_eq!(loaded.outputs(), ["class", "score"]);
    assert_eq!(loaded.role("note"), Ignore);
    assert_eq!(loaded.roles[1].2, "is set in `columns`");
}

#[test]
fn outputs_are_named_ordered_and_may_be_absent() {
    let content = "a,score,class\n1.5,0.5,x\n";
    let loaded = Sample::new(content).outputs(&["class", "score"]).load();
    assert_eq!(loaded.outputs(), ["class", "score"]);
    assert!(loaded.reference.columns.iter().all(Option::is_some));
    let loaded = Sample::new(content).outputs(&["decision"]).load();
    assert_eq!(loaded.outputs(), ["decision"]);
    assert_eq!(loaded.kind("decision"), None);
    assert_eq!(
        (loaded.role("score"), loaded.features()),
        (Ignore, vec!["a"])
    );
    let renamed = Sample::new(content)
        .outputs(&["prediction"])
        .column("score", "output:prediction");
    assert_eq!(renamed.load().outputs(), ["prediction"]);
    assert_eq!(renamed.load().kind("prediction"), Some(Kind::Numeric));
}

#[test]
fn mistakes_in_roles_say_what_to_write() {
    let sample = || Sample::new("width,height,score\n1.5,2.5,0.5\n");
    let has = "it has width, height, score";
    for (sample, expected) in [
        (
            sample().column("width", "features"),
            "columns: \"width\" has the role \"features\"; write feature, output, output:NAME, target, time, id or ignore; did you mean \"feature\"?".to_owned(),
        ),
        (
            sample().column("width", "output:"),
            "columns: \"width\" has the role \"output:\"; write feature, output, output:NAME, target, time, id or ignore; did you mean \"output\"?".to_owned(),
        ),
        (
            sample().column("widht", "ignore"),
            format!("columns: data.csv has no column \"widht\"; did you mean \"width\"?; {has}"),
        ),
        (
            sample().features(&["width", "height", "heigth"]),
            format!("features: data.csv has no column \"heigth\"; did you mean \"height\"?; {has}"),
        ),
        (
            sample().features(&["height"]),
            "features: leaves out width; add them where they belong in the order, or write columns = { width = \"ignore\" }".to_owned(),
        ),
        (
            sample().features(&["height", "width", "height"]),
            "features: \"height\" stands there twice; name each column once".to_owned(),
        ),
        (
            sample().features(&["height", "width"]).column("width", "ignore"),
            "features: names \"width\", which `columns` makes \"ignore\"; remove one of the two".to_owned(),
        ),
        (
            sample().outputs(&["scores"]),
            "outputs: data.csv has no column \"scores\", and \"score\" is close; write \"score\", or settle that column first: columns = { score = \"ignore\" }".to_owned(),
        ),
        (
            sample().outputs(&["other"]).column("score", "output"),
            "outputs: leaves out score; add them where they belong in the order, or write columns = { score = \"ignore\" }".to_owned(),
        ),
        (
            sample().column("score", "output:width"),
            "two columns of the model would be called \"width\"; rename the output: columns = { COLUMN = \"output:OTHER\" } or outputs = [\"OTHER\"]".to_owned(),
        ),
        (
            sample().kind("widt", Kind::Text),
            format!("kind: data.csv has no column \"widt\"; did you mean \"width\"?; {has}"),
        ),
        (
            sample().kind("width", Kind::Text).column("width", "ignore"),
            "kind of \"width\": the column is not checked (ignore: it is set in `columns`); remove it, or write columns = { width = \"feature\" }".to_owned(),
        ),
        (
            Sample::new("species,score\nx,0.5\n"),
            "data.csv: no column is left as a feature (species is named like a target, score is named like an output); write columns = { NAME = \"feature\" }".to_owned(),
        ),
    ] {
        assert_eq!(sample.problem(), expected);
    }
}

#[test]
fn everything_can_be_compared_but_ids_times_and_row_numbers() {
    let content = rows("id,a,species,prediction,day,n,code", 12, |i| {
        format!("u{i},{}.5,x,y,2026-01-{:02},{i},{}", i, i + 1, i % 2)
    });
    let sample = Sample::new(content);
    let path = &sample.config.path;
    let pair = Pair::open(path, path, &default_missing(), &mut |_| {}).unwrap();
    let columns = pair.schema().columns().iter();
    let features: Vec<&str> = columns.map(|column| &*column.name).collect();
    assert_eq!(features, ["a", "species", "prediction", "code"]);
    assert!(pair.schema().outputs().is_empty());
    assert_eq!(pair.notes().len(), 3, "{:?}", pair.notes());
    assert_eq!(
        pair.notes()[0],
        "id is not compared: it is named like an id, every value once"
    );
}

#[test]
fn inspection_shows_what_was_found() {
    let sample = Sample::new(rows("row,price,city", 8, |i| {
        format!("{i},{},c{}", ["1.5", "NA"][i % 2], i % 2)
    }));
    let found = inspect(&sample.config.path, &default_missing()).unwrap();
    assert_eq!(found.len(), 3);
    assert!(found[0].unclear);
    assert_eq!((found[0].role, found[0].kind), ("ignore", "numeric"));
    assert_eq!(
        (found[1].role, found[1].kind, found[1].unclear),
        ("feature", "numeric", false)
    );
    assert!((found[1].missing - 0.5).abs() < 1e-12);
    assert_eq!(found[1].examples, ["1.5"]);
    assert_eq!(
        (found[2].kind, &found[2].examples[..]),
        ("categorical", &["c0".to_owned(), "c1".to_owned()][..])
    );
}
