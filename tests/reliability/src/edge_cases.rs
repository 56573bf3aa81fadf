//! The edge cases that Granary handles, by number. Each has at least one test that names its number.

/// A group of edge cases: its heading, and each case's number with what it is.
pub(crate) struct Group {
    pub(crate) heading: &'static str,
    pub(crate) cases: &'static [(&'static str, &'static str)],
}

pub(crate) const GROUPS: [Group; 3] = [
    Group {
        heading: "Harvest",
        cases: &HARVEST,
    },
    Group {
        heading: "Export",
        cases: &EXPORT,
    },
    Group {
        heading: "Queue, ledger, people",
        cases: &QUEUE_LEDGER_PEOPLE,
    },
];

const HARVEST: [(&str, &str); 20] = [
    (
        "H1",
        "many documents with the same timestamp at a page border, and a million in one millisecond",
    ),
    (
        "H2",
        "more than 10,000 hits (never from/size; `track_total_hits:false` on pages)",
    ),
    (
        "H3",
        "`date` in milliseconds, `date_nanos`, mixed formats: sort values are kept verbatim, never through f64",
    ),
    (
        "H4",
        "point-in-time expired or lost (404 search_context_missing): reopen, go on, nothing skipped; always the newest PIT id; close it at the end",
    ),
    (
        "H5",
        "HTTP 200 with `timed_out` or `_shards.failed > 0`: an error, the window does not advance (`allow_partial_search_results=false` as well)",
    ),
    (
        "H6",
        "a short or an empty page is not the end of the window; the `_count` of the same query is",
    ),
    (
        "H7",
        "429, `circuit_breaking_exception`, 5xx, connection reset, a stalled response: backoff with jitter, Retry-After, smaller pages, no attempt burnt",
    ),
    (
        "H8",
        "documents that become visible late (refresh, slow writers, out of order): safety lag, overlap re-scan, deep re-scan; lateness is measured and reported",
    ),
    (
        "H9",
        "documents without the time field, or with a malformed one: counted and reported every run, never silently absent",
    ),
    (
        "H10",
        "half-open ranges, UTC, DST days, `from >= to`, ranges in the future: naive times are refused",
    ),
    (
        "H11",
        "two harvesters at once (schedule is at-least-once, a slow run): one wins a window, the other leaves",
    ),
    (
        "H12",
        "index deleted, closed or rolled over during the run; an alias over many indices; the same message id in two indices",
    ),
    (
        "H13",
        "ids up to 512 bytes, unicode, emoji, upper/lower case twins, trailing spaces, quotes, NUL-free binary-looking text",
    ),
    (
        "H14",
        "crash between recording and sending; between any two statements",
    ),
    (
        "H15",
        "mappings, settings and limits under which messages would be lost or merged (the id field is text, has a normalizer, lies in a nested object; `_source` is disabled): an index that shows them is left out by name, and read as soon as it can be; where no index is usable, refused before the first page, with the list",
    ),
    (
        "H16",
        "a backlog far larger than one invocation: goes on within a minute from where it was, without gap or overlap loss",
    ),
    (
        "H17",
        "two migrations over one range, together; one cancelled half-way; a re-scan over both: COMPLETE, nothing twice",
    ),
    (
        "H18",
        "documents without a usable id, with another document's id, or quarantined: INCOMPLETE with kind and index until an operator accepts them, and again with one more",
    ),
    (
        "H19",
        "event times at the edges: the year 1, before it, after 9999, `date_nanos` (1970 to 2262) beside `date`: archived, or counted as outside, and nothing stops",
    ),
    (
        "H20",
        "documents in no window (no event time, in the future, before the first window): counted every 15 minutes, shown, and alerted once",
    ),
];

