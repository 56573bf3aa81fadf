//! The limit of an export of known ids: each request asks for neighbours in time, as a batch does.

use super::mget::read_all;
use super::{Contestant, Row};
use crate::bench::Bench;
use crate::rounds::Round;
use crate::run::Run;
use futures::FutureExt;
use futures::future::LocalBoxFuture;

pub(super) const CONTESTANT: Contestant = Contestant {
    rows: &[Row {
        name: "mget_by_time",
        does: "reads every document with `_mget` in the order of time, 1,000 ids a request, 2 requests in flight",
    }],
    run,
};

fn run(bench: &Bench, _round: Round) -> LocalBoxFuture<'_, Vec<Run>> {
    async move {
        let ids = &bench.dataset.ids;
        let read = read_all(bench, ids);
        vec![bench.measure("mget_by_time", &[], read).await]
    }
    .boxed_local()
}
