use std::io::Write as _;

use super::*;
use crate::drift::decide::Rule;

mod attached;

const DAY: Duration = Duration::from_secs(86_400);

fn given(pairs: &[(&str, &str)]) -> Given {
    let mut given = Given::default();
    for (key, value) in pairs {
        given.set(key, (*value).to_owned(), format!("--{key}"));
    }
    given
}

fn from_toml(text: &str) -> Result<Config, Problems> {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    load(Some(file.path()), std::iter::empty(), Given::default())
}

fn problems(text: &str) -> Vec<String> {
    let problems = from_toml(text)
        .expect_err("a configuration with problems")
        .0;
    problems
        .iter()
        .map(|p| format!("{}: {}", p.key, p.message))
        .collect()
}

const UPSTREAM: &str = "upstream = \"http://127.0.0.1:5000\"\n";

#[test]
fn an_upstream_is_all_it_takes() {
    let config = from_given(given(&[("upstream", "http://127.0.0.1:5000")])).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.admin.to_string(), "127.0.0.1:9464");
    assert_eq!(config.models.len(), 1);
    assert_eq!(config.models[0].name.as_str(), "default");
    assert_eq!(config.drift.policy.rule, Rule::Budget);
    assert_eq!(config.drift.main.length, SpanLength::Time(DAY));
    assert_eq!(config.window.max_bytes, 1 << 30);
}

#[test]
fn the_documented_file_is_read_whole() {
    let config = from_toml(
        r#"
        listen       = "127.0.0.1:8081"
        admin        = "127.0.0.1:9465"
        metrics      = "0.0.0.0:9466"
        upstream     = "http://127.0.0.1:5000"
        external_url = "https://driftd.example"
        [window]
        path      = "w.db"
        keep_rows = 50_000
        keep_for  = "7d"
        max_bytes = "512MiB"
        [tap]
        max_body = "2MiB"
        queue    = "16MiB"
        sample   = 0.5
        exclude  = [{ header = "user-agent", prefix = "kube-probe" }, { path = "/healthz" }]
        headers  = ["X-Tenant"]
        [proxy]
        max_connections    = 500
        max_in_flight      = 64
        max_head           = "16KiB"
        max_headers        = 200
        header_timeout     = "10s"
        idle_timeout       = "2m"
        body_timeout       = "20s"
        write_timeout      = "30s"
        tunnel_timeout     = "off"
        upstream_keepalive = false
        forwarded          = "replace"
        [drift]
        every        = "30s"
        current      = "1000 rows"
        fast         = "off"
        min_rows     = 100
        max_rows     = 5000
        max_age      = "10d"
        false_alarms = "2 per 7d"
        decision     = "pvalue"
        min_effect   = 0.2
        min_coverage = 0.8
        [[model]]
        name      = "iris"
        paths     = ["/predict"]
        upstream  = "unix:/run/iris.sock"
        version   = "2026-11"
        reference = "reference_data/iris.csv"
        features  = ["sepal_length", "MixedCase"]
        outputs   = ["prediction"]
        columns   = { id = "ignore", Churned = "target" }
        missing   = ["", "NA"]
        [[model.feature]]
        name       = "MixedCase"
        kind       = "categorical"
        min_effect = 0.05
        store      = "hash"
        "#,
    )
    .unwrap();
    assert_eq!(config.drift.main.length, SpanLength::Rows(1000));
    assert!(config.drift.fast.is_none());
    assert!((config.drift.allowance.alarms - 2.0).abs() < 1e-12);
    assert_eq!(config.drift.allowance.per, 7 * DAY);
    assert_eq!(config.exclude.len(), 2);
    assert_eq!(config.headers.names().collect::<Vec<_>>(), ["x-tenant"]);
    assert_eq!(config.max_connections.unwrap().get(), 500);
    let seconds = Duration::from_secs;
    let limits = crate::proxy::Limits {
        max_in_flight: 64.try_into().unwrap(),
        max_head: 16 * 1024,
        max_headers: 200,
        header_timeout: seconds(10),
        idle_timeout: seconds(120),
        body_timeout: seconds(20),
        write_timeout: seconds(30),
        tunnel_timeout: None,
        upstream_keepalive: false,
        forwarded: crate::proxy::Forwarded::Replace,
    };
    assert_eq!(config.limits, limits);
    let model = &config.models[0];
    assert_eq!(model.upstream.to_string(), "unix:/run/iris.sock");
    assert_eq!(model.features, ["sepal_length", "MixedCase"]);
    let reference = model.reference.as_ref().unwrap();
    assert_eq!(reference.columns["Churned"], "target");
    assert_eq!(reference.missing, ["", "NA"]);
    assert_eq!(
        reference.kinds["MixedCase"],
        crate::feature::Kind::Categorical
    );
    assert!(
        reference.path.is_absolute(),
        "relative to the file: {}",
        reference.path.display()
    );
    assert_eq!(model.overrides[0].store, crate::feature::Store::Hash);
    assert!((model.overrides[0].policy.min_effect - 0.05).abs() < 1e-12);
}

