//! The limit of a harvest that reads `_id`, as Granary does by default.

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
        name: "ids",
        does: "reads every id as `_id`, in pages of 10,000 by time",
    }],
    run,
};

fn run(bench: &Bench, _round: Round) -> LocalBoxFuture<'_, Vec<Run>> {
    async move {
        let what = json!({"size": 10_000, "_source": false});
        let read = read_all(bench, &what);
        vec![bench.measure("ids", &[], read).await]
    }
    .boxed_local()
}
