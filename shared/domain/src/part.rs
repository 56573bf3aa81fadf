//! Parts of the messages, and how a part is cut into pieces: by event time down to a millisecond, then by the ids'
//! hashes, so that also a million messages of one instant fall apart.
//!
//! Pure. The ledger cuts in SQL, the reader of the source by [`Cut::piece_of`]: a test of the ledger holds both
//! against each other. Pieces end on whole milliseconds, since a `date` field compares no finer: cut within one,
//! the source and the ledger would each put an id into another piece.

use crate::TimeRange;
use jiff::Timestamp;

const PIECES_MAX: u64 = 64;
const MICROS_PER_MILLI: i64 = 1_000;

/// A range of event time, and of the messages in it those whose ids' hashes lie in a range.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Part {
    range: TimeRange,
    first_hash: u64,
    last_hash: u64,
}

impl Part {
    /// All messages of a range.
    pub fn of(range: TimeRange) -> Self {
        Self {
            range,
            first_hash: 0,
            last_hash: u64::MAX,
        }
    }

    /// The event times.
    pub fn range(&self) -> TimeRange {
        self.range
    }

    /// The upper halves of the hashes, first and last. `None`: all of them.
    pub fn hashes(&self) -> Option<(u64, u64)> {
        let is_whole = self.first_hash == 0 && self.last_hash == u64::MAX;
        (!is_whole).then_some((self.first_hash, self.last_hash))
    }

    /// Whether a message is one of these. `hash` is [`IdDigest::hash`](crate::IdDigest::hash).
    pub fn contains(&self, event_time: Timestamp, hash: u128) -> bool {
        let upper = upper_half(hash);
        self.range.contains(event_time) && self.first_hash <= upper && upper <= self.last_hash
    }

    /// How it falls into up to 64 pieces; `None`: it can't be cut any more.
    pub fn cut(&self) -> Option<Cut> {
        let begins = floor_millis(self.range.from());
        let micros = self.range.to().as_microsecond() - begins;
        let millis = u64::try_from(micros).ok()?.div_ceil(1_000);
        let by = if millis > 1 {
            let width_micros = millis.div_ceil(PIECES_MAX) * 1_000;
            CutBy::Time { begins, width_micros }
        } else {
            let hashes = self.last_hash - self.first_hash;
            if hashes < PIECES_MAX {
                return None;
            }
            CutBy::Hash {
                width: hashes / PIECES_MAX + 1,
            }
        };
        Some(Cut { part: *self, by })
    }
}

/// A part that is cut. Pieces are numbered from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Cut {
    part: Part,
    by: CutBy,
}

/// Where a part is cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutBy {
    /// Each piece is so long.
    Time {
        /// Where the first piece begins: microseconds since 1970, a whole millisecond.
        begins: i64,
        /// Microseconds, whole milliseconds.
        width_micros: u64,
    },
    /// Each piece has so many hashes, from the part's first one on.
    Hash {
        /// How many.
        width: u64,
    },
}

impl Cut {
    /// What is cut.
    pub fn part(&self) -> Part {
        self.part
    }

    /// Where it is cut.
    pub fn by(&self) -> CutBy {
        self.by
    }

    /// How many pieces there are.
    pub fn pieces(&self) -> usize {
        let last = match self.by {
            CutBy::Time { begins, width_micros } => {
                let micros = self.part.range.to().as_microsecond() - 1 - begins;
                u64::try_from(micros).unwrap_or(0) / width_micros
            }
            CutBy::Hash { width } => (self.part.last_hash - self.part.first_hash) / width,
        };
        usize::try_from(last).unwrap_or(usize::MAX - 1) + 1
    }

    /// The piece that a message is in; `None`: it isn't in the part at all.
    pub fn piece_of(&self, event_time: Timestamp, hash: u128) -> Option<usize> {
        if !self.part.contains(event_time, hash) {
            return None;
        }
        let piece = match self.by {
            CutBy::Time { begins, width_micros } => {
                u64::try_from(micros_of(event_time) - begins).ok()? / width_micros
            }
            CutBy::Hash { width } => (upper_half(hash) - self.part.first_hash) / width,
        };
        usize::try_from(piece).ok()
    }

