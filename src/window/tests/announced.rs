//! What is to be announced, and for how long it is kept.

use super::*;

fn announcement(id: &str, time: i64) -> Announcement {
    Announcement {
        id: id.to_owned(),
        time: Timestamp(time),
        from: "ok".to_owned(),
        to: "alert".to_owned(),
        body: "{}".to_owned(),
    }
}

#[test]
fn what_is_pending_is_kept_until_it_is_known_what_became_of_it() {
    let mut fixture = Fixture::new(iris());
    fixture.config.keep_for = Duration::from_secs(1);
    let window = fixture.open(T0).window;
    for id in ["settled", "pending"] {
        let new = Some(announcement(id, T0));
        window.announce("default", 0, "alert", new).unwrap();
    }
    window
        .end_announcement("settled", "delivered", Timestamp(T0))
        .unwrap();
    window.close();
    let window = fixture.open(T0 + 10_000).window;
    // Many came after it.
    window.settle(
        "INSERT INTO announcement_data (number, id, receiver, model, time, \"from\", \"to\", body, outcome) \
         SELECT 50000, 'last', 'default', 1, max(time) + 60000, 'ok', 'ok', '', 'delivered' FROM announcement_data",
    );
    let pending = window.announced("default", 0).unwrap().pending;
    let ids: Vec<&str> = (pending.iter())
        .map(|pending| pending.announcement.id.as_str())
        .collect();
    assert_eq!(ids, ["pending"]);
    let all: String =
        fixture.query("SELECT group_concat(id, ' ' ORDER BY number) FROM announcement_data");
    assert_eq!(all, "pending last");
    window
        .end_announcement("pending", "expired", Timestamp(T0))
        .unwrap();
    window.settle("");
    assert_eq!(
        fixture.query::<String>("SELECT id FROM announcement_data"),
        "last"
    );
}
