//! Reading the whole index in pages of a point in time, sorted by time as the harvester sorts, and throwing them away.
//!
//! Of an answer only the number of hits and the last hit's sort values are looked at, in its bytes.

use crate::bench::Bench;
use crate::stage::TIME_FIELD;
use axum::body::Bytes;
use memchr::memmem;
use serde_json::{Value, json};

/// As the harvester has it.
const KEEP_ALIVE: &str = "5m";
/// Begins the sort values of each hit, and nothing else: no message has a field of that name.
const SORT: &[u8] = b"\"sort\":[";

/// Reads all messages; `what`: the search's size and what it shows of a hit. The next page is asked for when one has arrived.
pub(super) async fn read_all(bench: &Bench, what: &Value) {
    let opened = format!("/{}/_pit?keep_alive={KEEP_ALIVE}", bench.index);
    let opened: Value = serde_json::from_slice(&bench.elasticsearch.post(&opened, "").await).unwrap();
    let mut search = what.clone();
    search["pit"] = json!({"id": opened["id"], "keep_alive": KEEP_ALIVE});
    search["sort"] = json!([{TIME_FIELD: "asc"}, {"_shard_doc": "asc"}]);
    search["track_total_hits"] = false.into();
    let mut seen = 0;
    loop {
        let page = bench.elasticsearch.post("/_search", search.to_string()).await;
        let Some(last) = last_sort_values(&page) else {
            break;
        };
        seen += memmem::find_iter(&page, SORT).count();
        search["search_after"] = last;
    }
    assert_eq!(seen, bench.dataset.ids.len(), "hits");
    bench
        .elasticsearch
        .delete("/_pit", json!({"id": opened["id"]}).to_string())
        .await;
}

fn last_sort_values(page: &Bytes) -> Option<Value> {
    let begin = memmem::rfind(page, SORT)? + SORT.len() - 1;
    let length = memchr::memchr(b']', &page[begin..])? + 1;
    Some(serde_json::from_slice(&page[begin..begin + length]).unwrap())
}
