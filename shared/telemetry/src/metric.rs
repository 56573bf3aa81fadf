//! Metrics: one line of CloudWatch's embedded metric format for each invocation, on standard output.
//!
//! Names and units are a contract with the alarms and the CloudWatch dashboard. A line holds numbers and the function's name,
//! and nothing else; `GRANARY_LOG` doesn't filter it. Lines are written in Lambda only, where `AWS_LAMBDA_FUNCTION_NAME` says so.
//! What happened is not logged here: `lib.rs` has the logs.
//!
//! When a line can't be written, a warning is logged and the invocation continues: its metrics are missing.

use crate::variable;
use metrics::{Unit, counter, describe_counter, describe_histogram, histogram};
use metrics_cloudwatch_embedded::{Builder, Collector};
use std::io::Write;
use std::sync::OnceLock;
use std::time::Instant;

const NAMESPACE: &str = "Granary";
const DIMENSION: &str = "FunctionName";
/// The largest number that a double holds exactly. CloudWatch refuses larger ones than 2^360.
const VALUE_MAX: u64 = 1 << 53;
const KIB_PER_MIB: u64 = 1_024;

static COLLECTOR: OnceLock<&'static Collector> = OnceLock::new();

/// How the values of one invocation become one line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The sum of what was recorded; 0 where nothing was.
    Counter,
    /// What was measured, as a list of values; absent where nothing was. A warm process must not repeat an old value, so this
    /// is not a gauge of the `metrics` crate, which keeps its value.
    Measurement,
}

/// CloudWatch's name of a unit, and the recorder's.
enum CloudWatchUnit {
    Count,
    Percent,
    Seconds,
    Milliseconds,
    Bytes,
    Megabytes,
}

impl CloudWatchUnit {
    fn of_recorder(self) -> Unit {
        match self {
            Self::Count => Unit::Count,
            Self::Percent => Unit::Percent,
            Self::Seconds => Unit::Seconds,
            Self::Milliseconds => Unit::Milliseconds,
            Self::Bytes => Unit::Bytes,
            Self::Megabytes => Unit::Mebibytes,
        }
    }
}

/// Declares the metrics: name, unit, kind, description.
macro_rules! metrics_of_granary {
    ($($name:ident, $unit:ident, $kind:ident, $description:literal;)+) => {
        /// A metric. Its name in CloudWatch is the variant's.
        ///
        /// | name | unit | kind | description |
        /// |---|---|---|---|
        $(#[doc = concat!("| ", stringify!($name), " | ", stringify!($unit), " | ", stringify!($kind), " | ", $description, " |")])+
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
        pub enum Metric {
            $(#[doc = $description] $name,)+
        }

        impl Metric {
            /// Every metric.
            pub const ALL: &'static [Self] = &[$(Self::$name,)+];

            /// Its name in CloudWatch.
            pub fn name(self) -> &'static str {
                match self { $(Self::$name => stringify!($name),)+ }
            }

            /// How its values become one line.
            pub fn kind(self) -> Kind {
                match self { $(Self::$name => Kind::$kind,)+ }
            }

            /// What it counts or measures.
            pub fn description(self) -> &'static str {
                match self { $(Self::$name => $description,)+ }
            }

            /// Its unit, as CloudWatch writes it.
            pub fn unit(self) -> &'static str {
                match self { $(Self::$name => stringify!($unit),)+ }
            }

            fn measured_in(self) -> Unit {
                match self { $(Self::$name => CloudWatchUnit::$unit.of_recorder(),)+ }
            }
        }
    };
}

metrics_of_granary! {
    TickSucceeded, Count, Counter, "1 where a tick succeeded, 0 where it failed";
    TickDuration, Milliseconds, Measurement, "How long a tick took";
    MessagesHarvested, Count, Counter, "Messages that are new to the ledger";
    WindowsRecorded, Count, Counter, "Windows that were read to their end";
    MessagesLate, Count, Counter, "Messages that a re-scan found and no earlier reading";
    Lateness, Seconds, Measurement, "The lag that would have been enough for all late messages of the last seven days";
    MessagesExported, Count, Counter, "Messages in settled objects";
    BatchesExported, Count, Counter, "Batches that were settled";
    BatchesFailed, Count, Counter, "Attempts at a batch that failed and were counted";
    BatchesDeferred, Count, Counter, "Attempts at a batch that ended without being counted";
    MessagesExcepted, Count, Counter, "Messages that are missing or quarantined";
    BytesStored, Bytes, Counter, "Bytes of settled objects";
    BatchDuration, Milliseconds, Measurement, "How long an attempt at a batch took";
    LedgerDuration, Milliseconds, Measurement, "How long reading a batch from the ledger took";
    FetchDuration, Milliseconds, Measurement, "How long fetching, serialising and compressing a batch took";
    UploadDuration, Milliseconds, Measurement, "How long storing a batch's object took";
    Attempts, Count, Measurement, "The attempt by which a batch was settled";
    ArchiveLag, Seconds, Measurement, "Now minus the event time up to which the continuous migration is archived";
    ProvenLag, Seconds, Measurement, "Now minus the event time up to which the archive is proven";
    OldestPending, Seconds, Measurement, "How long the oldest due batch of the continuous migration has waited";
    BatchesParked, Count, Measurement, "Batches without an attempt left";
    OpenAlerts, Count, Measurement, "Alerts that are open";
    InvariantsViolated, Count, Counter, "Invariants that did not hold for batches that were looked at";
    BadVerdicts, Count, Measurement, "Windows whose verification fails";
    LedgerConnectionsUsed, Percent, Measurement, "Connections to the ledger's server, by the most that it allows";
    LoginsFailed, Count, Counter, "Requests that were refused for their token";
    RequestsFailed, Count, Counter, "Requests that were answered with 5xx";
    MemoryUsed, Megabytes, Measurement, "The most memory that the process has used";
}