    /// The neighbouring pieces from `first` to `last` as one part.
    pub fn run(&self, first: usize, last: usize) -> Part {
        let (first, behind) = (first as u64, last as u64 + 1);
        match self.by {
            CutBy::Time { begins, width_micros } => {
                let border = |piece: u64| {
                    let micros = begins.saturating_add_unsigned(piece.saturating_mul(width_micros));
                    Timestamp::from_microsecond(micros).unwrap_or(self.part.range.to())
                };
                let from = border(first).max(self.part.range.from());
                let to = border(behind).min(self.part.range.to());
                Part {
                    range: TimeRange::new(from, to).unwrap_or(self.part.range),
                    ..self.part
                }
            }
            CutBy::Hash { width } => {
                let border = |piece: u64| self.part.first_hash.saturating_add(piece.saturating_mul(width));
                let last_hash = match border(behind) {
                    u64::MAX => self.part.last_hash,
                    next => (next - 1).min(self.part.last_hash),
                };
                Part {
                    first_hash: border(first),
                    last_hash,
                    ..self.part
                }
            }
        }
    }
}

fn upper_half(hash: u128) -> u64 {
    (hash >> 64) as u64
}

/// Floored, before 1970 too: as the ledger keeps it.
fn micros_of(instant: Timestamp) -> i64 {
    let micros = instant.as_nanosecond().div_euclid(1_000);
    i64::try_from(micros).unwrap_or(i64::MAX)
}

fn floor_millis(instant: Timestamp) -> i64 {
    let micros = micros_of(instant);
    micros - micros.rem_euclid(MICROS_PER_MILLI)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IdDigest;
    use proptest::prelude::*;

    fn at(micros: i64) -> Timestamp {
        Timestamp::from_microsecond(micros).unwrap()
    }

    fn part(from: i64, length: i64) -> Part {
        Part::of(TimeRange::new(at(from), at(from + length)).unwrap())
    }

    proptest! {
        #[test]
        fn every_message_of_a_part_is_in_the_piece_that_its_number_says(
            from in -10_000_000_000_i64..10_000_000_000, length in 1_i64..4_000_000_000, offset in 0_i64..4_000_000_000,
            nanos in 0_i64..1_000, id in ".{1,12}",
        ) {
            let mut part = part(from, length);
            let time = Timestamp::from_nanosecond(i128::from(from + offset % length) * 1_000 + i128::from(nanos)).unwrap();
            let hash = IdDigest::hash(id.as_bytes());
            let mut depth = 0;
            while let Some(cut) = part.cut() {
                prop_assert!(cut.pieces() <= 64);
                let piece = cut.piece_of(time, hash).unwrap();
                prop_assert!(piece < cut.pieces());
                for number in 0..cut.pieces() {
                    prop_assert_eq!(cut.run(number, number).contains(time, hash), number == piece);
                }
                prop_assert_eq!(cut.run(0, cut.pieces() - 1), part, "the pieces are the whole");
                part = cut.run(piece, piece);
                depth += 1;
                prop_assert!(depth < 20, "it ends");
            }
        }
    }

    #[test]
    fn h3_pieces_end_on_whole_milliseconds_and_a_millisecond_falls_apart_by_hash() {
        let odd = part(1_234_567, 3_600_000_000);
        let cut = odd.cut().unwrap();
        for piece in 0..cut.pieces() - 1 {
            assert_eq!(cut.run(piece, piece).range().to().as_microsecond() % 1_000, 0);
        }
        let instant = part(7_000, 1_000);
        assert!(matches!(instant.cut().unwrap().by(), CutBy::Hash { .. }));
        assert_eq!(instant.cut().unwrap().pieces(), 64);
    }

    #[test]
    fn what_is_not_in_the_part_is_in_no_piece() {
        let cut = part(0, 10_000_000).cut().unwrap();
        assert_eq!(cut.piece_of(at(-1), 0), None);
        assert_eq!(cut.piece_of(at(10_000_000), 0), None);
        assert_eq!(cut.piece_of(at(0), 0), Some(0));
    }
}