#[test]
fn an_address_is_short_for_a_table_of_metrics() {
    use crate::drift::histogram::Selection;

    let read = |table: &str| {
        let config = from_toml(&format!("{UPSTREAM}{table}")).unwrap();
        (config.metrics, config.drift.histograms)
    };
    let address = Some("0.0.0.0:9466".parse().unwrap());
    assert_eq!(read(""), (None, Selection::Top(50)));
    let short = "metrics = \"0.0.0.0:9466\"\n";
    assert_eq!(read(short), (address, Selection::Top(50)));
    let whole = "[metrics]\nlisten = \"0.0.0.0:9466\"\nfeatures = \"top 7\"\n";
    assert_eq!(read(whole), (address, Selection::Top(7)));
    for (features, selection) in [
        ("\"all\"", Selection::All),
        ("\"off\"", Selection::Off),
        ("0", Selection::Off),
        ("\"top 0\"", Selection::Off),
    ] {
        let table = format!("[metrics]\nfeatures = {features}\n");
        assert_eq!(read(&table), (None, selection));
    }
    for wrong in ["50", "\"top\"", "\"top -1\"", "\"first 3\"", "true"] {
        let found = problems(&format!("{UPSTREAM}[metrics]\nfeatures = {wrong}\n"));
        let right = "metrics.features: write \"top 50\" (outputs, then inputs";
        assert!(
            found.len() == 1 && found[0].starts_with(right),
            "{wrong}: {found:#?}"
        );
    }
}

#[test]
fn the_environment_sets_one_key_of_the_metrics_and_leaves_the_other() {
    use crate::drift::histogram::Selection;

    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("driftd.toml");
    let address: std::net::SocketAddr = "0.0.0.0:9466".parse().unwrap();
    for (file, variable, value) in [
        (
            "metrics = \"0.0.0.0:9466\"",
            "DRIFTD_METRICS__FEATURES",
            "all",
        ),
        (
            "[metrics]\nfeatures = \"all\"",
            "DRIFTD_METRICS",
            "0.0.0.0:9466",
        ),
        (
            "[metrics]\nfeatures = \"all\"",
            "DRIFTD_METRICS__LISTEN",
            "0.0.0.0:9466",
        ),
    ] {
        std::fs::write(&path, format!("{UPSTREAM}{file}\n")).unwrap();
        let environment = [(variable.to_owned(), value.to_owned())];
        let config = load(Some(&path), environment.into_iter(), Given::default()).unwrap();
        let found = (config.metrics, config.drift.histograms);
        assert_eq!(found, (Some(address), Selection::All), "{variable}");
    }
}

#[test]
fn limits_that_cannot_be_are_refused_and_the_usual_ones_stand_elsewhere() {
    let config = from_toml(&format!("{UPSTREAM}[proxy]\nmax_in_flight = 3\n")).unwrap();
    let usual = crate::proxy::Limits::default();
    assert_eq!(config.limits.max_in_flight.get(), 3);
    assert_eq!(config.limits.idle_timeout, usual.idle_timeout);
    assert_eq!(config.max_connections, None);
    for (line, right) in [
        ("max_in_flight = 0", "a whole number of at least 1"),
        ("max_connections = 0", "a whole number of at least 1"),
        ("max_head = \"100B\"", "a size from \"1KiB\" to \"1MiB\""),
        ("max_head = \"2MiB\"", "a size from \"1KiB\" to \"1MiB\""),
        ("max_headers = 40000", "a whole number from 1 to 10000"),
        ("idle_timeout = \"0s\"", "a duration such as"),
        ("write_timeout = \"off\"", "a duration such as"),
        (
            "tunnel_timeout = \"0s\"",
            "a duration such as \"1h\", or \"off\"",
        ),
        ("upstream_keepalive = \"off\"", "true or false"),
        ("forwarded = \"yes\"", "\"append\", \"off\" or \"replace\""),
    ] {
        let found = problems(&format!("{UPSTREAM}[proxy]\n{line}\n"));
        let key = line.split(' ').next().unwrap();
        assert!(
            found.len() == 1 && found[0].starts_with(&format!("proxy.{key}: write {right}")),
            "{line}: {found:#?}"
        );
    }
}

