//! Many connections at once: requests a second, and processor time a request.

use std::fmt::Write as _;
use std::time::Duration;

use crate::Findings;
use crate::contestant::{Field, Who};
use crate::cost::{Rounds, table};
use crate::model::Wanted;
use crate::process::between;
use crate::settings::Settings;
use crate::wrk::Wrk;

/// Connections at once.
const CONNECTIONS: [usize; 2] = [16, 64];

/// The most of a core that an idle driftd may take.
const IDLE: f64 = 0.005;

pub(crate) fn measure(settings: &Settings) -> Result<Findings, String> {
    let field = Field::start(settings)?;
    let wrk = Wrk::new(field.folder.path(), &Wanted::SMALL.bodies(|_| 0))?;
    for (_, contestant) in field.turns(0) {
        wrk.load(contestant.address, 64, Duration::from_secs(1))?;
    }
    let mut found = Findings::default();
    for connections in CONNECTIONS {
        let mut rounds: Vec<Rounds> = Who::ALL.iter().map(|_| Rounds::default()).collect();
        for round in 0..settings.rounds {
            for (index, contestant) in field.turns(round) {
                let before = contestant.look()?;
                let load = wrk.load(contestant.address, connections, settings.turn)?;
                let after = contestant.look()?;
                rounds[index].push(contestant.who, load, &before, &after);
            }
            eprintln!(
                "{connections} connections, round {} of {}",
                round + 1,
                settings.rounds
            );
        }
        let table = table(connections, &rounds);
        found.text += &table.text;
        found.missed.extend(table.missed);
    }
    idle(settings, &field, &mut found)?;
    Ok(found)
}

/// What all of them take of a core once the load is gone.
fn idle(settings: &Settings, field: &Field, found: &mut Findings) -> Result<(), String> {
    let seconds = if settings.options.quick { 4 } else { 10 };
    // Connections left by the load idle for up to a second, and a batch waits for its age.
    std::thread::sleep(Duration::from_secs(2));
    let look = || {
        let servers = field.contestants.iter();
        servers
            .filter_map(|it| it.server.as_ref().map(|server| (it.who, server)))
            .map(|(who, server)| Ok((who, server.cpu()?)))
            .collect::<Result<Vec<_>, String>>()
    };
    let before = look()?;
    std::thread::sleep(Duration::from_secs(seconds));
    let after = look()?;
    let _ = write!(
        found.text,
        "Of a core, idle for {seconds} s after the load:"
    );
    for ((who, before), (_, after)) in before.iter().zip(&after) {
        let taken = between(before, after);
        let share = taken.values().sum::<f64>() / seconds as f64;
        let _ = write!(found.text, " {} {:.2} %;", who.name(), 100.0 * share);
        if *who == Who::Whole && share > IDLE {
            let mut most: Vec<_> = taken.into_iter().collect();
            most.sort_by(|a, b| b.1.total_cmp(&a.1));
            most.truncate(3);
            let line = format!(
                "idle: {:.2} % of a core, not ≤ 0.5 ({most:.4?} s)",
                100.0 * share
            );
            found.missed.push(line);
        }
    }
    found.text.truncate(found.text.trim_end_matches(';').len());
    found.text += ".\n";
    Ok(())
}
