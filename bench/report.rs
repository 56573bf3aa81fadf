//! The report: tables and results on standard output, everything as JSON in the target directory, and the tables in
//! `docs/performance.md` where `BENCH_WRITE_DOCS` is set.

use crate::bench::Bench;
use crate::contestants::CONTESTANTS;
use crate::results::OUTCOMES;
use crate::run::Run;
use crate::settings::Settings;
use crate::summary::Summary;
use crate::table;
use serde_json::{Map, Value, json};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Between these lines of the page are the tables.
const BEGIN: &str = "<!-- written by BENCH_WRITE_DOCS=1 make bench -->\n";
const END: &str = "<!-- end of what is written -->\n";

pub(crate) struct Report {
    conditions: Conditions,
    summary: Summary,
}

/// What else decides the numbers.
struct Conditions {
    settings: Settings,
    bytes_per_message: u64,
    took: Duration,
    cores: usize,
    memory_gib: f64,
    elasticsearch: String,
    ledger: String,
    /// Of the checkout; empty where it isn't one of Git.
    commit: String,
}

impl Report {
    pub(crate) async fn new(bench: &Bench, rounds: Vec<Vec<Run>>, took: Duration) -> Self {
        let conditions = Conditions {
            settings: bench.settings.clone(),
            bytes_per_message: bench.bytes / bench.settings.messages,
            took,
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            memory_gib: memory_gib(),
            elasticsearch: bench.elasticsearch.version().await,
            ledger: bench.ledger_version().await,
            commit: std::env::var("BENCH_COMMIT").unwrap_or_default(),
        };
        Self {
            conditions,
            summary: Summary::new(rounds),
        }
    }

    /// The tables, and as the last lines each result as `name value`.
    pub(crate) fn print(&self) {
        println!("{}", self.page());
        for outcome in &OUTCOMES {
            let value = outcome.value(&outcome.spread(&self.summary));
            println!("{} {value:.decimals$}", outcome.name, decimals = outcome.decimals);
        }
    }

    pub(crate) fn write(&self) {
        let file = target_directory().join("bench/result.json");
        std::fs::create_dir_all(file.parent().expect("it lies in a directory")).unwrap();
        std::fs::write(&file, format!("{:#}\n", self.json())).unwrap();
        eprintln!("bench: all figures of all rounds are in {}", file.display());
        if std::env::var_os("BENCH_WRITE_DOCS").is_some() {
            self.write_docs();
        }
    }

    fn write_docs(&self) {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/performance.md");
        let page = std::fs::read_to_string(&file).unwrap();
        let (before, rest) = page
            .split_once(BEGIN)
            .expect("the page says where the tables begin");
        let (_, after) = rest.split_once(END).expect("the page says where the tables end");
        let written = format!("{before}{BEGIN}\n{}\n{END}{after}", self.page());
        std::fs::write(&file, written).unwrap();
        eprintln!("bench: the tables are in {}", file.display());
    }

    fn page(&self) -> String {
        let summary = &self.summary;
        [
            self.conditions.text(summary.rounds()),
            table::outcomes(summary),
            table::speed(summary),
            table::cost(summary),
            table::legend(),
        ]
        .join("\n")
    }

    fn json(&self) -> Value {
        let mut rows = Map::new();
        for row in CONTESTANTS.iter().flat_map(|contestant| contestant.rows) {
            let figures = self.summary.figures(row.name).into_iter();
            let figures: Map<String, Value> = figures.map(|(name, spread)| (name, spread.json())).collect();
            rows.insert(row.name.to_owned(), json!({"does": row.does, "figures": figures}));
        }
        let mut results = Map::new();
        for outcome in &OUTCOMES {
            let spread = outcome.spread(&self.summary);
            let mut result = spread.json();
            result["value"] = outcome.value(&spread).into();
            result["means"] = outcome.means.into();
            results.insert(outcome.name.to_owned(), result);
        }
        json!({
            "conditions": self.conditions.json(self.summary.rounds()),
            "rows": rows,
            "results": results,
        })
    }
}

impl Conditions {
    fn text(&self, rounds: usize) -> String {
        let settings = &self.settings;
        let of_commit = match self.commit.as_str() {
            "" => String::new(),
            commit => format!(", commit {commit}"),
        };
        format!(
            "{} messages of {} bytes, {rounds} rounds, seed {}; {} exporters, batches of {}; {} cores, {:.0} GiB of memory; \
             Elasticsearch {}, ledger on {}; {} minutes in all{of_commit}.\n",
            settings.messages,
            self.bytes_per_message,
            settings.seed,
            settings.exporters,
            settings.batch_size,
            self.cores,
            self.memory_gib,
            self.elasticsearch,
            self.ledger,
            self.took.as_secs().div_ceil(60),
        )
    }

    fn json(&self, rounds: usize) -> Value {
        json!({
            "messages": self.settings.messages,
            "bytes_per_message": self.bytes_per_message,
            "rounds": rounds,
            "seed": self.settings.seed,
            "exporters": self.settings.exporters,
            "batch_size": self.settings.batch_size,
            "cores": self.cores,
            "memory_gib": self.memory_gib,
            "elasticsearch": self.elasticsearch,
            "ledger": self.ledger,
            "seconds": self.took.as_secs(),
            "commit": self.commit,
        })
    }
}

fn memory_gib() -> f64 {
    let meminfo = std::fs::read_to_string("/proc/meminfo").unwrap();
    let total = meminfo.lines().find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = total.and_then(|total| total.split_whitespace().next()?.parse::<f64>().ok());
    kib.unwrap_or_default() / 1024.0 / 1024.0
}

/// The benchmark lies in `release/deps` of it, whatever `CARGO_TARGET_DIR` is.
fn target_directory() -> PathBuf {
    let bench = std::env::current_exe().unwrap();
    bench
        .ancestors()
        .nth(3)
        .expect("it lies in target/release/deps")
        .to_owned()
}
