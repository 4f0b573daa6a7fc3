//! How tests wait: for what shows, and never for time to pass.

use std::thread;
use std::time::{Duration, Instant};

/// Longest any test waits for anything, on a machine that is busy with something else as well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Between two looks: a test that spins takes the processor from those it waits for.
const LOOK: Duration = Duration::from_millis(1);

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn eventually(what: &str, condition: impl FnMut() -> bool) {
    within(PATIENCE, condition, || what.to_owned());
}

/// The same for at most this time; `what` it waited for in vain may tell how things stand then.
#[track_caller]
pub(crate) fn within(
    patience: Duration,
    mut condition: impl FnMut() -> bool,
    what: impl FnOnce() -> String,
) {
    let deadline = Instant::now() + patience;
    while !condition() {
        if Instant::now() >= deadline {
            panic!("waited in vain: {}", what());
        }
        thread::sleep(LOOK);
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
