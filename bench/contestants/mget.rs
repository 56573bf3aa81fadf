//! Reading documents by their ids with `_mget`, and throwing them away.

use crate::bench::Bench;
use futures::StreamExt;
use futures::future::ready;
use memchr::memmem;
use serde_json::json;

/// Of the shapes that were tried, from 500 ids with 1 request in flight to 5,000 with 2, this one is the fastest.
const IDS: usize = 1_000;
const IN_FLIGHT: usize = 2;
/// In the answer of each document that is there, and in no message.
const FOUND: &[u8] = b"\"found\":true";

pub(super) async fn read_all(bench: &Bench, ids: &[String]) {
    let requests = ids.chunks(IDS).map(|ids| read(bench, ids));
    let answers = futures::stream::iter(requests).buffer_unordered(IN_FLIGHT);
    let found = answers.fold(0, |sum, found| ready(sum + found)).await;
    assert_eq!(found, ids.len(), "documents");
}

/// How many of them are there.
async fn read(bench: &Bench, ids: &[String]) -> usize {
    let path = format!("/{}/_mget", bench.index);
    let body = json!({"ids": ids}).to_string();
    let answer = bench.elasticsearch.post(&path, body).await;
    memmem::find_iter(&answer, FOUND).count()
}
