//! What is connected to models: webhooks, the processes of their servers.

use super::*;
use crate::drift::report::Level;
use crate::process::Source;
use crate::push::{Format, SecretSource};

#[test]
fn webhooks_are_one_table_or_several_or_come_from_the_environment() {
    let one = format!("{UPSTREAM}[webhook]\nurl = \"https://hooks.example/T0/s3cret\"\n");
    let hook = from_toml(&one).unwrap().webhooks.remove(0);
    assert_eq!(hook.name, "default");
    assert_eq!(hook.levels, [Level::Ok, Level::Warn, Level::Alert]);
    assert_eq!(hook.retry_for, DAY);
    let several = format!(
        "{UPSTREAM}[[webhook]]\nname = \"a\"\nurl = \"http://a/\"\nformat = \"slack\"\n\
         [[webhook]]\nname = \"b\"\nurl = \"http://b:81/x\"\non = [\"alert\"]\n\
         secret = \"whsec_MDEyMzQ1Njc4OWFiY2RlZg==\"\n"
    );
    let hooks = from_toml(&several).unwrap().webhooks;
    assert_eq!(
        (hooks[0].format, hooks[1].levels[0]),
        (Format::Slack, Level::Alert)
    );
    let (url, secret) = ("DRIFTD_WEBHOOK__URL", "DRIFTD_WEBHOOK__SECRET");
    let pairs = [
        (url, "http://a/s3cret"),
        (secret, "0123456789abcdef"),
        ("DRIFTD_WEBHOOK__ON", "alert,ok"),
    ];
    let hook = from_environment(&pairs).unwrap().webhooks.remove(0);
    assert!(matches!(hook.secret, SecretSource::Given(_)));
    assert_eq!(hook.levels, [Level::Ok, Level::Alert]);
    let shown = format!("{hook:?}");
    assert!(
        !shown.contains("s3cret") && !shown.contains("0123"),
        "{shown}"
    );
    assert!(from_toml(UPSTREAM).unwrap().webhooks.is_empty());
}

#[test]
fn what_is_wrong_with_a_webhook_is_said_without_its_secrets() {
    let url = "url = \"http://hooks.example/s3cret\"";
    for (text, part) in [
        ("", "webhook.url: missing"),
        ("url = \"hooks.example/s3cret\"", "no http:// or https://"),
        ("url = \"http://me:s3cret@hooks.example/\"", "credentials"),
        ("url = \"http://hooks.example:0/s3cret\"", "port 0"),
        ("url_file = \"/no/such/file\"", "No such file"),
        (
            &format!("{url}\nurl_file = \"/x\""),
            "either url or url_file",
        ),
        (
            &format!("{url}\nsecret = \"s3cret\""),
            "a secret of 6 bytes",
        ),
        (&format!("{url}\nsecret = \"whsec_s3cret!\""), "not base64"),
        (
            &format!("{url}\nsecret_file = \"/no/such/file\""),
            "cannot read",
        ),
        (&format!("{url}\non = [\"ok\"]"), "not \"ok\" alone"),
        (&format!("{url}\non = [\"alarm\"]"), "no list of levels"),
        (&format!("{url}\nformat = \"xml\""), "cloudevents, slack"),
        (&format!("{url}\nqueue = 0"), "at least 1"),
        (&format!("{url}\nname = \"a b\""), "letters, digits"),
        (&format!("{url}\nretyr_for = \"1h\""), "did you mean"),
    ] {
        let said = from_toml(&format!("{UPSTREAM}[webhook]\n{text}\n"));
        let said = said.unwrap_err().to_string();
        assert!(said.contains(part), "{text}: {said}");
        assert!(!said.contains("s3cret"), "{said}");
    }
    let twice = format!("{UPSTREAM}[[webhook]]\n{url}\n[[webhook]]\n{url}\n");
    assert!(
        from_toml(&twice)
            .unwrap_err()
            .to_string()
            .contains("two webhooks are named default")
    );
}

#[test]
fn a_webhook_of_another_shape_is_not_shown_either() {
    let url = "https://hooks.example/T0/s3cret";
    for (given, part) in [
        (format!("webhook = \"{url}\""), "write a table: [webhook]"),
        (
            format!("webhook = [\"{url}\"]"),
            "write a list of tables: [[webhook]]",
        ),
        (
            format!("[webhook]\nurl_file = \"{url}\""),
            "the path of a file that holds the address",
        ),
    ] {
        let text = format!("{given}\n{UPSTREAM}");
        let text = if given.starts_with('[') {
            format!("{UPSTREAM}{given}\n")
        } else {
            text
        };
        let said = from_toml(&text).unwrap_err().to_string();
        assert!(said.contains("webhook") && said.contains(part), "{said}");
        assert!(
            said.contains("\"***\"") && !said.contains("s3cret"),
            "{said}"
        );
    }
}

#[test]
fn the_processes_of_a_server_are_found_by_its_address_or_as_configured() {
    let process = |upstream: &str, more: &str| {
        let config = from_toml(&format!("upstream = \"{upstream}\"\n{more}\n")).unwrap();
        config.models[0].process.clone()
    };
    let local = "http://127.0.0.1:5000";
    assert_eq!(process(local, ""), Some(Source::Port(5000)));
    assert_eq!(process("http://localhost:81", ""), Some(Source::Port(81)));
    assert_eq!(
        process("http://[::1]:81", "process = \"auto\""),
        Some(Source::Port(81))
    );
    assert_eq!(
        process("unix:/run/m.sock", ""),
        Some(Source::Socket("/run/m.sock".into()))
    );
    assert_eq!(process("http://model:5000", ""), None);
    assert_eq!(process(local, "process = \"off\""), None);
    assert_eq!(
        process("http://model:5000", "process = { port = 5001 }"),
        Some(Source::Port(5001))
    );
    let cgroup = "process = { cgroup = \"/sys/fs/cgroup/system.slice/m.service\" }";
    let path = "/sys/fs/cgroup/system.slice/m.service".into();
    assert_eq!(process(local, cgroup), Some(Source::Cgroup(path)));
    let given = from_environment(&[("DRIFTD_PROCESS__PID_FILE", "/run/m.pid")]).unwrap();
    assert_eq!(
        given.models[0].process,
        Some(Source::PidFile("/run/m.pid".into()))
    );
    for (text, part) in [
        ("process = \"on\"", "process: write \"auto\""),
        ("process = {}", "one of pid_file, cgroup and port"),
        (
            "process = { port = 1, cgroup = \"/x\" }",
            "one of pid_file, cgroup and port",
        ),
        ("process = { port = 0 }", "a port from 1 to 65535"),
        ("process = { pid = 7 }", "no such key"),
    ] {
        let said = problems(&format!("{UPSTREAM}{text}\n")).join("\n");
        assert!(said.contains(part), "{text}: {said}");
    }
}
