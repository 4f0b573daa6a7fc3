//! One connection, and a fixed rate: what a proxy adds to the median latency.

use std::fmt::Write as _;

use crate::Findings;
use crate::admin;
use crate::contestant::{Field, Who};
use crate::median::Median;
use crate::model::Wanted;
use crate::settings::Settings;
use crate::steady::{Latency, alone, medians, requests, steadily};

/// Requests a second and connections of the fixed rate.
const RATE: (f64, usize) = (1000.0, 16);

/// What driftd may add, × what nginx adds.
const MOST: f64 = 1.3;

pub(crate) fn measure(settings: &Settings) -> Result<Findings, String> {
    let field = Field::start(settings)?;
    let small = requests(&Wanted::SMALL.bodies(|_| 0));
    // 1 to 10 KB, each as often.
    let larger = requests(&Wanted::SMALL.bodies(|index| 1000 + index * 9000 / 511));
    let mut singles: Vec<Vec<Latency>> = vec![Vec::new(); Who::ALL.len()];
    let mut steady = singles.clone();
    let before = tapped(&field)?;
    let mut sent = 0;
    for round in 0..settings.rounds {
        for (index, contestant) in field.turns(round) {
            singles[index].push(alone(contestant.address, &small, settings.turn)?);
        }
        for (index, contestant) in field.turns(round) {
            steady[index].push(steadily(contestant.address, &larger, RATE, settings.turn)?);
        }
        sent += (RATE.0 * settings.turn.as_secs_f64()) as u64;
        eprintln!("Latency, round {} of {}", round + 1, settings.rounds);
    }
    let tap = tapped(&field)?.since(before);
    let mut found = Findings::default();
    let _ = writeln!(
        found.text,
        "One connection, each request after the answer to the one before, µs:\n"
    );
    found.table("one connection", &singles);
    let _ = writeln!(
        found.text,
        "{} requests/s of 1 to 10 KB over {} connections by a schedule, timed from when each was due, µs:\n",
        RATE.0, RATE.1
    );
    found.table("fixed rate", &steady);
    let _ = writeln!(
        found.text,
        "driftd, whole, committed {} of {} exchanges, of which {sent} came by the schedule.",
        tap.captured, tap.offered
    );
    if (tap.captured as f64) < 0.99 * tap.offered as f64 || tap.offered < sent {
        found.missed.push(format!(
            "latency: not all exchanges were committed: {tap:?}"
        ));
    }
    Ok(found)
}

/// The counters of the whole driftd, once it has come to rest.
fn tapped(field: &Field) -> Result<admin::Tap, String> {
    let admin = field.contestants.iter().find_map(|it| it.admin);
    admin.map_or_else(|| Err("no driftd".to_owned()), admin::settled)
}

// === impl Findings ===

impl Findings {
    /// Adds a table, and the targets missed in it. `rounds` has an entry for each of [`Who::ALL`].
    fn table(&mut self, title: &str, rounds: &[Vec<Latency>]) {
        let _ = writeln!(
            self.text,
            "| | p50 | × nginx | p99 | p50 added | × nginx |\n|---|---|---|---|---|---|"
        );
        let added = |who: Who| -> Vec<f64> {
            let direct = &rounds[Who::Direct as usize];
            let pairs = rounds[who as usize].iter().zip(direct);
            pairs.map(|(ours, direct)| ours.p50 - direct.p50).collect()
        };
        for who in Who::ALL {
            let [p50, p99] = medians(&rounds[who as usize]);
            let whole = rounds[who as usize]
                .iter()
                .zip(&rounds[Who::Nginx as usize]);
            let whole = Median::of(whole.map(|(ours, nginx)| ours.p50 / nginx.p50));
            let _ = write!(
                self.text,
                "| {} | {p50:.1} | {whole} | {p99:.0} |",
                who.name()
            );
            if who == Who::Direct {
                self.text += " | |\n";
                continue;
            }
            // Where nginx was faster than its upstream there is nothing to compare with.
            let nginx = added(Who::Nginx).into_iter();
            let nginx: Vec<f64> = nginx
                .map(|it| if it > 0.0 { it } else { f64::NAN })
                .collect();
            let ratio = Median::ratio(&added(who), &nginx);
            let _ = writeln!(self.text, " {:.1} | {ratio} |", Median::of(added(who)));
            if matches!(who, Who::Tap | Who::Whole) {
                let what = format!("{}, {title}: added p50 × nginx", who.name());
                self.demand(&what, ratio, MOST, false);
            }
        }
        self.text.push('\n');
    }
}