/// Starts metrics of these counters and measurements. Outside of Lambda nothing is recorded or written.
pub fn start_metrics(emitted: &[Metric]) {
    let Some(function) = variable("AWS_LAMBDA_FUNCTION_NAME") else {
        return;
    };
    let collector = Builder::new()
        .cloudwatch_namespace(NAMESPACE)
        .with_dimension(DIMENSION, function)
        .emit_zeros(true)
        .init();
    match collector {
        Ok(collector) => {
            COLLECTOR.get_or_init(|| collector);
        }
        Err(reason) => {
            tracing::error!("metrics can't be started: {reason}");
            return;
        }
    }
    for metric in emitted {
        match metric.kind() {
            Kind::Counter => {
                describe_counter!(metric.name(), metric.measured_in(), metric.description());
                // A counter that is known is written even where it stays 0.
                counter!(metric.name()).increment(0);
            }
            Kind::Measurement => {
                describe_histogram!(metric.name(), metric.measured_in(), metric.description())
            }
        }
    }
}

/// Adds to a counter, or records what was measured.
pub fn record(metric: Metric, value: u64) {
    let value = value.min(VALUE_MAX);
    match metric.kind() {
        Kind::Counter => counter!(metric.name()).increment(value),
        Kind::Measurement => histogram!(metric.name()).record(value as f64),
    }
}

/// Records how a tick that began at `started` ended.
pub fn record_tick(has_succeeded: bool, started: Instant) {
    record(Metric::TickSucceeded, u64::from(has_succeeded));
    let millis = u64::try_from(started.elapsed().as_millis()).unwrap_or(VALUE_MAX);
    record(Metric::TickDuration, millis);
}

/// Records the most memory that this process has used, where the system tells.
fn measure_memory() {
    let Ok(status) = std::fs::read_to_string("/proc/self/status") else {
        return;
    };
    if let Some(kib) = peak_kib(&status) {
        record(Metric::MemoryUsed, kib.div_ceil(KIB_PER_MIB));
    }
}

fn peak_kib(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.split_whitespace().next()?.parse().ok()
}

/// Writes the line of an invocation, and begins the next one. Call it once, at the end of each invocation.
pub fn write_metrics() {
    let Some(collector) = COLLECTOR.get() else {
        return;
    };
    measure_memory();
    // Whole, so that no line of the log comes in between.
    let mut line = Vec::new();
    let written = collector
        .flush(&mut line)
        .and_then(|()| std::io::stdout().lock().write_all(&line));
    if let Err(error) = written {
        tracing::warn!("the metrics of this invocation are lost: {error}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_peak_is_read_from_what_the_system_says_of_a_process() {
        assert_eq!(
            peak_kib("Name:\tx\nVmHWM:\t   51200 kB\nVmRSS:\t 1 kB\n"),
            Some(51_200)
        );
        assert_eq!(peak_kib("Name:\tx\n"), None);
    }

    #[test]
    fn names_differ() {
        let names: std::collections::BTreeSet<_> = Metric::ALL.iter().map(|metric| metric.name()).collect();
        assert_eq!(names.len(), Metric::ALL.len());
    }

    #[test]
    fn the_table_in_the_documentation_is_this_one() {
        let page = include_str!("../../../docs/operations.md");
        let listed: Vec<_> = page.lines().skip_while(|line| *line != "## Metrics").collect();
        for metric in Metric::ALL {
            let begins = format!("| `{}` | {} |", metric.name(), metric.unit());
            let kind = format!("{:?}", metric.kind()).to_lowercase();
            let ends = format!("| {kind} | {} |", metric.description());
            assert!(
                listed
                    .iter()
                    .any(|line| line.starts_with(&begins) && line.ends_with(&ends)),
                "docs/operations.md has no such row: {begins} … {ends}"
            );
        }
    }
}
