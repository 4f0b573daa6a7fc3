//! When a delivery is tried again, and when no more.

use std::time::Duration;

use hyper::StatusCode;

use super::{Answer, Failure};

/// Before the second try; doubled with each.
const FIRST: Duration = Duration::from_secs(1);

/// The longest pause between two tries that is driftd's own choice.
const LONGEST: Duration = Duration::from_secs(300);

/// The tries of one delivery.
#[derive(Debug, Default)]
pub struct Retries {
    tried: u32,
}

/// What one try came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The receiver has it.
    Delivered,
    /// The receiver does not want this one, and would not at the next try.
    Rejected,
    /// The receiver wants nothing any more (410).
    Gone,
    /// It may take it after so long.
    Later(Duration),
    /// It did not take it in all the time there was.
    Expired,
}

// === impl Retries ===

impl Retries {
    /// What to do after a try with `left` of the time for all of them. `jitter`, from 0 to 1, keeps
    /// many senders from trying again at the same moment.
    pub fn judge(
        &mut self,
        answer: &Result<Answer, Failure>,
        left: Duration,
        jitter: f64,
    ) -> Verdict {
        let asked = match answer {
            Ok(answer) if answer.status.is_success() => return Verdict::Delivered,
            Ok(answer) if answer.status == StatusCode::GONE => return Verdict::Gone,
            Ok(answer) if !may_pass(answer.status) => return Verdict::Rejected,
            Ok(answer) => answer.retry_after,
            Err(Failure::Header(_)) => return Verdict::Rejected,
            Err(_) => None,
        };
        // Between half of the pause and all of it.
        let pause = FIRST
            .saturating_mul(1 << self.tried.min(16))
            .min(LONGEST)
            .mul_f64(0.5 + 0.5 * jitter.clamp(0.0, 1.0));
        self.tried = self.tried.saturating_add(1);
        match asked {
            // To come earlier would not be what it asked for.
            Some(asked) if asked > left => Verdict::Expired,
            Some(asked) => Verdict::Later(asked.max(pause)),
            None if left.is_zero() => Verdict::Expired,
            // The last try is at the end.
            None => Verdict::Later(pause.min(left)),
        }
    }
}

/// Whether the same request may be taken later. Only what is said of the request itself holds for good:
/// 401, 403 and 404 are also what proxies and receivers say while they are being set up or renewed.
fn may_pass(status: StatusCode) -> bool {
    ![
        StatusCode::BAD_REQUEST,
        StatusCode::GONE,
        StatusCode::PAYLOAD_TOO_LARGE,
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        StatusCode::UNPROCESSABLE_ENTITY,
    ]
    .contains(&status)
}

#[cfg(test)]
mod tests {
    use super::*;

    const DAY: Duration = Duration::from_secs(86_400);

    fn answer(status: u16, retry_after: Option<u64>) -> Result<Answer, Failure> {
        Ok(Answer {
            status: StatusCode::from_u16(status).unwrap(),
            retry_after: retry_after.map(Duration::from_secs),
            text: String::new(),
            body: Vec::new(),
        })
    }

    #[test]
    fn all_is_tried_again_but_what_is_said_of_the_request_itself() {
        let judge = |status| Retries::default().judge(&answer(status, None), DAY, 1.0);
        for (status, verdict) in [
            (200, Verdict::Delivered),
            (202, Verdict::Delivered),
            (204, Verdict::Delivered),
            (301, Verdict::Later(FIRST)),
            (307, Verdict::Later(FIRST)),
            (400, Verdict::Rejected),
            (401, Verdict::Later(FIRST)),
            (403, Verdict::Later(FIRST)),
            (404, Verdict::Later(FIRST)),
            (410, Verdict::Gone),
            (413, Verdict::Rejected),
            (415, Verdict::Rejected),
            (422, Verdict::Rejected),
            (408, Verdict::Later(FIRST)),
            (425, Verdict::Later(FIRST)),
            (429, Verdict::Later(FIRST)),
            (500, Verdict::Later(FIRST)),
            (503, Verdict::Later(FIRST)),
        ] {
            assert_eq!(judge(status), verdict, "{status}");
        }
        let silent = Err(Failure::Timeout { after: FIRST });
        let verdict = Retries::default().judge(&silent, DAY, 1.0);
        assert_eq!(verdict, Verdict::Later(FIRST));
    }

    #[test]
    fn pauses_double_up_to_a_limit_and_are_spread() {
        let mut retries = Retries::default();
        let mut pauses = Vec::new();
        for _ in 0..40 {
            match retries.judge(&answer(500, None), DAY, 1.0) {
                Verdict::Later(pause) => pauses.push(pause.as_secs()),
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(pauses[..10], [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]);
        assert!(pauses[10..].iter().all(|pause| *pause == 300));
        let shortest = Retries::default().judge(&answer(500, None), DAY, 0.0);
        assert_eq!(shortest, Verdict::Later(FIRST / 2));
    }

    #[test]
    fn the_receiver_is_not_tried_before_it_asked_to_be() {
        let later = |asked, left| Retries::default().judge(&answer(429, Some(asked)), left, 1.0);
        assert_eq!(later(90, DAY), Verdict::Later(Duration::from_secs(90)));
        // At once is not what driftd does to a receiver in trouble.
        assert_eq!(later(0, DAY), Verdict::Later(FIRST));
        assert_eq!(later(90, Duration::from_secs(60)), Verdict::Expired);
    }

    #[test]
    fn the_last_try_is_at_the_end_of_the_time() {
        let mut retries = Retries { tried: 9 };
        let left = Duration::from_secs(20);
        assert_eq!(
            retries.judge(&answer(502, None), left, 1.0),
            Verdict::Later(left)
        );
        assert_eq!(
            retries.judge(&answer(502, None), Duration::ZERO, 1.0),
            Verdict::Expired
        );
    }
}
