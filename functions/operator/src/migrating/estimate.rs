//! What a migration would take, from what this deployment has measured of itself: bytes, objects, time and cost. Pure.
//!
//! What is measured: the newest exports that ended with an object. The speed is theirs while any of them was at work, so
//! it is the speed of as many workers as there were then. Nothing is guessed: where nothing is measured yet, nothing is
//! estimated. Time and cost leave out what a migration shares with everything else: reading ids, the ledger, the ticks.

use granary_domain::Hour;
use granary_ledger::reports::MeasuredExport;
use granary_source::{CountedSpan, Span};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// What exports took.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Measured {
    batches: u64,
    messages: u64,
    bytes_raw_per_message: f64,
    bytes_stored_per_message: f64,
    /// Of all workers together, while any was at work.
    messages_per_second: f64,
    /// Of one worker.
    seconds_per_message: f64,
}

/// Which messages a migration would export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Counting {
    /// Those that the ledger doesn't have: counted hour by hour, so it is right where no hour has both drifted and new
    /// ones.
    New,
    /// All that match: what of them the ledger has isn't known.
    Matching,
}

/// What a migration would find.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Forecast {
    days: BTreeMap<String, Day>,
    messages: u64,
    objects: u64,
}

/// A day of a forecast, in UTC.
#[derive(Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct DayForecast {
    /// The day of event time.
    #[schema(format = Date, examples("2026-11-22"))]
    day: String,
    /// Messages that the source shows.
    in_source: u64,
    /// Messages that the ledger has.
    in_ledger: u64,
    /// Messages that would be exported.
    new: u64,
}

/// What a migration would take.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Estimate {
    /// Messages that would be exported.
    messages: u64,
    /// Objects that they would lie in, at least.
    objects: u64,
    /// Bytes before compression; `null`: nothing is measured yet.
    bytes_raw: Option<u64>,
    /// Bytes of the objects; `null`: nothing is measured yet.
    bytes_stored: Option<u64>,
    /// Seconds of exporting, at the pace of as many workers as there were lately; `null`: nothing is measured yet.
    #[schema(examples(12.5))]
    duration_seconds: Option<f64>,
    /// What it would cost; `null`: nothing is measured yet.
    cost: Option<Cost>,
    /// What was measured of the newest exports; `null`: there were none within 30 days.
    measured: Option<ShownMeasured>,
    /// How exact all that is, for people.
    notes: Vec<String>,
}

/// What a migration would cost by list prices of us-east-1, without what it shares with everything else.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cost {
    /// Of all amounts here.
    #[schema(examples("USD"))]
    currency: &'static str,
    /// Once: requests and compute.
    total: f64,
    /// Requests to S3, SQS and Lambda, once.
    requests: f64,
    /// The exporters' time, once.
    compute: f64,
    /// Keeping the objects, each month.
    storage_per_month: f64,
}

/// What was measured of the newest exports.
#[derive(Debug, PartialEq, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownMeasured {
    /// Exports that were looked at.
    batches: u64,
    /// Messages in them.
    messages: u64,
    /// Bytes of a message before compression.
    bytes_raw_per_message: f64,
    /// Bytes of a message in its object.
    bytes_stored_per_message: f64,
    /// Messages that all workers together exported in a second, while any was at work.
    messages_per_second: f64,
    /// Seconds that one worker took for a message.
    seconds_per_message: f64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Day {
    in_source: u64,
    in_ledger: u64,
    new: u64,
}

/// List prices in US dollars, of us-east-1, without a free tier.
const PER_S3_PUT: f64 = 0.005 / 1_000.0;
const PER_S3_GIB_MONTH: f64 = 0.023;
const PER_SQS_REQUEST: f64 = 0.40 / 1_000_000.0;
const PER_LAMBDA_REQUEST: f64 = 0.20 / 1_000_000.0;
const PER_LAMBDA_GIB_SECOND: f64 = 0.000_016_666_7;
/// The exporter's, in the template.
const EXPORTER_GIB: f64 = 0.5;
/// Sent, received, deleted.
const SQS_REQUESTS_PER_BATCH: f64 = 3.0;
const BYTES_PER_GIB: f64 = 1_073_741_824.0;
/// From so many bytes on an object is written in parts, each a request, with one before them and one after them.
const MULTIPART_BYTES: f64 = 10_485_760.0;
const PART_BYTES: f64 = 8_388_608.0;

impl Measured {
    /// `None`: nothing was measured.
    pub(crate) fn of(exports: &[MeasuredExport]) -> Option<Self> {
        let messages: u64 = exports.iter().map(|export| u64::from(export.exported)).sum();
        let worked: f64 = exports
            .iter()
            .map(|export| secs(export.started_at, export.ended_at))
            .sum();
        let busy = busy_secs(exports);
        if messages == 0 || busy <= 0.0 {
            return None;
        }
        let per_message = |bytes: fn(&MeasuredExport) -> u64| {
            exports.iter().map(bytes).sum::<u64>() as f64 / messages as f64
        };
        Some(Self {
            batches: exports.len() as u64,
            messages,
            bytes_raw_per_message: per_message(|export| export.bytes_raw),
            bytes_stored_per_message: per_message(|export| export.bytes_stored),
            messages_per_second: messages as f64 / busy,
            seconds_per_message: worked / messages as f64,
        })
    }

