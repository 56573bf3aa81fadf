//! The related documents of a seeded message: one status, two or three entries of history, one or two of processing,
//! and for sources of other names one or two plain ones.

use crate::SEED_FIELD;
use crate::message::{Message, quoted};
use granary_domain::MetadataSource;
use jiff::{SignedDuration, Timestamp};
use rand::RngExt;
use std::fmt::{Result, Write};

/// The field with a document's time where its source isn't sorted by one.
const TIME_FIELD: &str = "at";
const STATES: [&str; 5] = ["queued", "accepted", "sent", "delivered", "bounced"];
const STEPS: [&str; 5] = ["virus-scan", "render", "route", "sign", "deliver"];

/// What a metadata source holds, by its name.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Flavour {
    Status,
    History,
    Processing,
    Other,
}

impl Flavour {
    fn of(source: &MetadataSource) -> Self {
        match source.name.as_str() {
            "status" => Self::Status,
            "history" => Self::History,
            "processing" => Self::Processing,
            _ => Self::Other,
        }
    }
}

/// The field by which the documents of a source are in order.
pub(crate) fn time_field(source: &MetadataSource) -> &str {
    source.sort.as_deref().unwrap_or(TIME_FIELD)
}

/// Appends a message's documents of one source to a bulk body, and says how many.
pub(crate) fn write_documents(
    message: &mut Message,
    source: &MetadataSource,
    out: &mut String,
) -> std::result::Result<u64, std::fmt::Error> {
    let flavour = Flavour::of(source);
    let count = match (source.many, flavour) {
        (false, _) => 1,
        (true, Flavour::History) => message.rng.random_range(2..=3),
        (true, Flavour::Status | Flavour::Processing | Flavour::Other) => message.rng.random_range(1..=2),
    };
    let (index, name) = (quoted(&source.index), source.name.as_str());
    for number in 0..count {
        let time = message.time + SignedDuration::from_millis(350 * (i64::from(number) + 1));
        writeln!(
            out,
            "{{\"index\":{{\"_index\":{index},\"_id\":\"{}-{name}-{number}\"}}}}",
            message.id
        )?;
        write_document(message, source, (flavour, number, time), out)?;
        out.write_str("\n")?;
    }
    Ok(u64::from(count))
}

fn write_document(
    message: &mut Message,
    source: &MetadataSource,
    (flavour, number, time): (Flavour, u32, Timestamp),
    out: &mut String,
) -> Result {
    let (key, time_field) = (quoted(&source.key), quoted(time_field(source)));
    write!(
        out,
        "{{{key}:\"{}\",\"{SEED_FIELD}\":{},",
        message.id, message.seed
    )?;
    write!(out, "{time_field}:\"{time:.3}\",")?;
    let worker = message.rng.random_range(1..64);
    let state = STATES[(number as usize).min(STATES.len() - 1)];
    match flavour {
        Flavour::Status => {
            let state = message.pick(&STATES);
            write!(
                out,
                "\"state\":\"{state}\",\"attempts\":{},\"by\":\"worker-{worker}\"}}",
                number + 1
            )
        }
        Flavour::History => {
            write!(
                out,
                "\"event\":\"{state}\",\"actor\":\"worker-{worker}\",\"note\":\"étape {number} – ok\"}}"
            )
        }
        Flavour::Processing => {
            let (step, took) = (message.pick(&STEPS), message.rng.random_range(1..900));
            write!(
                out,
                "\"step\":\"{step}\",\"took_ms\":{took},\"worker\":{{\"id\":{worker},\"zone\":\"b\"}}}}"
            )
        }
        Flavour::Other => write!(out, "\"entry\":{number}}}"),
    }
}