#[test]
fn every_problem_is_reported_at_once_with_its_place() {
    let found = problems(&format!(
        "{UPSTREAM}lisen = \"x\"\n[drift]\nevery = \"soon\"\nmin_rows = -3\n[tap]\nsample = 2.0\n"
    ));
    assert_eq!(found.len(), 4, "{found:#?}");
    assert!(
        found
            .iter()
            .any(|p| p.starts_with("lisen: no such key; did you mean `listen`?"))
    );
    assert!(
        found
            .iter()
            .any(|p| p.starts_with("drift.every: write a duration such as"))
    );
    assert!(
        found
            .iter()
            .any(|p| p.starts_with("drift.min_rows: write a whole number"))
    );
    assert!(
        found
            .iter()
            .any(|p| p.starts_with("tap.sample: write a share between 0 and 1"))
    );
}

#[test]
fn secrets_are_no_headers_to_capture_and_half_a_rule_is_none() {
    let found = problems(&format!(
        "{UPSTREAM}[tap]\nheaders = [\"x-tenant\", \"Authorization\"]\n\
         exclude = [{{ path = \"healthz\" }}, {{ header = \"host\" }}, {{ path = \"/\", prefix = \"x\" }}]\n"
    ));
    assert_eq!(found.len(), 4, "{found:#?}");
    for expected in [
        "tap.headers: \"Authorization\" holds a secret and is never captured",
        "tap.exclude[0].path: \"healthz\" is not the beginning of a path",
        "tap.exclude[1]: write { header",
        "tap.exclude[2]: write { header",
    ] {
        let named = found.iter().any(|problem| problem.starts_with(expected));
        assert!(named, "{expected}: {found:#?}");
    }
}

#[test]
fn a_problem_names_its_origin_and_value() {
    let environment = [("DRIFTD_DRIFT__EVERY".to_owned(), "never".to_owned())];
    let flags = given(&[("upstream", "ftp://x")]);
    let text = load(None, environment.into_iter(), flags)
        .unwrap_err()
        .to_string();
    assert!(
        text.contains(
            "environment variable DRIFTD_DRIFT__EVERY: drift.every = \"never\": write a duration"
        ),
        "{text}"
    );
    assert!(
        text.contains("--upstream: upstream = \"ftp://x\""),
        "{text}"
    );
    assert!(text.starts_with("2 configuration errors"), "{text}");
}

#[test]
fn flags_override_environment_and_environment_overrides_the_file() {
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    write!(
        file,
        "{UPSTREAM}listen = \"127.0.0.1:1\"\nadmin = \"127.0.0.1:2\"\n"
    )
    .unwrap();
    let environment = [
        ("DRIFTD_LISTEN".to_owned(), "127.0.0.1:11".to_owned()),
        ("DRIFTD_ADMIN".to_owned(), "127.0.0.1:12".to_owned()),
    ];
    let flags = given(&[("admin", "127.0.0.1:22")]);
    let config = load(Some(file.path()), environment.into_iter(), flags).unwrap();
    assert!(config.listen.to_string().ends_with(":11"));
    assert_eq!(config.admin.port(), 22);
}

#[test]
fn what_kubernetes_injects_is_ignored_and_other_strangers_warn() {
    let injected = [
        ("DRIFTD_PORT", "tcp://10.0.0.1:8080"),
        ("DRIFTD_PORT_8080_TCP_ADDR", "10.0.0.1"),
        ("DRIFTD_SERVICE_HOST", "10.0.0.1"),
        ("DRIFTD_SERVICE_PORT_HTTP", "8080"),
        ("DRIFTD_LISTNE", "127.0.0.1:1"),
        ("DRIFTD_UPSTREAM", "http://127.0.0.1:5000"),
    ];
    let environment = injected
        .map(|(k, v)| (k.to_owned(), v.to_owned()))
        .into_iter();
    let config = load(None, environment, Given::default()).unwrap();
    assert_eq!(config.warnings.len(), 1, "{:?}", config.warnings);
    assert!(config.warnings[0].contains("DRIFTD_LISTNE"));
}

