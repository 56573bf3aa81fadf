//! Tables in Markdown, which is as legible in a terminal as in `docs/performance.md`.

use crate::contestants::{CONTESTANTS, Row};
use crate::results::OUTCOMES;
use crate::summary::{Spread, Summary};

struct Column {
    title: &'static str,
    figure: &'static str,
    decimals: usize,
    shows: Shows,
}

enum Shows {
    Median,
    /// The median, and the least and the most of all rounds.
    All,
}

const fn column(title: &'static str, figure: &'static str, decimals: usize) -> Column {
    Column {
        title,
        figure,
        decimals,
        shows: Shows::Median,
    }
}

const SPEED: [Column; 8] = [
    Column {
        title: "messages/s",
        figure: "docs_per_second",
        decimals: 0,
        shows: Shows::All,
    },
    column("CPU µs a message", "cpu_us", 1),
    column("of Elasticsearch", "cpu_us.elasticsearch", 1),
    column("of the ledger's server", "cpu_us.ledger", 1),
    column("of the AWS emulator", "cpu_us.emulator", 1),
    column("of Granary", "cpu_us.granary", 1),
    column("of the benchmark", "cpu_us.bench", 1),
    column("cores busy", "cores_busy", 2),
];

const COST: [Column; 10] = [
    column("peak MiB", "peak_mib", 0),
    column("requests to Elasticsearch", "elasticsearch_requests", 0),
    column("statements", "statements", 0),
    column("of data", "data_statements", 0),
    column("prepared", "statements_prepared", 0),
    column("rows written", "rows_written", 0),
    column("rows read", "rows_read", 0),
    column("requests to S3", "s3_requests", 0),
    column("bytes in S3 a message", "stored_bytes_per_message", 0),
    column("bytes in the ledger a message", "ledger_bytes_per_message", 0),
];

fn rows() -> impl Iterator<Item = &'static Row> {
    CONTESTANTS.iter().flat_map(|contestant| contestant.rows)
}

/// Messages a second, and where the CPU time goes.
pub(crate) fn speed(summary: &Summary) -> String {
    of_columns(&SPEED, summary)
}

/// What all messages of a round together cost.
pub(crate) fn cost(summary: &Summary) -> String {
    of_columns(&COST, summary)
}

/// What each row does.
pub(crate) fn legend() -> String {
    rows()
        .map(|row| format!("- `{}` {}.\n", row.name, row.does))
        .collect()
}

pub(crate) fn outcomes(summary: &Summary) -> String {
    let lines = OUTCOMES.iter().map(|outcome| {
        let spread = outcome.spread(summary);
        let decimals = outcome.decimals;
        vec![
            format!("`{}`", outcome.name),
            grouped(outcome.value(&spread), decimals),
            range(&spread, decimals),
            outcome.means.to_owned(),
        ]
    });
    let titles = ["result", "value", "rounds", "meaning"].map(str::to_owned);
    table(&titles, lines)
}

fn of_columns(columns: &[Column], summary: &Summary) -> String {
    let titles = columns.iter().map(|column| column.title.to_owned());
    let titles: Vec<String> = std::iter::once(String::new()).chain(titles).collect();
    let lines = rows().map(|row| {
        let cells = columns.iter().map(|column| column.cell(row, summary));
        std::iter::once(format!("`{}`", row.name)).chain(cells).collect()
    });
    table(&titles, lines)
}

impl Column {
    fn cell(&self, row: &Row, summary: &Summary) -> String {
        let Some(spread) = summary.figure(row.name, self.figure) else {
            return "–".to_owned();
        };
        let median = grouped(spread.median, self.decimals);
        match self.shows {
            Shows::Median => median,
            Shows::All => format!("{median} ({})", range(&spread, self.decimals)),
        }
    }
}

fn range(spread: &Spread, decimals: usize) -> String {
    format!(
        "{}–{}",
        grouped(spread.least, decimals),
        grouped(spread.most, decimals)
    )
}

fn table(titles: &[String], lines: impl Iterator<Item = Vec<String>>) -> String {
    let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
    let rule: Vec<String> = titles.iter().map(|_| "---".to_owned()).collect();
    let mut text = line(titles) + &line(&rule);
    text.extend(lines.map(|cells| line(&cells)));
    text
}

/// `12,345.6`: a comma after each three digits before the point.
fn grouped(value: f64, decimals: usize) -> String {
    let text = format!("{value:.decimals$}");
    let digits = text.find('.').unwrap_or(text.len());
    let mut grouped = String::new();
    for (at, character) in text.char_indices() {
        if at > 0 && at < digits && (digits - at).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(character);
    }
    grouped
}
