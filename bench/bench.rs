//! What all contestants have in common: the index with its messages, the services, and the meter.
//!
//! Elasticsearch and the AWS emulator are the local stack's. The ledger's server is the benchmark's own, so that nothing else is counted in it;
//! it flushes its log with every commit, as one in production does. All of it is removed at the end.

use crate::counters::Counters;
use crate::dataset::Dataset;
use crate::elasticsearch::Elasticsearch;
use crate::meter::Meter;
use crate::run::Run;
use crate::settings::Settings;
use crate::stage::{Addresses, Function, Stage};
use futures::StreamExt;
use futures::future::ready;
use granary_test_database::{LedgerServer, ServerKind};
use memchr::memmem;
use serde_json::json;
use std::ops::Range;
use std::path::Path;
use url::Url;

const SHARDS: u32 = 2;
const BULK_MESSAGES: usize = 2_000;
const BULKS_IN_FLIGHT: usize = 2;
/// Room for the ledger of 3 million messages, and a file for each table, as servers have by default.
const LEDGER_OPTIONS: [&str; 2] = ["--innodb-buffer-pool-size=2G", "--innodb-file-per-table=1"];
const LEDGER_REDO_LOG: &str = "256M";

pub(crate) struct Bench {
    pub(crate) settings: Settings,
    pub(crate) dataset: Dataset,
    /// Bytes of all messages together.
    pub(crate) bytes: u64,
    pub(crate) index: String,
    pub(crate) elasticsearch: Elasticsearch,
    meter: Meter,
    /// It has the index. Removed before the server that its ledger is in.
    owner: Stage,
    ledger_server: LedgerServer,
}

impl Bench {
    pub(crate) async fn open(settings: Settings) -> Self {
        let addresses = Addresses::from_environment();
        let elasticsearch = Elasticsearch::new(&addresses.elasticsearch);
        elasticsearch.assert_it_compiles_in_full().await;
        let redo_log = ServerKind::of_stack().redo_log(LEDGER_REDO_LOG);
        let [buffer_pool, files] = LEDGER_OPTIONS;
        let ledger_server = LedgerServer::start_with(&[buffer_pool, files, &redo_log]).await;
        let addresses = addresses.with_ledger_server(&ledger_server).with_own_schema();
        let owner = Stage::at(addresses, "bench", &[]).await;
        owner.indices.have_shards(SHARDS).await;
        let emulator: Url = variable("AWS_ENDPOINT_URL").parse().unwrap();
        let services = vec![
            ("elasticsearch", elasticsearch.pid().await),
            ("ledger", ledger_server.pid().expect("it was started")),
            ("emulator", pid_of_emulator()),
            ("bench", std::process::id()),
        ];
        let counters = Counters::new(&elasticsearch, &ledger_server, &emulator).await;
        let mut bench = Self {
            dataset: Dataset::new(settings.seed, settings.messages),
            bytes: 0,
            index: owner.indices.messages.clone(),
            meter: Meter::new(services, counters),
            settings,
            elasticsearch,
            owner,
            ledger_server,
        };
        bench.load().await;
        bench
    }

    /// Writes all messages, in the order of their times, and leaves the index as it will stay: one segment a shard, so that nothing is
    /// merged while it is read.
    async fn load(&mut self) {
        let messages = self.dataset.ids.len();
        eprintln!("bench: {messages} messages are written to Elasticsearch");
        let begins = (0..messages).step_by(BULK_MESSAGES);
        let bulks = begins.map(|begin| self.write(begin..messages.min(begin + BULK_MESSAGES)));
        let written = futures::stream::iter(bulks).buffer_unordered(BULKS_IN_FLIGHT);
        let bytes = written.fold(0, |sum, bytes| ready(sum + bytes)).await;
        self.bytes = bytes;
        for action in ["_forcemerge?max_num_segments=1", "_flush", "_refresh"] {
            let path = format!("/{}/{action}", self.index);
            self.elasticsearch.post(&path, "").await;
        }
    }

    /// Writes some messages, by their numbers; how many bytes they have.
    async fn write(&self, numbers: Range<usize>) -> u64 {
        let mut lines = String::new();
        let mut bytes = 0;
        for number in numbers {
            let action = json!({"index": {"_id": self.dataset.ids[number]}});
            let body = self.dataset.body(number);
            bytes += body.len() as u64;
            lines.push_str(&format!("{action}\n{body}\n"));
        }
        let path = format!("/{}/_bulk", self.index);
        let answer = self.elasticsearch.post(&path, lines).await;
        assert!(
            memmem::find(&answer, b"\"errors\":false").is_some(),
            "Elasticsearch refuses messages: {}",
            String::from_utf8_lossy(&answer[..answer.len().min(1_000)])
        );
        bytes
    }

    /// Measures work on all messages, and what the functions that do it use; see [`Meter::measure`].
    pub(crate) async fn measure(
        &self,
        row: &'static str,
        functions: &[&Function],
        work: impl Future<Output = ()>,
    ) -> Run {
        self.meter
            .measure(row, self.settings.messages, functions, work)
            .await
    }

    /// Where a contestant's own stage finds the services.
    pub(crate) fn addresses(&self) -> Addresses {
        Addresses::from_environment()
            .with_ledger_server(&self.ledger_server)
            .with_own_schema()
    }

    /// `mariadb` or `mysql`, with its version.
    pub(crate) async fn ledger_version(&self) -> String {
        let version: String = self.owner.row("SELECT VERSION()").await;
        format!("{} {version}", variable("LEDGER_SERVER"))
    }

    pub(crate) async fn close(self) {
        self.owner.finish_indiscreet().await;
    }
}

/// Its file lies beside the record of calls, in the directory of the stack's processes.
fn pid_of_emulator() -> u32 {
    let file = Path::new(&variable("RECORDED_CALLS")).with_file_name("aws.pid");
    let pid = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    pid.trim().parse().unwrap()
}

fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: run `make bench`"))
}
