//! A process that a test started.

use std::process::Child;

use crate::waiting::eventually;

/// Killed where a test fails before it has ended.
pub(super) struct Killed(pub(super) Child);

impl Killed {
    /// Waits for its end, and that it went well.
    #[track_caller]
    pub(super) fn ends(&mut self) {
        let mut status = None;
        eventually("its end", || {
            status = self.0.try_wait().unwrap();
            status.is_some()
        });
        assert!(status.unwrap().success(), "{status:?}");
    }
}

impl Drop for Killed {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        drop(self.0.kill());
        drop(self.0.wait());
    }
}
