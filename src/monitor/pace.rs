//! How hard a check may work: slices of work with rests between them.

use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use crate::pulse::{self, Pulse};

use super::command::{Command, MOST_WAITING};

/// Rest per unit of work: a tenth of one core at most goes into checks.
const REST: u32 = 9;

/// Paces the slices of one check.
#[derive(Debug)]
pub(super) struct Pace<'a> {
    commands: Option<&'a Receiver<Command>>,
    pulse: Pulse,
    /// Commands that came meanwhile. While one waits there is no rest: a person waits for its reply.
    waiting: Vec<Command>,
    /// Whether the first command ends the check.
    yields: bool,
    stopped: bool,
}

impl<'a> Pace<'a> {
    /// No rests: before traffic is served, or for a person who waits.
    pub(super) fn hurried(pulse: &Pulse) -> Self {
        Self {
            commands: None,
            pulse: pulse.clone(),
            waiting: Vec::new(),
            yields: false,
            stopped: false,
        }
    }

    /// Rests after every slice. A command ends the check where it `yields`, else its rests.
    pub(super) fn gentle(commands: &'a Receiver<Command>, pulse: &Pulse, yields: bool) -> Self {
        Self {
            commands: Some(commands),
            pulse: pulse.clone(),
            waiting: Vec::new(),
            yields,
            stopped: false,
        }
    }

    /// Does one slice of work and rests. `None`: the check is to end here.
    pub(super) fn slice<T>(&mut self, work: impl FnOnce() -> T) -> Option<T> {
        let started = Instant::now();
        let done = work();
        self.pulse.beat();
        self.rest(started.elapsed() * REST);
        (!self.stopped && !self.interrupted()).then_some(done)
    }

    /// Whether it was asked to stop.
    pub(super) const fn stopped(&self) -> bool {
        self.stopped
    }

    /// Whether a command ended the check.
    pub(super) const fn interrupted(&self) -> bool {
        self.yields && !self.waiting.is_empty()
    }

    /// The commands that came meanwhile, in their order.
    pub(super) fn into_waiting(self) -> Vec<Command> {
        self.waiting
    }

    fn rest(&mut self, mut rest: Duration) {
        let Some(commands) = self.commands else {
            return;
        };
        // A rest may be long: it goes in pieces, with a sign of life after each.
        while rest > pulse::INTERVAL && self.waiting.is_empty() {
            match commands.recv_timeout(pulse::INTERVAL) {
                Err(RecvTimeoutError::Timeout) => {}
                Ok(Command::Stop) | Err(RecvTimeoutError::Disconnected) => {
                    self.stopped = true;
                    return;
                }
                Ok(command) => {
                    self.waiting.push(command);
                    return;
                }
            }
            self.pulse.beat();
            rest = rest.saturating_sub(pulse::INTERVAL);
        }
        let next = match self.waiting.len() {
            0 => commands.recv_timeout(rest).map_err(|error| match error {
                RecvTimeoutError::Timeout => TryRecvError::Empty,
                RecvTimeoutError::Disconnected => TryRecvError::Disconnected,
            }),
            MOST_WAITING.. => return,
            _ => commands.try_recv(),
        };
        match next {
            Err(TryRecvError::Empty) => {}
            Ok(Command::Stop) | Err(TryRecvError::Disconnected) => self.stopped = true,
            Ok(command) => self.waiting.push(command),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn command() -> Command {
        Command::Unaccept {
            model: 0,
            feature: None,
            by: String::new(),
            reply: tokio::sync::oneshot::channel().0,
        }
    }

    fn pulse() -> Pulse {
        Pulse::new("monitor")
    }

    fn busy(time: Duration) {
        let began = Instant::now();
        while began.elapsed() < time {}
    }

    #[test]
    fn work_takes_a_tenth_of_the_time() {
        let (_keep, commands) = mpsc::channel();
        let started = Instant::now();
        Pace::gentle(&commands, &pulse(), false).slice(|| busy(Duration::from_millis(2)));
        assert!(started.elapsed() >= Duration::from_millis(20));
    }

    #[test]
    fn a_stop_ends_the_check() {
        let (hang_up, commands) = mpsc::channel();
        hang_up.send(Command::Stop).unwrap();
        let mut pace = Pace::gentle(&commands, &pulse(), false);
        assert_eq!(pace.slice(|| 1), None);
        assert!(pace.stopped());
        drop(hang_up);
        assert_eq!(Pace::gentle(&commands, &pulse(), false).slice(|| 1), None);
        assert_eq!(Pace::hurried(&pulse()).slice(|| 1), Some(1));
    }

    #[test]
    fn a_command_ends_a_check_that_yields() {
        let (sender, commands) = mpsc::channel();
        let mut pace = Pace::gentle(&commands, &pulse(), true);
        assert_eq!(pace.slice(|| 1), Some(1));
        sender.send(command()).unwrap();
        assert_eq!(pace.slice(|| busy(Duration::from_millis(1))), None);
        assert!(pace.interrupted() && !pace.stopped());
        assert_eq!(pace.into_waiting().len(), 1);
    }

    #[test]
    fn a_command_ends_the_rests_and_a_stop_still_gets_through() {
        let (sender, commands) = mpsc::channel();
        let mut pace = Pace::gentle(&commands, &pulse(), false);
        sender.send(command()).unwrap();
        let started = Instant::now();
        for _ in 0..20 {
            assert_eq!(pace.slice(|| busy(Duration::from_millis(5))), Some(()));
        }
        // With rests it would take 1,000 ms.
        assert!(started.elapsed() < Duration::from_millis(500));
        sender.send(command()).unwrap();
        sender.send(Command::Stop).unwrap();
        assert_eq!(pace.slice(|| 1), Some(1));
        assert_eq!(pace.slice(|| 1), None);
        assert_eq!(pace.into_waiting().len(), 2);
    }

    #[test]
    fn a_long_rest_shows_life_and_a_stop_ends_it() {
        let (sender, commands) = mpsc::channel();
        let pulse = pulse();
        let _beating = pulse.begin();
        let own = pulse.clone();
        let watch = std::thread::spawn(move || {
            // Within a rest of 27 s, after three beats are due.
            std::thread::sleep(pulse::INTERVAL * 4);
            let trouble = own.trouble(pulse::INTERVAL * 2);
            sender.send(Command::Stop).unwrap();
            trouble
        });
        let started = Instant::now();
        let mut pace = Pace::gentle(&commands, &pulse, false);
        pace.rest(Duration::from_secs(27));
        assert!(pace.stopped());
        assert!(started.elapsed() < Duration::from_secs(20));
        assert_eq!(watch.join().unwrap(), None);
    }
}
