//! What it takes to change something.

use super::*;

const BODY: &str = r#"{"model":"iris","feature":"age","reason":"new form","by":"mira"}"#;

impl Served {
    async fn post(&self, target: &str, token: Option<&str>, body: &str) -> String {
        let header = token.map_or_else(String::new, |token| {
            format!("authorization: Bearer {token}\r\n")
        });
        let length = body.len();
        self.raw(&format!(
            "POST {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{header}content-length: {length}\r\n\r\n{body}"
        ))
        .await
    }

    fn asked(&self) -> usize {
        self.changes.lock().unwrap().len()
    }
}

fn status(response: &str) -> &str {
    response.split(' ').nth(1).unwrap()
}

const CHANGING: [&str; 3] = ["/api/v1/accept", "/api/v1/unaccept", "/-/reload"];

#[tokio::test]
async fn the_token_opens_what_changes_something() {
    let served = served(Routes::Full).await;
    for (target, body) in [
        ("/api/v1/accept", BODY),
        ("/api/v1/unaccept", r#"{"model":"iris"}"#),
        ("/-/reload", ""),
    ] {
        let response = served.post(target, Some(TOKEN), body).await;
        assert_eq!(status(&response), "200", "{target}: {response}");
        assert!(response.ends_with("{\"done\":true}"), "{response}");
    }
    assert_eq!(served.asked(), 3);
}

#[tokio::test]
async fn without_the_right_token_nothing_is_changed() {
    let served = served(Routes::Full).await;
    let almost = &TOKEN[..TOKEN.len() - 1];
    for target in CHANGING {
        for token in [None, Some(""), Some("wrong"), Some(almost)] {
            let response = served.post(target, token, BODY).await;
            assert_eq!(status(&response), "401", "{target} {token:?}");
            assert!(response.contains("www-authenticate: Bearer"), "{response}");
        }
    }
    // As a form of another origin could send it: cookies and fields, but no header.
    let form = format!("token={TOKEN}");
    assert_eq!(status(&served.post("/-/reload", None, &form).await), "401");
    served.token.store(None);
    for target in CHANGING {
        let response = served.post(target, Some(TOKEN), BODY).await;
        assert_eq!(status(&response), "403", "{target}");
        assert!(response.contains("admin_token_file"), "{response}");
    }
    assert_eq!(served.asked(), 0);
}

#[tokio::test]
async fn reading_never_changes_anything() {
    let served = served(Routes::Full).await;
    for target in CHANGING {
        for method in ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"] {
            let response = served
                .raw(&format!(
                    "{method} {target} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\nauthorization: Bearer {TOKEN}\r\n\r\n"
                ))
                .await;
            let lists = target == "/api/v1/accept" && matches!(method, "GET" | "HEAD");
            let expected = if lists { "200" } else { "405" };
            assert_eq!(status(&response), expected, "{method} {target}");
        }
    }
    assert_eq!(served.asked(), 0);
}

#[tokio::test]
async fn a_listener_for_metrics_changes_nothing() {
    let served = served(Routes::MetricsOnly).await;
    for target in CHANGING {
        let response = served.post(target, Some(TOKEN), BODY).await;
        assert_eq!(status(&response), "404", "{target}");
    }
    assert_eq!(served.asked(), 0);
}

#[tokio::test]
async fn bodies_are_small_and_errors_name_the_field() {
    let served = served(Routes::Full).await;
    let long = format!(r#"{{"model":"iris","reason":"{}"}}"#, "x".repeat(16 * 1024));
    let response = served.post("/api/v1/accept", Some(TOKEN), &long).await;
    assert_eq!(status(&response), "413");
    let wrong = r#"{"model":"iris","reasn":"new form"}"#;
    let response = served.post("/api/v1/accept", Some(TOKEN), wrong).await;
    assert_eq!(status(&response), "400");
    let said: serde_json::Value = serde_json::from_str(body(&response)).unwrap();
    let fields: Vec<&str> = (said["problems"].as_array().unwrap().iter())
        .map(|problem| problem["field"].as_str().unwrap())
        .collect();
    assert_eq!(fields, ["reason", "reasn"]);
    assert_eq!(served.asked(), 0);
}
