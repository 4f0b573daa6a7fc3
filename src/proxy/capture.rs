//! The captured part of one body as it passes.

use super::tap::Permit;
use crate::exchange::CapturedBody;

/// First allocation for a body that announces more: what a claimed length may cost before its
/// bytes are there.
const FIRST: usize = 16 * 1024;

/// Copies what passes, up to a cap.
#[derive(Debug, Default)]
pub(super) struct Capture {
    body: CapturedBody,
}

impl Capture {
    /// Notes the body's `content-encoding`.
    pub(super) fn encoded(&mut self, encoding: Box<str>) {
        self.body.encoding = encoding;
    }

    /// Takes the next bytes; `left` are still to come where that is known. False if `permit`
    /// could not be grown: the exchange is lost then.
    ///
    /// Frames are copied, not shared: a small one can hold a whole read buffer in memory.
    pub(super) fn push(
        &mut self,
        data: &[u8],
        left: Option<u64>,
        cap: usize,
        permit: &mut Permit,
    ) -> bool {
        let CapturedBody {
            bytes,
            length,
            truncated,
            encoding: _,
        } = &mut self.body;
        *length += data.len() as u64;
        let taken = data.len().min(cap - bytes.len());
        *truncated |= taken < data.len();
        let needed = bytes.len() + taken;
        if needed > bytes.capacity() {
            let expected = left
                .and_then(|left| usize::try_from(*length + left).ok())
                .unwrap_or(needed)
                .min(cap);
            let doubled = FIRST.max(bytes.capacity() * 2);
            // Not beyond what is announced, where it is; to the next doubling where it is not.
            let wanted = match left {
                Some(_) => expected.min(doubled),
                None if bytes.is_empty() => needed,
                None => doubled.min(cap),
            };
            let capacity = wanted.max(needed);
            if !permit.grow(capacity - bytes.capacity()) {
                return false;
            }
            bytes.reserve_exact(capacity - bytes.len());
        }
        bytes.extend_from_slice(&data[..taken]);
        true
    }

    /// What was captured.
    pub(super) fn finish(self) -> CapturedBody {
        self.body
    }
}