const EXPORT: [(&str, &str); 16] = [
    (
        "E1",
        "deleted between harvest and export: `missing` with proof (its index answers, and a search by id through the source), a tombstone, the batch completes; moved to another index: exported from there",
    ),
    (
        "E2",
        "`_mget` that answers 200 with errors inside: found / not found per document; an outage is retried, a refusal defers the batch, and neither is a document's fault",
    ),
    ("E3", "custom routing; many concrete indices behind an alias"),
    (
        "E4",
        "updated between harvest and export, or between two attempts: one version in the file, recorded; replaced by another document under its `_id`: missing, never exported as it",
    ),
    (
        "E5",
        "metadata index missing, empty, or with more than 10,000 entries for one message; `null` and absent told apart",
    ),
    (
        "E6",
        "integers beyond 2^53, 1e400, duplicate keys, key order, escapes, lone surrogates: bytes equal to Elasticsearch's `_source`",
    ),
    (
        "E7",
        "a document of 50 MB, a batch whose answer exceeds memory: requests are sized by bytes, memory stays flat, or that document is quarantined",
    ),
    (
        "E8",
        "a poison document: the rest of the batch ships, this one is quarantined with its reason, also where it kills the process (from the third attempt on: one by one, the id under work on record first)",
    ),
    (
        "E9",
        "the deadline is near: stop at about 80 %, give the batch back, burn no attempt; killed outright: the reaper takes it back within 3 minutes",
    ),
    (
        "E10",
        "SQS delivers twice, at once, out of order, after completion, after cancellation",
    ),
    (
        "E11",
        "reaped while alive: the old worker's completion is refused; the two write one object per generation, the second adopts it",
    ),
    (
        "E12",
        "S3 503 SlowDown, 500 after success, timeouts, 412; multipart part failures; orphan uploads aborted (and a lifecycle rule)",
    ),
    (
        "E13",
        "upload done, ledger commit lost: the retry adopts the object; a torn, foreign or unreadable object: next generation, finding, alert; an object is deleted only with the proof that sound objects hold all its messages; a restored ledger deletes nothing",
    ),
    (
        "E14",
        "disk full in the temp directory; leftovers of an earlier invocation in it",
    ),
    (
        "E15",
        "more than half of a batch gone: an alert, and a second look after 15 minutes; all of it gone: no object, completed with reasons",
    ),
    (
        "E16",
        "an object whose bytes, or whose document, are not what the source had in that state, though ledger, manifest and checksum agree: found by comparing content; updated or deleted since: counted",
    ),
];

const QUEUE_LEDGER_PEOPLE: [(&str, &str); 17] = [
    (
        "Q1",
        "malformed, foreign, oversized, or future-version message bodies: to the dead-letter queue, an alert, nothing else disturbed",
    ),
    (
        "Q2",
        "redrive of the dead-letter queue by hand; twice; for a cancelled migration",
    ),
    (
        "Q3",
        "purge while batches are out; pause longer than SQS retention; a message lost after it was sent; a message hidden by a worker that died before its claim; a backlog of 100,000 batches is not sent again every tick",
    ),
    ("Q4", "partial `SendMessageBatch` failures (`Failed[]`)"),
    (
        "D1",
        "deadlock, lock wait, connection killed mid-transaction, server restart, failover with the old writer read-only, too many connections, a silent server, a statement ended for its length, a refused login",
    ),
    (
        "D2",
        "clock of the function ahead or behind: only the database's clock decides",
    ),
    (
        "D3",
        "schema older or newer than the code; two functions migrating at once",
    ),
    (
        "D4",
        "the ledger's password, Elasticsearch's credential or an API token is rotated under warm functions; a secret that stays wrong",
    ),
    (
        "D5",
        "a second deployment on the same ledger, or a changed bucket, prefix, source name or field: no work, one alert for each setting, until it is restored or adopted",
    ),
    (
        "D6",
        "the ledger's database is lost in mid-run: it is rebuilt from the archive, also where the rebuild is killed, and nothing is exported twice; what contradicts itself is named",
    ),
    (
        "A1",
        "failure rate over a tiny sample does not alert; a storm alerts once, and says when it is over; SNS down loses no alert",
    ),
    (
        "A2",
        "5 attempts, then parked: exactly one alert row, published at least once with its number; many parked at once are one message per cause",
    ),
    (
        "A3",
        "nothing comes out of the pipe: a queue that refuses, is gone or silent, a trigger that is off or gone, a throttled exporter, a forgotten pause: one alert for each cause and one at its end; a backfill of 100,000 batches raises none",
    ),
    (
        "S1",
        "seeding refused in production; API without token, with a wrong one, with too small a role",
    ),
    (
        "S2",
        "no message content, address or secret in logs, alerts, errors, queue or ledger",
    ),
    (
        "S4",
        "a dry run whose body is dropped by a client or a proxy: nothing is changed",
    ),
    (
        "S5",
        "TLS with a private authority, with a wrong one, to another name; verification turned off; plain connections in production",
    ),
];