#[test]
fn models_are_told_apart() {
    let found = problems(&format!(
        "{UPSTREAM}reference = \"r.csv\"\n[[model]]\nname = \"a\"\npaths = [\"/p\"]\n\
         [[model]]\nname = \"a\"\npaths = [\"/p/\", \"q\"]\n[[model]]\nname = \"b c\"\n"
    ));
    let has = |part: &str| assert!(found.iter().any(|p| p.contains(part)), "{part}: {found:#?}");
    has("two models are named a");
    has("\"/p/\" belongs to model a already");
    has("\"q\" is no path; write \"/q\"");
    has("model[2].name: write a name of letters");
    has("reference: which model?");
}

#[test]
fn no_upstream_is_a_problem_that_says_what_to_write() {
    let found = problems("[drift]\nevery = \"1s\"\n");
    assert_eq!(found.len(), 1, "{found:#?}");
    assert!(found[0].contains("such as \"http://127.0.0.1:5000\""));
}

#[test]
fn a_broken_or_absent_file_is_named() {
    let text = from_toml("listen = \n").unwrap_err().to_string();
    assert!(text.contains(".toml"), "{text}");
    let absent = Path::new("/nowhere/driftd.toml");
    let text = load(Some(absent), std::iter::empty(), Given::default())
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("/nowhere/driftd.toml: the file cannot be read"),
        "{text}"
    );
}

#[test]
fn spans_that_cannot_work_are_refused() {
    let found = problems(&format!(
        "{UPSTREAM}[drift]\ncurrent = \"20000 rows\"\nmax_rows = 100\n"
    ));
    assert!(
        found
            .iter()
            .any(|p| p.contains("longer than drift.max_rows = 100")),
        "{found:#?}"
    );
    assert!(
        found
            .iter()
            .any(|p| p.contains("100 is below min_rows = 200")),
        "{found:#?}"
    );
}

fn from_environment(variables: &[(&str, &str)]) -> Result<Config, Problems> {
    let variables =
        (variables.iter()).map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
    file.write_all(UPSTREAM.as_bytes()).unwrap();
    load(Some(file.path()), variables, Given::default())
}

#[test]
fn the_token_comes_from_file_environment_or_a_file_of_its_own() {
    let none = from_toml(UPSTREAM).unwrap().admin_token;
    assert_eq!(none, TokenSource::None);
    let written = format!("admin_token = \"0123456789\"\n{UPSTREAM}");
    let written = from_toml(&written).unwrap();
    assert!(
        written
            .admin_token
            .read()
            .unwrap()
            .unwrap()
            .is(b"0123456789")
    );
    let shown = format!("{written:?}");
    assert!(!shown.contains("0123456789"), "{shown}");
    let given = from_environment(&[("DRIFTD_ADMIN_TOKEN", "abcdefghij")]).unwrap();
    assert!(given.admin_token.read().unwrap().unwrap().is(b"abcdefghij"));
    // Relative to the configuration where it is written there, as it stands where it is not.
    let given = from_environment(&[("DRIFTD_ADMIN_TOKEN_FILE", "run/token")]).unwrap();
    assert_eq!(given.admin_token, TokenSource::File("run/token".into()));
    let written = from_toml(&format!("admin_token_file = \"token\"\n{UPSTREAM}")).unwrap();
    let TokenSource::File(path) = written.admin_token else {
        panic!("{:?}", written.admin_token);
    };
    assert!(path.is_absolute() && path.ends_with("token"), "{path:?}");
}

#[test]
fn what_is_wrong_with_a_token_is_said_without_it() {
    for (text, part) in [
        ("admin_token = \"s3cret!\"", "characters"),
        ("admin_token = \"s3cret! with a space\"", "no spaces"),
        (
            "admin_token = \"s3cret!s3cret!\"\nadmin_token_file = \"x\"",
            "either",
        ),
        ("admin_token = 12345678", "write a string"),
        ("admin_token_file = \"\"", "the path"),
    ] {
        let said = from_toml(&format!("{text}\n{UPSTREAM}"))
            .unwrap_err()
            .to_string();
        assert!(said.contains(part), "{text}: {said}");
        assert!(
            !said.contains("s3cret") && !said.contains("12345678"),
            "{said}"
        );
    }
}
