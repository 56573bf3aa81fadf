//! The limit of a harvest that reads ids from the doc values of a keyword field (`GRANARY_SOURCE_DOC_ID`).

use super::pages::read_all;
use super::{Contestant, Row};
use crate::bench::Bench;
use crate::dataset::ID_FIELD;
use crate::rounds::Round;
use crate::run::Run;
use futures::FutureExt;
use futures::future::LocalBoxFuture;
use serde_json::json;

pub(super) const CONTESTANT: Contestant = Contestant {
    rows: &[Row {
        name: "ids_by_doc_values",
        does: "reads every id from the doc values of its field, in pages of 10,000 by time",
    }],
    run,
};

fn run(bench: &Bench, _round: Round) -> LocalBoxFuture<'_, Vec<Run>> {
    async move {
        let what = json!({"size": 10_000, "stored_fields": "_none_", "docvalue_fields": [ID_FIELD]});
        let read = read_all(bench, &what);
        vec![bench.measure("ids_by_doc_values", &[], read).await]
    }
    .boxed_local()
}
