//! A digest of a multiset of ids that doesn't depend on their order.
//!
//! The first 128 bits of each id's SHA-256 are read as two 64-bit numbers and each half is summed, wrapping. The ledger
//! keeps both halves with each id, as its writer computed them, so a window of it is digested where it lies; sums, not XOR, so
//! that an id that is there twice doesn't vanish. It guards against loss and faults, not against an adversary who
//! chooses ids.

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use sha2::{Digest, Sha256};
use std::fmt;

/// How many ids, and the sum of their hashes. Equal digests: equal multisets, but for a chance of 2^-128.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct IdDigest {
    /// How many ids went in.
    pub count: u64,
    high: u64,
    low: u64,
}

impl IdDigest {
    /// The digest whose halves were summed elsewhere (by the database).
    pub fn from_sums(count: u64, high: u64, low: u64) -> Self {
        Self { count, high, low }
    }

    /// The sums of both halves, to be kept elsewhere.
    pub fn sums(&self) -> (u64, u64) {
        (self.high, self.low)
    }

    /// The 128-bit hash of one id: what the digest sums, and what sets of ids are compared by.
    pub fn hash(id: &[u8]) -> u128 {
        let mut first = [0; 16];
        first.copy_from_slice(&Sha256::digest(id)[..16]);
        u128::from_be_bytes(first)
    }

    /// The halves of an id's [`hash`](Self::hash), as the ledger keeps them.
    pub fn halves(id: &[u8]) -> (u64, u64) {
        let hash = Self::hash(id);
        ((hash >> 64) as u64, hash as u64)
    }

    /// Puts one id in.
    pub fn add(&mut self, id: &[u8]) {
        self.add_hash(Self::hash(id));
    }

    /// Puts one id in, by its [`hash`](Self::hash).
    pub fn add_hash(&mut self, hash: u128) {
        self.count += 1;
        self.high = self.high.wrapping_add((hash >> 64) as u64);
        self.low = self.low.wrapping_add(hash as u64);
    }

    /// The digest of both multisets together.
    pub fn merge(&mut self, other: &Self) {
        self.count += other.count;
        self.high = self.high.wrapping_add(other.high);
        self.low = self.low.wrapping_add(other.low);
    }

    /// Takes another digest out that was merged into this one.
    pub fn take_out(&mut self, other: &Self) {
        self.count = self.count.saturating_sub(other.count);
        self.high = self.high.wrapping_sub(other.high);
        self.low = self.low.wrapping_sub(other.low);
    }
}

/// `<count>-<32 hex digits>`.
impl fmt::Display for IdDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}-{:016x}{:016x}", self.count, self.high, self.low)
    }
}

impl std::str::FromStr for IdDigest {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let parse = || {
            let (count, sums) = text.split_once('-')?;
            let (high, low) = (sums.get(..16)?, sums.get(16..32)?);
            let sums_are_whole = sums.len() == 32;
            sums_are_whole.then_some(Self {
                count: count.parse().ok()?,
                high: u64::from_str_radix(high, 16).ok()?,
                low: u64::from_str_radix(low, 16).ok()?,
            })
        };
        parse().ok_or_else(|| format!("{text:?} is not an id digest (<count>-<32 hex digits>)"))
    }
}

impl Serialize for IdDigest {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for IdDigest {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?
            .parse()
            .map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn digest(ids: &[&str]) -> IdDigest {
        let mut digest = IdDigest::default();
        ids.iter().for_each(|id| digest.add(id.as_bytes()));
        digest
    }

    #[test]
    fn order_does_not_matter_but_multiplicity_and_case_do() {
        assert_eq!(digest(&["a", "b", "c"]), digest(&["c", "a", "b"]));
        assert_ne!(digest(&["a"]), digest(&["a", "a", "a"]));
        assert_ne!(digest(&["a"]), digest(&["A"]));
    }

    proptest! {
        #[test]
        fn it_survives_its_text(ids in prop::collection::vec(".{1,40}", 0..20)) {
            let mut whole = IdDigest::default();
            let mut halves = [IdDigest::default(), IdDigest::default()];
            for (at, id) in ids.iter().enumerate() {
                whole.add(id.as_bytes());
                halves[at % 2].add(id.as_bytes());
            }
            prop_assert_eq!(whole.to_string().parse::<IdDigest>().unwrap(), whole);
            let [mut left, right] = halves;
            left.merge(&right);
            prop_assert_eq!(left, whole);
        }
    }
}
