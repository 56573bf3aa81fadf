//! What a command prints of the API's JSON: named values, tables and lines, for people or for pipes.
//!
//! A [`Field`] says where a value is and how it is meant; how it looks is decided here, once. What the API doesn't tell is
//! left out where people read and is empty between tabs, so an older deployment is no error. Texts come from elsewhere (a
//! message's id, a service's error): control characters in them never reach a terminal.

use crate::show::{self, Column, Tone, bytes, duration, grouped, pairs, table, toned};
use serde_json::Value;
use std::borrow::Cow;
use std::time::Duration;

/// What people read of a long text in a table.
const CELL_CHARS_MAX: usize = 72;

/// What standard output gets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Aligned, with units.
    People,
    /// Tabs between values, as the API has them.
    Plain,
    /// The API's own answer.
    Json,
}

/// How a value is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A text, or whatever it is.
    Text,
    /// A number that is a name.
    Number,
    /// How many.
    Count,
    /// How many bytes.
    Bytes,
    /// An instant.
    Time,
    /// A duration, in seconds.
    Seconds,
    /// A duration, in milliseconds.
    Milliseconds,
    /// A word that says how something stands.
    State,
}

/// A value of the API's JSON: its name for people, where it is (a JSON pointer), and how it is meant.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Field(pub(crate) &'static str, pub(crate) &'static str, pub(crate) Kind);

/// A value as it is printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cell {
    shown: String,
    plain: String,
    tone: Option<Tone>,
}

impl Cell {
    /// A text that is the same for everybody.
    pub(crate) fn text(text: impl Into<String>) -> Self {
        let plain = without_controls(&text.into());
        Self {
            shown: plain.clone(),
            plain,
            tone: None,
        }
    }

    /// A value of the API's JSON.
    pub(crate) fn of(value: &Value, kind: Kind) -> Self {
        let plain = match value {
            Value::Null => String::new(),
            Value::String(text) => without_controls(text),
            Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => value.to_string(),
        };
        let shown = shown(value, &plain, kind);
        let tone = (kind == Kind::State).then(|| tone_of(&plain)).flatten();
        Self { shown, plain, tone }
    }

    /// As people read it, without colour.
    pub(crate) fn to_text(&self) -> String {
        self.shown.clone()
    }

    fn is_absent(&self) -> bool {
        self.plain.is_empty()
    }

    fn for_people(&self) -> String {
        match self.tone {
            Some(tone) => toned(&self.shown, tone),
            None => self.shown.clone(),
        }
    }

    /// Long texts are cut in tables: `--json` and `--plain` have them whole.
    fn for_people_in_a_table(&self) -> String {
        let mut chars = self.shown.chars();
        let beginning: String = chars.by_ref().take(CELL_CHARS_MAX).collect();
        let cut = if chars.next().is_some() { "…" } else { "" };
        match self.tone {
            Some(tone) => toned(&beginning, tone),
            None => format!("{beginning}{cut}"),
        }
    }
}

fn shown(value: &Value, plain: &str, kind: Kind) -> String {
    if plain.is_empty() {
        return "-".to_owned();
    }
    let whole = value
        .as_u64()
        .or_else(|| value.as_f64().map(|number| number.max(0.0).round() as u64));
    match (kind, whole) {
        (Kind::Count, Some(count)) => match value.as_f64() {
            Some(rate) if rate.fract() > 0.0 && rate < 100.0 => format!("{rate:.1}"),
            _ => grouped(count),
        },
        (Kind::Bytes, Some(count)) => bytes(count),
        (Kind::Seconds, Some(seconds)) => duration(Duration::from_secs(seconds)),
        (Kind::Milliseconds, Some(milliseconds)) if milliseconds < 10_000 => format!("{milliseconds} ms"),
        (Kind::Milliseconds, Some(milliseconds)) => duration(Duration::from_millis(milliseconds)),
        (Kind::Time, _) => to_the_second(plain),
        (Kind::State, _) => plain.replace('_', " "),
        _ => plain.to_owned(),
    }
}

