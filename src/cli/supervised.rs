//! What `driftd run` tells a service manager: ready, how it goes, and that every part lives.

use std::convert::Infallible;
use std::time::Duration;

use crate::app::{Started, Vitals};
use crate::pulse;
use crate::service::Notifier;

/// Between looks at how it goes, where the watchdog asks for no more.
const LOOK: Duration = Duration::from_secs(5);

/// Between looks at whether all serving threads have begun.
const START: Duration = Duration::from_millis(5);

/// No thread is called dead sooner, however short the watchdog's period: a busy machine lets it wait.
const SOONEST: Duration = pulse::INTERVAL.saturating_mul(4);

/// Says that driftd is ready once it is; from then on feeds the watchdog as long as every part proves
/// that it lives.
pub(super) async fn tell(notifier: &Notifier, mut started: Started) -> Infallible {
    if !notifier.is_heard() {
        return std::future::pending().await;
    }
    let vitals = match started.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(vitals)) => vitals.clone(),
        // It never starts.
        _ => return std::future::pending().await,
    };
    while !vitals.serves() {
        tokio::time::sleep(START).await;
    }
    notifier.ready();
    feed(notifier, &vitals).await
}

async fn feed(notifier: &Notifier, vitals: &Vitals) -> Infallible {
    let period = notifier.watchdog();
    // A thread has half the period, so that a ping missed for a moment costs nothing.
    let (pause, within) = period.map_or((LOOK, LOOK * 6), |period| {
        ((period / 4).clamp(START, LOOK), SOONEST.max(period / 2))
    });
    let mut said = String::new();
    let mut told = false;
    loop {
        let trouble = vitals.trouble(within);
        if trouble.is_none() {
            notifier.alive();
        }
        let line = match &trouble {
            Some(trouble) => format!("Not well: {trouble}"),
            None => vitals.line(),
        };
        if line != said {
            notifier.status(&line);
            said = line;
        }
        match trouble {
            Some(trouble) if !told => {
                tracing::error!(
                    trouble,
                    "A part of driftd does not go on: the watchdog is not fed until it does"
                );
                told = true;
            }
            None if told => {
                tracing::info!("Every part goes on again: the watchdog is fed");
                told = false;
            }
            _ => {}
        }
        tokio::time::sleep(pause).await;
    }
}