    fn shown(&self) -> ShownMeasured {
        ShownMeasured {
            batches: self.batches,
            messages: self.messages,
            bytes_raw_per_message: rounded(self.bytes_raw_per_message, 1),
            bytes_stored_per_message: rounded(self.bytes_stored_per_message, 1),
            messages_per_second: rounded(self.messages_per_second, 1),
            seconds_per_message: rounded(self.seconds_per_message, 6),
        }
    }
}

/// How long any of them was at work.
fn busy_secs(exports: &[MeasuredExport]) -> f64 {
    let mut spans: Vec<(Timestamp, Timestamp)> = exports
        .iter()
        .map(|export| (export.started_at, export.ended_at))
        .collect();
    spans.sort_unstable();
    let mut busy = 0.0;
    let mut worked_to = Timestamp::MIN;
    for (from, to) in spans {
        busy += secs(from.max(worked_to), to);
        worked_to = worked_to.max(to);
    }
    busy
}

/// None where the second isn't after the first.
fn secs(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64().max(0.0)
}

impl Forecast {
    /// From what the source shows in each span, and what the ledger has in each hour.
    pub(crate) fn of(
        spans: &[CountedSpan],
        known: &BTreeMap<Timestamp, u64>,
        (span, counting): (Span, Counting),
        batch_size: u32,
    ) -> Self {
        let mut in_ledger: BTreeMap<Timestamp, u64> = BTreeMap::new();
        let mut days: BTreeMap<String, Day> = BTreeMap::new();
        for (hour, messages) in known {
            *in_ledger.entry(span.start_of(*hour)).or_default() += messages;
            days.entry(day_of(*hour)).or_default().in_ledger += messages;
        }
        let (mut messages, mut objects) = (0, 0);
        for counted in spans {
            let here = in_ledger.get(&counted.from).copied().unwrap_or(0);
            let new = match counting {
                Counting::New => counted.messages.saturating_sub(here),
                Counting::Matching => counted.messages,
            };
            let day = days.entry(day_of(counted.from)).or_default();
            day.in_source += counted.messages;
            day.new += new;
            messages += new;
            objects += new.div_ceil(u64::from(batch_size.max(1)));
        }
        Self {
            days,
            messages,
            objects,
        }
    }

    /// Messages, day by day.
    pub(crate) fn per_day(&self) -> Vec<DayForecast> {
        let days = self.days.iter().map(|(day, count)| DayForecast {
            day: day.clone(),
            in_source: count.in_source,
            in_ledger: count.in_ledger,
            new: count.new,
        });
        days.collect()
    }

    /// What it would take.
    pub(crate) fn estimate(&self, measured: Option<&Measured>, notes: &[String]) -> Estimate {
        let mut notes = notes.to_vec();
        notes.push(match measured {
            Some(_) => "Cost is of list prices in us-east-1, without reading ids, the ledger and the ticks."
                .to_owned(),
            None => {
                "Bytes, duration and cost are not known: nothing was exported in the last 30 days.".to_owned()
            }
        });
        let messages = self.messages as f64;
        let bytes = |per_message: fn(&Measured) -> f64| {
            measured.map(|measured| (messages * per_message(measured)).round() as u64)
        };
        Estimate {
            messages: self.messages,
            objects: self.objects,
            bytes_raw: bytes(|measured| measured.bytes_raw_per_message),
            bytes_stored: bytes(|measured| measured.bytes_stored_per_message),
            duration_seconds: measured.map(|measured| rounded(messages / measured.messages_per_second, 1)),
            cost: measured.map(|measured| self.cost(measured)),
            measured: measured.map(Measured::shown),
            notes,
        }
    }

    fn cost(&self, measured: &Measured) -> Cost {
        let (messages, objects) = (self.messages as f64, self.objects as f64);
        let bytes = messages * measured.bytes_stored_per_message;
        let of_an_object = if objects > 0.0 { bytes / objects } else { 0.0 };
        let puts = if of_an_object < MULTIPART_BYTES {
            1.0
        } else {
            (of_an_object / PART_BYTES).ceil() + 2.0
        };
        // The manifest is one more.
        let requests = objects
            * ((puts + 1.0) * PER_S3_PUT + SQS_REQUESTS_PER_BATCH * PER_SQS_REQUEST + PER_LAMBDA_REQUEST);
        let compute = messages * measured.seconds_per_message * EXPORTER_GIB * PER_LAMBDA_GIB_SECOND;
        Cost {
            currency: "USD",
            total: rounded(requests + compute, 6),
            requests: rounded(requests, 6),
            compute: rounded(compute, 6),
            storage_per_month: rounded(bytes / BYTES_PER_GIB * PER_S3_GIB_MONTH, 6),
        }
    }
}

