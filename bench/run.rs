//! What one run of one row came to: figures by their names.

use crate::counters::Counts;
use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

/// The functions of the product, among the processes whose CPU time is measured.
const OF_GRANARY: [&str; 2] = ["harvester", "exporter"];

#[derive(Debug, Clone)]
pub(crate) struct Run {
    pub(crate) row: &'static str,
    figures: BTreeMap<String, f64>,
}

impl Run {
    /// `cpu`: microseconds by process. `counts`: by the names of figures.
    pub(crate) fn new(
        row: &'static str,
        messages: u64,
        time: Duration,
        cpu: &Counts,
        counts: &Counts,
    ) -> Self {
        let (messages, seconds) = (messages as f64, time.as_secs_f64());
        let mut figures: BTreeMap<String, f64> = counts
            .iter()
            .map(|(name, count)| (name.clone(), *count as f64))
            .collect();
        let mut of_granary = 0;
        for (process, micros) in cpu {
            figures.insert(format!("cpu_us.{process}"), *micros as f64 / messages);
            if OF_GRANARY.contains(&process.as_str()) {
                of_granary += micros;
            }
        }
        let all: u64 = cpu.values().sum();
        figures.extend([
            ("seconds".to_owned(), seconds),
            ("docs_per_second".to_owned(), messages / seconds),
            ("cpu_us".to_owned(), all as f64 / messages),
            ("cpu_us.granary".to_owned(), of_granary as f64 / messages),
            ("cores_busy".to_owned(), all as f64 / 1_000_000.0 / seconds),
        ]);
        Self { row, figures }
    }

    /// The same with a figure more.
    pub(crate) fn with(mut self, name: &str, value: f64) -> Self {
        self.figures.insert(name.to_owned(), value);
        self
    }

    pub(crate) fn figures(&self) -> &BTreeMap<String, f64> {
        &self.figures
    }

    /// A figure that each run has.
    pub(crate) fn figure(&self, name: &str) -> f64 {
        self.figures[name]
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{:<16} {:>9.0} messages/s, {:>6.1} CPU µs a message, {:.2} cores busy",
            self.row,
            self.figure("docs_per_second"),
            self.figure("cpu_us"),
            self.figure("cores_busy")
        )
    }
}
