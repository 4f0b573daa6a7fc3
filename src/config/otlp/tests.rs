use super::*;

/// What the variables say, and every problem as it is shown.
fn parse(variables: &[(&str, &str)]) -> (Option<Config>, Vec<String>) {
    let problems = Collector::default();
    let owned = variables
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    let config = Variables::new(owned.collect(), &problems).config();
    let shown = problems
        .into_vec()
        .iter()
        .map(ToString::to_string)
        .collect();
    (config, shown)
}

#[track_caller]
fn good(variables: &[(&str, &str)]) -> Config {
    let (config, problems) = parse(variables);
    assert!(problems.is_empty(), "{problems:?}");
    config.unwrap()
}

fn endpoint(text: &str) -> Endpoint {
    Endpoint::parse(text).unwrap()
}

fn resource(config: &Config) -> Vec<(String, String)> {
    let pair = |pair: &KeyValue| (pair.key.to_string(), pair.value.to_string());
    config.resource.iter().map(pair).collect()
}

#[test]
fn an_endpoint_is_all_it_takes() {
    let config = good(&[(ENDPOINT, " http://collector:4318 ")]);
    let version = env!("CARGO_PKG_VERSION");
    let expected = Config {
        endpoint: endpoint("http://collector:4318/v1/metrics"),
        headers: Vec::new(),
        gzip: false,
        ca: None,
        timeout: Duration::from_secs(10),
        interval: Duration::from_secs(60),
        resource: vec![
            KeyValue::new("service.name", "driftd"),
            KeyValue::new("service.version", version),
        ],
    };
    assert_eq!(config, expected);
}

#[test]
fn the_path_is_added_to_the_endpoint_of_all_signals_alone() {
    for (base, whole) in [
        ("http://c:4318/", "http://c:4318/v1/metrics"),
        ("http://c/tenant", "http://c/tenant/v1/metrics"),
        ("http://c/tenant/", "http://c/tenant/v1/metrics"),
    ] {
        assert_eq!(good(&[(ENDPOINT, base)]).endpoint, endpoint(whole));
    }
    let both = [
        (ENDPOINT, "http://c:4318"),
        (METRICS_ENDPOINT, "http://m:4318/push?key=1"),
    ];
    assert_eq!(good(&both).endpoint, endpoint("http://m:4318/push?key=1"));
    let empty = [(ENDPOINT, "http://c"), (METRICS_ENDPOINT, "")];
    assert_eq!(good(&empty).endpoint, endpoint("http://c/v1/metrics"));
}

#[test]
fn what_is_for_metrics_comes_before_what_is_for_all() {
    let config = good(&[
        (ENDPOINT, "http://c:4318"),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-all=1"),
        (
            "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
            "Authorization=Bearer%20a%2Cb=, x-b = 2 ,",
        ),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "5000"),
        ("OTEL_EXPORTER_OTLP_METRICS_TIMEOUT", "2500"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "15000"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/protobuf"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip"),
        ("OTEL_EXPORTER_OTLP_CERTIFICATE", "/ca.pem"),
        ("OTEL_METRICS_EXPORTER", "prometheus,otlp"),
        ("OTEL_SDK_DISABLED", "False"),
    ]);
    let header = |name: &str, value: &str| Header {
        name: name.to_owned(),
        value: value.to_owned(),
    };
    let expected = [header("Authorization", "Bearer a,b="), header("x-b", "2")];
    assert_eq!(config.headers, expected);
    assert_eq!(config.timeout, Duration::from_millis(2500));
    assert_eq!(config.interval, Duration::from_secs(15));
    assert!(config.gzip);
    assert_eq!(config.ca, Some("/ca.pem".into()));
    let shown = format!("{config:?}");
    assert!(!shown.contains("Bearer"), "{shown}");
}

#[test]
fn the_resource_is_what_was_said_of_it() {
    let attributes = "service.name=other,deployment.environment=pr%C3%B6d,service.instance.id=a=b";
    let variables = [
        (ENDPOINT, "http://c"),
        ("OTEL_RESOURCE_ATTRIBUTES", attributes),
    ];
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    let mut expected = [
        pair("deployment.environment", "pröd"),
        pair("service.instance.id", "a=b"),
        pair("service.name", "other"),
        pair("service.version", env!("CARGO_PKG_VERSION")),
    ];
    assert_eq!(resource(&good(&variables)), expected);
    let named = [variables[0], variables[1], ("OTEL_SERVICE_NAME", "mine")];
    expected[2] = pair("service.name", "mine");
    assert_eq!(resource(&good(&named)), expected);
}

