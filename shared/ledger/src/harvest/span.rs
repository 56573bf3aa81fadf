//! Messages of a range of event time are found through their batches: an event time lies in the hour of its batch, and a batch says
//! the first and the last of its own.

use crate::db::row::at;
use granary_domain::{Hour, TimeRange};
use mysql_async::{Params, Value};

/// Of a batch `b`: messages of it may be of the range `:from` to `:to`. To be asked with [`span`].
pub(crate) const TOUCHING: &str =
    "b.hour_start >= :first_hour AND b.hour_start < :to AND b.time_from < :to AND b.time_to >= :from";
/// All of its messages are.
pub(crate) const WITHIN: &str = "(b.time_from >= :from AND b.time_to < :to)";
/// Of a message `m`: it is of the range.
pub(crate) const IS_IN: &str = "m.event_time >= :from AND m.event_time < :to";

/// `:first_hour`, `:from`, `:to`, and the statement's own named parameters.
pub(crate) fn span(range: TimeRange, others: impl IntoIterator<Item = (&'static str, Value)>) -> Params {
    let times = [
        ("first_hour", at(Hour::of(range.from()).start())),
        ("from", at(range.from())),
        ("to", at(range.to())),
    ];
    let named = times.into_iter().chain(others);
    Params::Named(named.map(|(name, value)| (name.into(), value)).collect())
}
