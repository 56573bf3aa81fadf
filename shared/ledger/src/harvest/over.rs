//! Which windows lie over a range of event time.
//!
//! A window has no greatest length: a stretch without messages is one window. So a condition on beginning and end alone would read
//! every window that begins before the range. The database keeps a class of length with each window (`reach`); of each class
//! only the windows that begin near the range are read.
//!
//! **When it fails**, the statement that asks fails. Nothing is changed here.

use crate::db::row::at;
use granary_domain::TimeRange;
use jiff::{SignedDuration, Timestamp};
use mysql_async::{Params, Value};

/// The lengths, in hours, as `V37__window_reach.sql` has them. What is longer than the last of them begins anywhere.
const REACHES: [(i64, &str); 4] = [
    (1, "since_1"),
    (32, "since_32"),
    (1_024, "since_1024"),
    (32_768, "since_32768"),
];
/// Of windows that are longer than all of these: 10,000 years.
const REACH_HOURS_MAX: u32 = 90_000_000;

/// Whether a window `w` overlaps `:from` to `:to`, to be asked with the parameters of [`range_and`].
pub(crate) fn is_over() -> String {
    let near: Vec<String> = REACHES
        .iter()
        .map(|(hours, since)| {
            format!("(w.reach = {hours} AND w.range_from >= :{since} AND w.range_from < :to)")
        })
        .collect();
    format!(
        "({} OR (w.reach = {REACH_HOURS_MAX} AND w.range_from < :to)) AND w.range_to > :from",
        near.join(" OR ")
    )
}

/// `:from`, `:to`, what [`is_over`] needs besides, and the statement's own named parameters.
pub(crate) fn range_and(range: TimeRange, others: impl IntoIterator<Item = (&'static str, Value)>) -> Params {
    let since = REACHES.map(|(hours, name)| {
        let since = range.from().saturating_sub(SignedDuration::from_hours(hours));
        (
            name,
            at(since.unwrap_or(Timestamp::MIN).max(TimeRange::EVER.from())),
        )
    });
    let range = [("from", at(range.from())), ("to", at(range.to()))];
    let named = since.into_iter().chain(range).chain(others);
    Params::Named(named.map(|(name, value)| (name.into(), value)).collect())
}
