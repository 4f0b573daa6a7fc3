//! Which rows go when there are too many: arithmetic over row ids and their priorities.
//!
//! The newest half of the rows allowed stays whole. Of the older rows those with the lowest
//! priorities stay, which is a uniform sample of them. The threshold falls while more rows come.
//! It rises again for newer rows once age has taken so many old ones that the sample is less than a sixteenth:
//! then there is more than one [`Thinned`] segment, older ones with lower thresholds, and what
//! [`overall`] reports holds for all of them.

use crate::drift::current::Thinned;

/// What a thinning does.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// The segments from now on, oldest first, thresholds rising.
    pub(super) segments: Vec<Thinned>,
    /// The rows to delete, oldest first.
    pub(super) doomed: Vec<i64>,
}

/// The priority of a row: the splitmix64 finaliser (Steele, Lea, Flood 2014, "Fast splittable
/// pseudorandom number generators") of id and seed, upper half. Fixed for good once stored.
pub(super) fn priority(id: i64, seed: u64) -> u32 {
    let mut bits = id.cast_unsigned() ^ seed;
    bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    ((bits ^ (bits >> 31)) >> 32) as u32
}

/// The share of the limit, as its inverse, by which a model that reached it is thinned at once. A pass
/// touches nearly every page of the older half, however few rows it takes: few and thorough passes cost
/// a third of what many small ones do.
const AT_ONCE: usize = 4;

/// What to delete of `ids` (ascending) so that three quarters of `limit` are left; `None` where they
/// fit.
pub(super) fn plan(ids: &[i64], seed: u64, segments: &[Thinned], limit: usize) -> Option<Plan> {
    if ids.len() <= limit {
        return None;
    }
    let whole = limit / 2;
    let (older, newest) = ids.split_at(ids.len() - whole);
    let before = match newest.first() {
        Some(id) => *id,
        None => older.last()? + 1,
    };
    let room = room(limit, whole);
    let room = Room {
        few: few(limit),
        least: room,
        most: room,
    };
    let segments = lower(older, before, seed, segments, room)?;
    let doomed = older.iter().copied();
    Some(Plan {
        doomed: doomed.filter(|id| goes(*id, seed, &segments)).collect(),
        segments,
    })
}

/// How many older rows are to be left.
#[derive(Debug, Clone, Copy)]
pub(super) struct Room {
    /// Where the last threshold leaves fewer, it rises.
    pub(super) few: usize,
    /// So many are left where it must change.
    pub(super) least: usize,
    /// As long as it leaves no more, it need not.
    pub(super) most: usize,
}

/// Fewer older rows than so many are less than any thinning leaves: age has taken the others.
pub(super) fn few(limit: usize) -> usize {
    limit / 16
}

/// How many older rows may stay beside `whole` newer ones.
pub(super) fn room(limit: usize, whole: usize) -> usize {
    (limit - limit / AT_ONCE).saturating_sub(whole)
}

/// The segments from now on, where of `older`, all rows before the one with the id `before` (ascending), some must
/// go; `None` where they fit.
pub(super) fn lower(
    older: &[i64],
    before: i64,
    seed: u64,
    segments: &[Thinned],
    room: Room,
) -> Option<Vec<Thinned>> {
    if older.len() <= room.most {
        return None;
    }
    let first = older.first().copied()?;
    let mut priorities: Vec<u32> = older.iter().map(|id| priority(*id, seed)).collect();
    let mut kept = still_there(segments, first);
    let below_last = kept.last().map_or(0, |last| {
        let below = |priority: &&u32| u64::from(**priority) < last.threshold;
        priorities.iter().filter(below).count()
    });
    let threshold = match kept.last() {
        Some(last) if (room.few..=room.most).contains(&below_last) => last.threshold,
        _ => u64::from(*priorities.select_nth_unstable(room.least).1),
    };
    kept.retain(|segment| segment.threshold < threshold);
    kept.push(Thinned { before, threshold });
    Some(kept)
}

