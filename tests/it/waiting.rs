//! How tests wait: for what shows, or for time in which something must not.

use std::thread;
use std::time::{Duration, Instant};

/// Longest any test waits for anything. Shorter than the times after which driftd gives up by itself, of
/// which a `grace` of 25 s is the shortest: what ends only by those has failed.
pub(crate) const PATIENCE: Duration = Duration::from_secs(24);

/// Between two looks: a test that spins takes the processor from those it waits for.
const LOOK: Duration = Duration::from_millis(1);

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    within(PATIENCE, || condition().then_some(()), || what.to_owned());
}

/// Waits for what `look` finds, at most this time; `what` it waited for in vain may tell how things stand
/// then.
#[track_caller]
pub(crate) fn within<T>(
    patience: Duration,
    mut look: impl FnMut() -> Option<T>,
    what: impl FnOnce() -> String,
) -> T {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(found) = look() {
            return found;
        }
        if Instant::now() >= deadline {
            panic!("waited in vain: {}", what());
        }
        thread::sleep(LOOK);
    }
}

/// The same as [`eventually`] where the test itself runs what it waits for.
pub(crate) async fn soon(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(LOOK).await;
    }
}

/// Fails if `condition` does not hold for all of this time.
#[track_caller]
pub(crate) fn throughout(time: Duration, what: &str, mut condition: impl FnMut() -> bool) {
    let end = Instant::now() + time;
    while Instant::now() < end {
        assert!(condition(), "not for {time:?}: {what}");
        thread::sleep(LOOK);
    }
}
