//! The results: the few numbers that the goals of the project are written in, by names that stay.

use crate::summary::{Spread, Summary};

pub(crate) struct Outcome {
    pub(crate) name: &'static str,
    /// What it is, for people.
    pub(crate) means: &'static str,
    pub(crate) decimals: usize,
    of: Of,
    take: Take,
}

enum Of {
    /// Messages a second of one row, as a share of another's.
    Speeds(&'static str, &'static str),
    /// A figure of a row.
    Figure(&'static str, &'static str),
}

/// Which of the rounds' numbers counts.
enum Take {
    Median,
    /// Of what must never be exceeded.
    Most,
}

pub(crate) const OUTCOMES: [Outcome; 7] = [
    Outcome {
        name: "export_vs_mget",
        means: "speed of the export, as a share of `mget_by_time`",
        decimals: 2,
        of: Of::Speeds("export", "mget_by_time"),
        take: Take::Median,
    },
    Outcome {
        name: "harvest_vs_ids",
        means: "speed of the harvest, as a share of `ids`",
        decimals: 2,
        of: Of::Speeds("harvest", "ids"),
        take: Take::Median,
    },
    Outcome {
        name: "reharvest_vs_ids",
        means: "speed of the second harvest, as a share of `ids`",
        decimals: 2,
        of: Of::Speeds("reharvest", "ids"),
        take: Take::Median,
    },
    Outcome {
        name: "exporter_peak_mb",
        means: "MiB that the largest exporter ever had, in the worst round",
        decimals: 0,
        of: Of::Figure("export", "peak_mib"),
        take: Take::Most,
    },
    Outcome {
        name: "harvester_peak_mb",
        means: "MiB that the harvester ever had, in the worst round",
        decimals: 0,
        of: Of::Figure("reharvest", "peak_mib"),
        take: Take::Most,
    },
    Outcome {
        name: "statements_per_batch",
        means: "statements that read or change rows, of harvest and export, for each batch",
        decimals: 1,
        of: Of::Figure("export", "harvest_and_export.data_statements_per_batch"),
        take: Take::Median,
    },
    Outcome {
        name: "cpu_us_per_message",
        means: "µs of CPU that harvester and exporters together use for a message",
        decimals: 1,
        of: Of::Figure("export", "harvest_and_export.cpu_us.granary"),
        take: Take::Median,
    },
];

impl Outcome {
    pub(crate) fn spread(&self, summary: &Summary) -> Spread {
        let spread = match self.of {
            Of::Speeds(row, to) => summary.ratio(row, to, "docs_per_second"),
            Of::Figure(row, figure) => summary.figure(row, figure),
        };
        spread.unwrap_or_else(|| panic!("no round measured {}", self.name))
    }

    /// The one number.
    pub(crate) fn value(&self, spread: &Spread) -> f64 {
        match self.take {
            Take::Median => spread.median,
            Take::Most => spread.most,
        }
    }
}
