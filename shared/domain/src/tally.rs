//! The account of a harvest: every hit that the source showed is in exactly one of five columns.

use serde::{Deserialize, Serialize};

/// What became of the hits of a page or of a window. Counts of hits, not of distinct ids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tally {
    /// Hits that the source showed.
    pub found: u64,
    /// New to the ledger: recorded by this window.
    pub recorded: u64,
    /// Known, owned by nobody: adopted by this window.
    pub adopted: u64,
    /// Known, owned by a batch of another window.
    pub owned_elsewhere: u64,
    /// A second document with an id that this or another window has from a different document.
    pub duplicate: u64,
    /// No usable id: absent, empty, or longer than 512 bytes; or a routing longer than that.
    pub without_id: u64,
}

/// The five columns don't add up to what was found: a hit was lost or counted twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{} hits were found but {} are accounted for ({tally:?})", tally.found, tally.accounted())]
pub struct TallyMismatch {
    /// The account.
    pub tally: Tally,
}

impl Tally {
    fn accounted(&self) -> u64 {
        self.recorded + self.adopted + self.owned_elsewhere + self.duplicate + self.without_id
    }

    /// The same, if it adds up.
    pub fn balanced(self) -> Result<Self, TallyMismatch> {
        if self.accounted() == self.found {
            Ok(self)
        } else {
            Err(TallyMismatch { tally: self })
        }
    }
}

impl std::ops::Add for Tally {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self {
            found: self.found + other.found,
            recorded: self.recorded + other.recorded,
            adopted: self.adopted + other.adopted,
            owned_elsewhere: self.owned_elsewhere + other.owned_elsewhere,
            duplicate: self.duplicate + other.duplicate,
            without_id: self.without_id + other.without_id,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hit_in_no_column_is_an_error() {
        let tally = Tally {
            found: 3,
            recorded: 1,
            duplicate: 1,
            ..Tally::default()
        };
        assert!(tally.balanced().is_err());
        assert!(
            (tally
                + Tally {
                    without_id: 1,
                    ..Tally::default()
                })
            .balanced()
            .is_ok()
        );
    }
}
