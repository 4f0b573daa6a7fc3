//! What receivers of webhooks were told, and what they are still to be told: an outbox, so that no
//! change is announced twice, or lost, because driftd was restarted.

use std::sync::mpsc::sync_channel;

use rusqlite::{Connection, Transaction, TransactionBehavior};

use crate::timestamp::Timestamp;

use super::{Error, Window, writer};

/// Settled announcements are kept while fewer than this many came after them.
const MOST: i64 = 10_000;

/// A change of a model's level on its way to a receiver.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    /// Unique for it.
    pub id: String,
    /// When the change was seen.
    pub time: Timestamp,
    /// The level the receiver knew.
    pub from: String,
    /// The level since.
    pub to: String,
    /// What is sent.
    pub body: String,
}

/// What a receiver knows of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Announced {
    /// The level it knows once it has what is pending, empty where it is as if the model were well;
    /// `None` where it was never told of the model.
    pub level: Option<String>,
    /// What it does not have yet, oldest first.
    pub pending: Vec<Pending>,
}

/// An announcement that was stored and not settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pending {
    /// Ascending in the order of storing, over all receivers and models.
    pub number: i64,
    /// The announcement.
    pub announcement: Announcement,
}

/// A step on its way to the writer.
#[derive(Debug)]
pub(super) enum Step {
    /// A receiver is to know this level of a model, through the announcement if there is one.
    Announce {
        receiver: String,
        level: String,
        announcement: Option<Announcement>,
    },
    /// There is nothing more to do about an announcement.
    Settle {
        id: String,
        outcome: &'static str,
        now: Timestamp,
    },
}

// === impl Window ===

impl Window {
    /// What a receiver knows of a model.
    ///
    /// # Errors
    /// SQLite refused.
    pub fn announced(&self, receiver: &str, model: usize) -> Result<Announced, Error> {
        self.shared.reader.with(model, |connection, source| {
            read(connection, receiver, source.layout.number)
        })
    }

    /// Stores that a receiver is to know `level` of a model, and what it is sent for that.
    ///
    /// # Errors
    /// SQLite refused; nothing has changed then.
    pub fn announce(
        &self,
        receiver: &str,
        model: usize,
        level: &str,
        announcement: Option<Announcement>,
    ) -> Result<(), Error> {
        let step = Step::Announce {
            receiver: receiver.to_owned(),
            level: level.to_owned(),
            announcement,
        };
        self.step(model, step)
    }

    /// Stores what became of an announcement.
    ///
    /// # Errors
    /// SQLite refused; it counts as pending still.
    pub fn end_announcement(
        &self,
        id: &str,
        outcome: &'static str,
        now: Timestamp,
    ) -> Result<(), Error> {
        let id = id.to_owned();
        self.step(0, Step::Settle { id, outcome, now })
    }

    fn step(&self, model: usize, step: Step) -> Result<(), Error> {
        let (reply, answer) = sync_channel(1);
        let message = writer::Message::Announced { model, step, reply };
        self.outcome(message, &answer)
    }
}

fn read(connection: &Connection, receiver: &str, number: i64) -> rusqlite::Result<Announced> {
    let mut known = connection
        .prepare("SELECT level FROM announced_data WHERE receiver = ?1 AND model = ?2")?;
    let mut levels = known.query_map((receiver, number), |row| row.get(0))?;
    let mut waiting = connection.prepare(
        "SELECT number, id, time, \"from\", \"to\", body FROM announcement_data \
         WHERE receiver = ?1 AND model = ?2 AND outcome IS NULL ORDER BY number",
    )?;
    let pending = waiting.query_map((receiver, number), |row| {
        let announcement = Announcement {
            id: row.get(1)?,
            time: Timestamp(row.get(2)?),
            from: row.get(3)?,
            to: row.get(4)?,
            body: row.get(5)?,
        };
        Ok(Pending {
            number: row.get(0)?,
            announcement,
        })
    })?;
    Ok(Announced {
        level: levels.next().transpose()?,
        pending: pending.collect::<rusqlite::Result<_>>()?,
    })
}

/// Takes one step, in one transaction.
pub(super) fn save(connection: &Connection, number: i64, step: &Step) -> rusqlite::Result<()> {
    let transaction = Transaction::new_unchecked(connection, TransactionBehavior::Immediate)?;
    match step {
        Step::Announce {
            receiver,
            level,
            announcement,
        } => {
            transaction.execute(
                "INSERT OR REPLACE INTO announced_data VALUES (?1, ?2, ?3)",
                (receiver, number, level),
            )?;
            if let Some(new) = announcement {
                transaction.execute(
                    "INSERT INTO announcement_data (id, receiver, model, time, \"from\", \"to\", body) \
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    (&new.id, receiver, number, new.time.0, &new.from, &new.to, &new.body),
                )?;
            }
        }
        Step::Settle { id, outcome, now } => {
            // What was sent is said by the history as well, and takes room.
            transaction.execute(
                "UPDATE announcement_data SET outcome = ?2, settled = ?3, body = '' WHERE id = ?1",
                (id, outcome, now.0),
            )?;
        }
    }
    transaction.commit()
}

/// Forgets what was announced before `cutoff`, and the oldest of what is left where that is much. What
/// is pending stays: each receiver's queue bounds it.
pub(super) fn forget(connection: &Connection, cutoff: Timestamp) -> rusqlite::Result<()> {
    connection
        .prepare_cached("DELETE FROM announcement_data WHERE time < ?1 AND outcome IS NOT NULL")?
        .execute([cutoff.0])?;
    connection
        .prepare_cached(
            "DELETE FROM announcement_data \
             WHERE number <= (SELECT max(number) FROM announcement_data) - ?1 \
             AND outcome IS NOT NULL",
        )?
        .execute([MOST])?;
    Ok(())
}
