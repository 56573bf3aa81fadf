//! Data for people, on standard output: numbers with their thousands, tables, verdicts.

use crate::sheet::without_controls;
use anyhow::Context;
use console::measure_text_width;
use serde_json::Value;
use std::io::{IsTerminal, Write};
use std::time::Duration;

/// Prints a text and a line end.
pub(crate) fn print(text: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout(), "{text}").context("standard output can't be written to")
}

/// Prints the API's JSON.
pub(crate) fn print_json(answer: &Value) -> anyhow::Result<()> {
    print(&format!("{answer:#}"))
}

/// Where a column's cells stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Column {
    Text(&'static str),
    Number(&'static str),
}

/// A table without lines, so that it can be cut and grepped. Colours take no room.
pub(crate) fn table(columns: &[Column], rows: Vec<Vec<String>>) -> String {
    let names = columns.iter().map(|column| match column {
        Column::Text(name) | Column::Number(name) => (*name).to_owned(),
    });
    let lines: Vec<Vec<String>> = std::iter::once(names.collect()).chain(rows).collect();
    let width = |place: usize| {
        let cells = lines.iter().filter_map(|line| line.get(place));
        cells.map(|cell| measure_text_width(cell)).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns.len()).map(width).collect();
    let line = |cells: &Vec<String>| {
        let aligned = cells
            .iter()
            .zip(columns)
            .zip(&widths)
            .map(|((cell, column), width)| {
                let blanks = " ".repeat(width.saturating_sub(measure_text_width(cell)));
                match column {
                    Column::Text(_) => format!("{cell}{blanks}"),
                    Column::Number(_) => format!("{blanks}{cell}"),
                }
            });
        let aligned: Vec<String> = aligned.collect();
        format!(" {}", aligned.join("  ")).trim_end().to_owned()
    };
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// Names and values, one a line.
pub(crate) fn pairs(pairs: &[(&str, String)]) -> String {
    let width = pairs.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
    let lines: Vec<String> = pairs
        .iter()
        .map(|(name, value)| format!("  {name:width$}  {value}"))
        .collect();
    lines.join("\n")
}

/// How a word is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Tone {
    Good,
    Doubtful,
    Bad,
}

/// A word in the colour of its tone, where colours are wanted and can be seen.
pub(crate) fn toned(word: &str, tone: Tone) -> String {
    let colour = match tone {
        _ if !colours_are_wanted() || !std::io::stdout().is_terminal() => return word.to_owned(),
        Tone::Good => 32,
        Tone::Doubtful => 33,
        Tone::Bad => 31,
    };
    format!("\u{1b}[1;{colour}m{word}\u{1b}[0m")
}

/// Unless the environment says otherwise.
fn colours_are_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty()) && !terminal_is_dumb()
}

/// Whether the terminal can only write on.
pub(crate) fn terminal_is_dumb() -> bool {
    std::env::var("TERM").is_ok_and(|term| term == "dumb")
}

/// `1234567` as `1,234,567`.
pub(crate) fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Bytes in the unit that leaves few digits.
pub(crate) fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["B", "KiB", "MiB", "GiB", "TiB"];
    let mut size = bytes as f64;
    let mut unit = 0;
    while size >= 1_024.0 && unit + 1 < UNITS.len() {
        size /= 1_024.0;
        unit += 1;
    }
    if unit == 0 {
        format!("{bytes} B")
    } else {
        format!("{size:.1} {}", UNITS[unit])
    }
}

/// A duration in its two largest units.
pub(crate) fn duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3_600 % 24, seconds / 60 % 60);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{} s", seconds),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, ..) => format!("{hours} h {minutes} min"),
        _ => format!("{days} d {hours} h"),
    }
}

/// A number of the API's JSON; 0 where it isn't there.
pub(crate) fn number(value: &Value) -> u64 {
    value.as_u64().unwrap_or(0)
}

/// A text of the API's JSON; a dash where it isn't there.
pub(crate) fn text(value: &Value) -> String {
    match value {
        Value::String(text) => without_controls(text),
        Value::Null => "-".to_owned(),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_easy_to_read() {
        assert_eq!(
            [0, 999, 1_000, 1_234_567].map(grouped),
            ["0", "999", "1,000", "1,234,567"]
        );
        assert_eq!(
            [0, 1_023, 1_536, 5 << 30].map(bytes),
            ["0 B", "1023 B", "1.5 KiB", "5.0 GiB"]
        );
        let of = |seconds| duration(Duration::from_secs(seconds));
        assert_eq!(
            [5, 65, 3_700, 90_000].map(of),
            ["5 s", "1 min 5 s", "1 h 1 min", "1 d 1 h"]
        );
    }

    #[test]
    fn a_table_has_no_lines_and_no_blanks_at_its_ends() {
        let text = table(
            &[Column::Text("NAME"), Column::Number("COUNT")],
            vec![
                vec!["a".to_owned(), "1".to_owned()],
                vec!["bcd".to_owned(), "1,000".to_owned()],
            ],
        );
        assert_eq!(text, " NAME  COUNT\n a         1\n bcd   1,000");
    }
}
