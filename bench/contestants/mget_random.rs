//! The same where the ids of a request have nothing in common.

use super::mget::read_all;
use super::{Contestant, Row};
use crate::bench::Bench;
use crate::rounds::Round;
use crate::run::Run;
use futures::FutureExt;
use futures::future::LocalBoxFuture;

pub(super) const CONTESTANT: Contestant = Contestant {
    rows: &[Row {
        name: "mget_random",
        does: "reads every document with `_mget` in random order, 1,000 ids a request, 2 requests in flight",
    }],
    run,
};

fn run(bench: &Bench, _round: Round) -> LocalBoxFuture<'_, Vec<Run>> {
    async move {
        let ids = bench.dataset.shuffled_ids();
        let read = read_all(bench, &ids);
        vec![bench.measure("mget_random", &[], read).await]
    }
    .boxed_local()
}
