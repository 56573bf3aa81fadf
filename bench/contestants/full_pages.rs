//! The limit of an export that takes whatever a range of time has, without asking for known ids.

use super::pages::read_all;
use super::{Contestant, Row};
use crate::bench::Bench;
use crate::rounds::Round;
use crate::run::Run;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::json;

pub(super) const CONTESTANT: Contestant = Contestant {
    rows: &[Row {
        name: "full_pages",
        does: "reads every document, in pages of 5,000 by time",
    }],
    run,
};

fn run(bench: &Bench, _round: Round) -> LocalBoxFuture<'_, Vec<Run>> {
    async move {
        let what = json!({"size": 5_000});
        let read = read_all(bench, &what);
        vec![bench.measure("full_pages", &[], read).await]
    }
    .boxed_local()
}