/// `2026-03-01T14:02:11.5Z` as `2026-03-01 14:02:11Z`.
fn to_the_second(instant: &str) -> String {
    match instant.parse::<jiff::Timestamp>() {
        Ok(instant) => instant.strftime("%Y-%m-%d %H:%M:%SZ").to_string(),
        Err(_) => instant.to_owned(),
    }
}

fn tone_of(state: &str) -> Option<Tone> {
    match state {
        "ok" | "up" | "ready" | "success" | "succeeded" | "completed" | "complete" | "archived"
        | "verified" | "running" | "Enabled" | "arrived" | "true" | "COMPLETE" | "CONSISTENT" | "read"
        | "unchanged" => Some(Tone::Good),
        "failed" | "failing" | "incomplete" | "down" | "parked" | "missing" | "quarantined"
        | "INCOMPLETE" | "INCONSISTENT" => Some(Tone::Bad),
        "warning" | "degraded" | "stopped" | "paused" | "partly" | "late" | "changing" | "Disabled"
        | "overdue" | "false" | "drifted" | "DRIFTED" | "PENDING" | "gone" | "updated" | "cancelled" => {
            Some(Tone::Doubtful)
        }
        _ => None,
    }
}

/// Control characters would let whoever names a message write on people's terminals.
pub(crate) fn without_controls(text: &str) -> String {
    text.chars()
        .map(|char| if char.is_control() { ' ' } else { char })
        .collect()
}

/// What a command prints.
#[derive(Debug, Default)]
pub(crate) struct Sheet {
    parts: Vec<Part>,
}

#[derive(Debug)]
enum Part {
    Pairs(Vec<(Cow<'static, str>, Cell)>),
    Table {
        fields: Vec<Field>,
        rows: Vec<Vec<Cell>>,
    },
    Line(String),
}

impl Sheet {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// Values by their names.
    pub(crate) fn values(self, value: &Value, fields: &[Field]) -> Self {
        let pairs = fields
            .iter()
            .map(|Field(name, place, kind)| (*name, Cell::of(at(value, place), *kind)));
        let pairs: Vec<(&'static str, Cell)> = pairs.collect();
        self.pairs(pairs)
    }

    /// Cells by their names.
    pub(crate) fn pairs<Name: Into<Cow<'static, str>>>(mut self, pairs: Vec<(Name, Cell)>) -> Self {
        let pairs = pairs.into_iter().map(|(name, cell)| (name.into(), cell));
        match self.parts.last_mut() {
            Some(Part::Pairs(before)) => before.extend(pairs),
            Some(Part::Table { .. } | Part::Line(_)) | None => self.parts.push(Part::Pairs(pairs.collect())),
        }
        self
    }

    /// A row for each, where there are any.
    pub(crate) fn table<'a>(self, items: impl IntoIterator<Item = &'a Value>, fields: &[Field]) -> Self {
        let row = |item: &Value| {
            fields
                .iter()
                .map(|Field(_, place, kind)| Cell::of(at(item, place), *kind))
                .collect()
        };
        let rows = items.into_iter().map(row).collect();
        self.rows(fields, rows)
    }

    /// The same with cells that were made elsewhere.
    pub(crate) fn rows(mut self, fields: &[Field], rows: Vec<Vec<Cell>>) -> Self {
        if !rows.is_empty() {
            self.parts.push(Part::Table {
                fields: fields.to_vec(),
                rows,
            });
        }
        self
    }

    /// A line.
    pub(crate) fn line(mut self, text: impl Into<String>) -> Self {
        self.parts.push(Part::Line(text.into()));
        self
    }

    /// The whole, for people or with tabs.
    pub(crate) fn render(&self, format: Format) -> String {
        let parts: Vec<String> = match format {
            Format::Plain => self.parts.iter().map(Part::plain).collect(),
            Format::People | Format::Json => self.parts.iter().map(Part::for_people).collect(),
        };
        let parts: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
        parts.join("\n\n")
    }
}

impl Part {
    fn for_people(&self) -> String {
        match self {
            Self::Pairs(cells) => {
                let told = cells.iter().filter(|(_, cell)| !cell.is_absent());
                let told: Vec<(&str, String)> =
                    told.map(|(name, cell)| (&**name, cell.for_people())).collect();
                pairs(&told)
            }
            Self::Table { fields, rows } => {
                let columns: Vec<Column> = fields.iter().map(column).collect();
                let rows = rows
                    .iter()
                    .map(|row| row.iter().map(Cell::for_people_in_a_table).collect());
                table(&columns, rows.collect())
            }
            Self::Line(text) => text.clone(),
        }
    }

