//! The contestants. Each is one file with a `CONTESTANT`, and one line in [`CONTESTANTS`].
//!
//! A contestant reads or archives all messages and measures that with [`Bench::measure`]. What it needs besides it makes before,
//! and removes afterwards; neither is measured.

mod pages;
mod mget;
mod ids;
mod ids_by_doc_values;
mod full_pages;
mod mget_by_time;
mod mget_random;
mod granary;

use crate::bench::Bench;
use crate::rounds::Round;
use crate::run::Run;
use futures::future::LocalBoxFuture;

pub(crate) struct Contestant {
    /// In the order in which it measures them.
    pub(crate) rows: &'static [Row],
    /// Measures each of its rows once.
    pub(crate) run: for<'a> fn(&'a Bench, Round) -> LocalBoxFuture<'a, Vec<Run>>,
}

/// A row of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    /// What is done, in a sentence.
    pub(crate) does: &'static str,
}

/// All of them, in the order of the table.
pub(crate) static CONTESTANTS: [Contestant; 6] = [
    ids::CONTESTANT,
    ids_by_doc_values::CONTESTANT,
    full_pages::CONTESTANT,
    mget_by_time::CONTESTANT,
    mget_random::CONTESTANT,
    granary::CONTESTANT,
];
