//! What the services themselves count: requests to Elasticsearch, statements and rows of the ledger's server, requests to AWS.
//!
//! Nothing stands between a contestant and a service, so counting costs a run nothing.

use crate::elasticsearch::Elasticsearch;
use granary_test_database::LedgerServer;
use mysql_async::Conn;
use mysql_async::prelude::Queryable;
use serde_json::Value;
use std::collections::BTreeMap;
use tokio::sync::Mutex;
use url::Url;

/// Counts by the names of figures.
pub(crate) type Counts = BTreeMap<String, u64>;

/// The benchmark's own requests, which aren't counted.
const OWN_ROUTES: &str = "/_nodes";
/// Statements that read or change rows. The others begin and end transactions, or set variables.
const OF_DATA: [&str; 9] = [
    "Com_select",
    "Com_insert",
    "Com_insert_select",
    "Com_update",
    "Com_update_multi",
    "Com_delete",
    "Com_delete_multi",
    "Com_replace",
    "Com_replace_select",
];
const STATEMENTS: [&str; 1] = ["Questions"];
const PREPARATIONS: [&str; 1] = ["Com_stmt_prepare"];
/// Of each table, temporary ones included. MariaDB has no counters of InnoDB's rows any more.
const ROWS_WRITTEN: [&str; 3] = ["Handler_write", "Handler_update", "Handler_delete"];
const ROWS_READ: [&str; 7] = [
    "Handler_read_first",
    "Handler_read_key",
    "Handler_read_last",
    "Handler_read_next",
    "Handler_read_prev",
    "Handler_read_rnd",
    "Handler_read_rnd_next",
];

pub(crate) struct Counters {
    elasticsearch: Elasticsearch,
    ledger: Mutex<Conn>,
    emulator: Url,
    http: reqwest::Client,
}

impl Counters {
    pub(crate) async fn new(elasticsearch: &Elasticsearch, ledger: &LedgerServer, emulator: &Url) -> Self {
        Self {
            elasticsearch: elasticsearch.clone(),
            ledger: ledger.connection().await.into(),
            emulator: emulator.join("/_calls").unwrap(),
            http: reqwest::Client::new(),
        }
    }

    pub(crate) async fn read(&self) -> Counts {
        let mut counts = self.of_ledger().await;
        counts.extend(self.of_aws().await);
        counts.extend(self.of_elasticsearch().await);
        counts
    }

    /// Elasticsearch counts requests by route since 8.12. An older one has none of these numbers.
    async fn of_elasticsearch(&self) -> Option<(String, u64)> {
        let node = self.elasticsearch.node("/_nodes/stats/http").await;
        let routes = node["http"]["routes"].as_object()?;
        let counted = routes.iter().filter(|(route, _)| !route.starts_with(OWN_ROUTES));
        let requests = counted.filter_map(|(_, route)| route["requests"]["count"].as_u64());
        Some(("elasticsearch_requests".to_owned(), requests.sum()))
    }

    async fn of_ledger(&self) -> Counts {
        let mut conn = self.ledger.lock().await;
        let status: Vec<(String, String)> = conn.query("SHOW GLOBAL STATUS").await.unwrap();
        let status: BTreeMap<String, String> = status.into_iter().collect();
        let sum = |names: &[&str]| -> u64 {
            let counts = names
                .iter()
                .filter_map(|name| status.get(*name)?.parse::<u64>().ok());
            counts.sum()
        };
        Counts::from([
            ("statements".to_owned(), sum(&STATEMENTS)),
            ("statements_prepared".to_owned(), sum(&PREPARATIONS)),
            ("data_statements".to_owned(), sum(&OF_DATA)),
            ("rows_written".to_owned(), sum(&ROWS_WRITTEN)),
            ("rows_read".to_owned(), sum(&ROWS_READ)),
        ])
    }

    /// The emulator counts the calls of functions that sign with their own name.
    async fn of_aws(&self) -> Counts {
        let answer = self.http.get(self.emulator.clone()).send().await;
        let answer = answer.expect("the emulator answers");
        assert!(
            answer.status().is_success(),
            "the emulator counts no calls: it is older than this checkout. Run `local/stack down`, then `make bench`"
        );
        let calls: BTreeMap<String, Value> = answer.json().await.unwrap();
        let of = |service: &str| -> u64 {
            let calls = calls.iter().filter(|(call, _)| {
                call.split(' ')
                    .nth(1)
                    .is_some_and(|action| action.starts_with(service))
            });
            calls.filter_map(|(_, count)| count.as_u64()).sum()
        };
        Counts::from([
            ("s3_requests".to_owned(), of("s3:")),
            ("sqs_requests".to_owned(), of("sqs:")),
        ])
    }
}