    fn plain(&self) -> String {
        let lines: Vec<String> = match self {
            Self::Pairs(cells) => cells
                .iter()
                .map(|(name, cell)| format!("{name}\t{}", cell.plain))
                .collect(),
            Self::Table { fields, rows } => {
                let names: Vec<&str> = fields.iter().map(|Field(name, ..)| *name).collect();
                let row = |row: &Vec<Cell>| {
                    let cells: Vec<&str> = row.iter().map(|cell| cell.plain.as_str()).collect();
                    cells.join("\t")
                };
                std::iter::once(names.join("\t"))
                    .chain(rows.iter().map(row))
                    .collect()
            }
            Self::Line(text) => vec![text.clone()],
        };
        lines.join("\n")
    }
}

fn column(field: &Field) -> Column {
    let Field(name, _, kind) = *field;
    match kind {
        Kind::Number | Kind::Count | Kind::Bytes | Kind::Seconds | Kind::Milliseconds => Column::Number(name),
        Kind::Text | Kind::Time | Kind::State => Column::Text(name),
    }
}

/// The value at a JSON pointer; null where there is none.
fn at<'a>(value: &'a Value, place: &str) -> &'a Value {
    value.pointer(place).unwrap_or(&Value::Null)
}

/// The items of a list of the API's JSON.
pub(crate) fn items(value: &Value) -> &[Value] {
    value.as_array().map(Vec::as_slice).unwrap_or_default()
}

/// `1 batch`, `1,200 batches`.
pub(crate) fn counted(count: u64, one: &str, many: &str) -> String {
    match count {
        1 => format!("1 {one}"),
        count => format!("{} {many}", show::grouped(count)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    const FIELDS: &[Field] = &[
        Field("BATCH", "/id", Kind::Number),
        Field("STATUS", "/status", Kind::State),
        Field("BYTES", "/object/bytesStored", Kind::Bytes),
        Field("SINCE", "/since", Kind::Time),
        Field("ERROR", "/error", Kind::Text),
    ];

    fn sheet() -> Sheet {
        let rows = [
            json!({"id": 19301, "status": "re_exporting", "object": {"bytesStored": 5_368_709_120_u64},
                   "since": "2026-03-01T14:02:11.5Z", "error": null}),
            json!({"id": 7, "status": "failed", "since": null, "error": "line one\nline two\u{1b}[31m"}),
        ];
        Sheet::new()
            .values(
                &json!({"count": 1_200, "rate": 2.5, "eta": null}),
                &[
                    Field("count", "/count", Kind::Count),
                    Field("rate", "/rate", Kind::Count),
                    Field("eta", "/eta", Kind::Seconds),
                ],
            )
            .table(&rows, FIELDS)
    }

    #[test]
    fn people_get_units_and_no_control_characters() {
        insta::assert_snapshot!(sheet().render(Format::People), @r"
         count  1,200
         rate   2.5

        BATCH  STATUS          BYTES  SINCE                 ERROR
        19301  re exporting  5.0 GiB  2026-03-01 14:02:11Z  -
            7  failed              -  -                     line one line two [31m
        ");
    }

    #[test]
    fn a_pipe_gets_whole_values_between_tabs() {
        insta::assert_snapshot!(sheet().render(Format::Plain).replace('\t', "|"), @r"
        count|1200
        rate|2.5
        eta|

        BATCH|STATUS|BYTES|SINCE|ERROR
        19301|re_exporting|5368709120|2026-03-01T14:02:11.5Z|
        7|failed|||line one line two [31m
        ");
    }

    #[test]
    fn a_long_text_is_cut_for_people_and_whole_for_pipes() {
        let row = [json!({"error": "x".repeat(100)})];
        let sheet = Sheet::new().table(&row, &[Field("ERROR", "/error", Kind::Text)]);
        assert!(sheet.render(Format::People).ends_with("x…"));
        assert!(sheet.render(Format::Plain).ends_with(&"x".repeat(100)));
    }
}