#[test]
fn without_an_endpoint_or_switched_off_nothing_is_exported() {
    for variables in [
        &[("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")][..],
        &[(ENDPOINT, " ")],
        &[(ENDPOINT, "http://c"), ("OTEL_METRICS_EXPORTER", "none")],
        &[
            (ENDPOINT, "http://c"),
            ("OTEL_METRICS_EXPORTER", "prometheus"),
        ],
        &[(ENDPOINT, "http://c"), ("OTEL_SDK_DISABLED", "TRUE")],
        // Not looked at where it is switched off.
        &[(ENDPOINT, "c:4317"), ("OTEL_SDK_DISABLED", "true")],
    ] {
        assert_eq!(parse(variables), (None, Vec::new()), "{variables:?}");
    }
}

#[test]
fn everything_wrong_is_said_at_once_and_no_secret_with_it() {
    let (_, problems) = parse(&[
        (ENDPOINT, "collector:4317/topsecret"),
        ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "topsecret,a b=topsecret,x=%zz,y=%0A,Host=z,%=topsecret",
        ),
        ("OTEL_EXPORTER_OTLP_TIMEOUT", "10s"),
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_EXPORTER_OTLP_COMPRESSION", "zstd"),
        ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta"),
        ("OTEL_METRICS_EXPORTER", "otlp,console"),
        ("OTEL_RESOURCE_ATTRIBUTES", "a=1,b"),
        ("OTEL_SDK_DISABLED", "yes"),
    ]);
    let shown = problems.join("\n");
    assert!(!shown.contains("topsecret"), "{shown}");
    for (name, value, right) in [
        (ENDPOINT, "", "no http:// or https:// in front"),
        (
            "OTEL_EXPORTER_OTLP_PROTOCOL",
            " = \"grpc\"",
            "write http/protobuf",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "",
            "entry 1: it has no =; write key=value",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "",
            "entry 2: its name is no header's",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "",
            "entry 3: a % without two hexadecimal digits",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "",
            "entry 4: the value of y has characters",
        ),
        (
            "OTEL_EXPORTER_OTLP_HEADERS",
            "",
            "entry 5: host is set by driftd itself",
        ),
        ("OTEL_EXPORTER_OTLP_HEADERS", "", "entry 6: a % without"),
        (
            "OTEL_EXPORTER_OTLP_TIMEOUT",
            " = \"10s\"",
            "write milliseconds, from 100 to 86400000",
        ),
        (
            "OTEL_METRIC_EXPORT_INTERVAL",
            " = \"0\"",
            "write milliseconds",
        ),
        (
            "OTEL_EXPORTER_OTLP_COMPRESSION",
            " = \"zstd\"",
            "write gzip or none",
        ),
        (
            "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
            " = \"delta\"",
            "write cumulative",
        ),
        (
            "OTEL_METRICS_EXPORTER",
            " = \"otlp,console\"",
            "write otlp, prometheus or none",
        ),
        (
            "OTEL_RESOURCE_ATTRIBUTES",
            " = \"a=1,b\"",
            "entry 2: it has no =",
        ),
        ("OTEL_SDK_DISABLED", " = \"yes\"", "write true or false"),
    ] {
        let head = format!("environment: {name}{value}: ");
        let found = |line: &String| line.starts_with(&head) && line.contains(right);
        assert!(problems.iter().any(found), "{head}…{right}\n{shown}");
    }
    assert_eq!(problems.len(), 15, "{shown}");
    let query = parse(&[(ENDPOINT, "http://c/?key=topsecret")]);
    assert!(
        query.1[0].contains("cannot be added behind a ?"),
        "{query:?}"
    );
    assert!(!query.1[0].contains("topsecret"), "{query:?}");
}

#[test]
fn a_build_without_the_feature_says_so_where_it_is_asked() {
    let warned = |variables: &[(&str, &str)]| {
        let owned = variables
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        let (problems, mut warnings) = (Collector::default(), Vec::new());
        let config = read(owned.collect(), &problems, &mut warnings);
        assert!(problems.into_vec().is_empty());
        assert_eq!(
            config.is_some(),
            cfg!(feature = "otlp") && variables.len() == 1
        );
        warnings.len()
    };
    let expected = usize::from(!cfg!(feature = "otlp"));
    assert_eq!(warned(&[(ENDPOINT, "http://c")]), expected);
    assert_eq!(warned(&[(METRICS_ENDPOINT, "http://c")]), expected);
    assert_eq!(
        warned(&[(ENDPOINT, "http://c"), ("OTEL_METRICS_EXPORTER", "none")]),
        0
    );
    assert_eq!(warned(&[]), 0);
}

#[test]
fn a_certificate_of_its_own_is_nothing_driftd_ignores() {
    for name in [
        "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_CLIENT_KEY",
        "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
        "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
    ] {
        let (_, problems) = parse(&[(ENDPOINT, "https://c:4318"), (name, "/etc/own.pem")]);
        assert_eq!(problems.len(), 1, "{problems:?}");
        assert!(
            problems[0].contains(name) && problems[0].contains("/etc/own.pem"),
            "{problems:?}"
        );
    }
}