/// Whether the row with this id goes under `segments` as they are from now on.
pub(super) fn goes(id: i64, seed: u64, segments: &[Thinned]) -> bool {
    (segments.last())
        .is_some_and(|last| id < last.before && u64::from(priority(id, seed)) >= last.threshold)
}

/// The segments that still hold rows when `first` is the oldest one left.
pub(super) fn still_there(segments: &[Thinned], first: i64) -> Vec<Thinned> {
    let alive = |segment: &&Thinned| segment.before > first;
    segments.iter().filter(alive).copied().collect()
}

/// What holds for all segments together: rows before the newest one with priorities below the
/// lowest threshold are a uniform sample.
pub(super) fn overall(segments: &[Thinned]) -> Option<Thinned> {
    let (oldest, newest) = (segments.first()?, segments.last()?);
    Some(Thinned {
        before: newest.before,
        threshold: oldest.threshold,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const SEED: u64 = 42;

    fn thin(ids: &mut Vec<i64>, segments: &mut Vec<Thinned>, limit: usize) {
        if let Some(plan) = plan(ids, SEED, segments, limit) {
            ids.retain(|id| plan.doomed.binary_search(id).is_err());
            *segments = plan.segments;
        }
    }

    #[test]
    fn priorities_are_those_of_the_published_generator() {
        // splitmix64 seeded with 0 first finalises its increment, and gives 0xe220a8397b1dcdaf.
        assert_eq!(priority(0x9e37_79b9_7f4a_7c15_u64 as i64, 0), 0xe220_a839);
    }

    #[test]
    fn what_fits_stays() {
        let ids: Vec<i64> = (1..=100).collect();
        assert_eq!(plan(&ids, SEED, &[], 100), None);
    }

    #[test]
    fn an_endless_stream_leaves_one_uniform_sample_and_a_whole_half() {
        let (mut ids, mut segments) = (Vec::new(), Vec::new());
        for id in 1..=200_000 {
            ids.push(id);
            thin(&mut ids, &mut segments, 1000);
            assert!(ids.len() <= 1000);
        }
        let [Thinned { before, threshold }] = segments[..] else {
            panic!("one segment: {segments:?}");
        };
        let expected: Vec<i64> = (1..=200_000)
            .filter(|id| *id >= before || u64::from(priority(*id, SEED)) < threshold)
            .collect();
        assert_eq!(ids, expected);
        assert!(
            before <= 200_000 - 499,
            "the newest half is whole: {before}"
        );
    }

    #[test]
    fn the_threshold_recovers_after_old_rows_are_gone() {
        let (mut ids, mut segments) = (Vec::new(), Vec::new());
        for id in 1..=200_000 {
            ids.push(id);
            thin(&mut ids, &mut segments, 1000);
        }
        let low = overall(&segments).unwrap().threshold;
        // Age takes everything but a few old rows: the sample must fill up again.
        let whole = segments.last().unwrap().before;
        let old = ids.iter().filter(|id| **id < whole).count();
        ids.drain(..old - 50);
        for id in 200_001..=201_000 {
            ids.push(id);
            thin(&mut ids, &mut segments, 1000);
        }
        assert!(ids.len() > 680, "{}", ids.len());
        assert_eq!(overall(&segments).unwrap().threshold, low, "{segments:?}");
        assert!(segments.last().unwrap().threshold > 2 * low);
        ids.retain(|id| *id > 200_000);
        thin(&mut ids, &mut segments, 500);
        assert!(overall(&segments).unwrap().threshold > 2 * low);
    }

    #[test]
    fn the_smallest_limits_do_not_fail() {
        for limit in 0..4 {
            let ids: Vec<i64> = (1..=10).collect();
            let plan = plan(&ids, SEED, &[], limit).unwrap();
            assert!(10 - plan.doomed.len() <= limit);
        }
    }
}