fn day_of(instant: Timestamp) -> String {
    Hour::of(instant).date()
}

fn rounded(number: f64, digits: i32) -> f64 {
    let factor = 10_f64.powi(digits);
    (number * factor).round() / factor
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn export(from: &str, to: &str) -> MeasuredExport {
        MeasuredExport {
            started_at: at(from),
            ended_at: at(to),
            exported: 100,
            bytes_raw: 200_000,
            bytes_stored: 50_000,
        }
    }

    fn counted(from: &str, messages: u64) -> CountedSpan {
        CountedSpan {
            from: at(from),
            messages,
        }
    }

    #[test]
    fn the_speed_is_that_of_all_workers_while_any_is_at_work() {
        let exports = [
            export("2026-11-22T10:00:00Z", "2026-11-22T10:00:10Z"),
            export("2026-11-22T10:00:05Z", "2026-11-22T10:00:15Z"),
            // An hour without work doesn't count.
            export("2026-11-22T11:00:00Z", "2026-11-22T11:00:05Z"),
        ];
        let measured = Measured::of(&exports).unwrap();
        assert_eq!(measured.messages_per_second, 15.0);
        assert!((measured.seconds_per_message - 25.0 / 300.0).abs() < 1e-9);
        assert_eq!(measured.bytes_stored_per_message, 500.0);
    }

    #[test]
    fn nothing_measured_is_nothing_and_not_zero() {
        assert_eq!(Measured::of(&[]), None);
        let no_time = export("2026-11-22T10:00:00Z", "2026-11-22T10:00:00Z");
        assert_eq!(Measured::of(&[no_time]), None);
        let forecast = Forecast::of(&[], &BTreeMap::new(), (Span::Hour, Counting::New), 100);
        let estimate = json!(forecast.estimate(None, &[]));
        for unknown in ["bytesRaw", "bytesStored", "durationSeconds", "cost", "measured"] {
            assert!(estimate[unknown].is_null(), "{unknown}: {estimate}");
        }
        assert_eq!(
            (&estimate["messages"], &estimate["objects"]),
            (&json!(0), &json!(0))
        );
        assert!(estimate["notes"][0].as_str().unwrap().contains("not known"));
    }

    #[test]
    fn what_is_new_is_counted_hour_by_hour_and_shown_day_by_day() {
        let spans = [
            counted("2026-11-21T23:00:00Z", 250),
            counted("2026-11-22T00:00:00Z", 100),
            counted("2026-11-22T01:00:00Z", 101),
        ];
        // One hour is known as a whole, and another has messages that the source no longer shows.
        let known = BTreeMap::from([(at("2026-11-22T00:00:00Z"), 120), (at("2026-11-22T05:00:00Z"), 7)]);
        let forecast = Forecast::of(&spans, &known, (Span::Hour, Counting::New), 100);
        assert_eq!((forecast.messages, forecast.objects), (351, 5));
        assert_eq!(
            json!(forecast.per_day()),
            json!([
                {"day": "2026-11-21", "inSource": 250, "inLedger": 0, "new": 250},
                {"day": "2026-11-22", "inSource": 201, "inLedger": 127, "new": 101},
            ])
        );
        let matching = Forecast::of(&spans, &known, (Span::Hour, Counting::Matching), 100);
        assert_eq!((matching.messages, matching.objects), (451, 6));
    }

    #[test]
    fn hours_of_the_ledger_are_added_up_where_the_source_is_counted_by_day() {
        let spans = [counted("2026-11-22T00:00:00Z", 100)];
        let known = BTreeMap::from([(at("2026-11-22T01:00:00Z"), 30), (at("2026-11-22T05:00:00Z"), 40)]);
        let forecast = Forecast::of(&spans, &known, (Span::Day, Counting::New), 100);
        assert_eq!((forecast.messages, forecast.objects), (30, 1));
    }

    #[test]
    fn bytes_time_and_cost_follow_from_what_was_measured() {
        let measured = Measured::of(&[export("2026-11-22T10:00:00Z", "2026-11-22T10:00:10Z")]).unwrap();
        let spans = [counted("2026-11-22T00:00:00Z", 1_000_000)];
        let forecast = Forecast::of(&spans, &BTreeMap::new(), (Span::Hour, Counting::New), 1_000);
        let estimate = json!(forecast.estimate(Some(&measured), &["a note".to_owned()]));
        assert_eq!(estimate["objects"], 1_000);
        assert_eq!(estimate["bytesStored"], 500_000_000_u64);
        assert_eq!(estimate["durationSeconds"], 100_000.0);
        // 100,000 s of half a GiB.
        let cost = &estimate["cost"];
        assert_eq!(cost["compute"], 0.833_335);
        // Two PUTs, three requests of SQS and one invocation for each object.
        assert_eq!(cost["requests"], 0.0114);
        assert_eq!(cost["total"], 0.844_735);
        assert_eq!(estimate["notes"][0], "a note");
    }
}
