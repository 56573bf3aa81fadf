//! `granary status`: the whole deployment at a glance.

use super::{Session, deferral, health, queue, source};
use crate::ending::Ending;
use crate::progress::say;
use crate::sheet::{Field, Format, Kind, Sheet, items};
use crate::show::{self, Column, Tone, bytes, grouped, number, text, toned};
use serde_json::{Value, json};

const SOURCE: &[Field] = &[
    Field("late", "/lateness/late", Kind::Count),
    Field(
        "recommended lag",
        "/lateness/recommendedLagSeconds",
        Kind::Seconds,
    ),
    Field("without an event time", "/outside/withoutTime", Kind::Count),
    Field("in the future", "/outside/inFuture", Kind::Count),
    Field(
        "before the first window",
        "/outside/beforeFirstWindow",
        Kind::Count,
    ),
];

pub(super) async fn run(session: &Session) -> anyhow::Result<Ending> {
    let health = session.api.get("/health").await?;
    let queue = asked_for(session, "/queue/stats").await?;
    let source = asked_for(session, "/source/stats").await?;
    match session.format {
        Format::Json => {
            show::print_json(&json!({ "health": health, "queue": queue, "source": source }))?;
        }
        Format::Plain => show::print(&plain(&health, &queue, &source).render(session.format))?,
        Format::People => {
            show::print(&services(&health))?;
            if queue.is_object() {
                show::print(&format!("\n{}\n\n{}", batches(&queue), queues(&queue)))?;
            }
            if source.is_object() {
                show::print(&format!("\n{}", of_source(&source)))?;
            }
        }
    }
    Ok(Ending::Done)
}

/// The same values, as the API has them.
fn plain(health: &Value, queue: &Value, source: &Value) -> Sheet {
    let sheet = Sheet::new().table(items(&health["services"]), health::SERVICES);
    queue::stats_on(sheet, queue).values(source, SOURCE)
}

/// What can't be told is left out where people read.
async fn asked_for(session: &Session, path: &str) -> anyhow::Result<Value> {
    match session.api.get(path).await {
        Ok(answer) => Ok(answer),
        Err(error) if session.format != Format::Json => {
            say(&error.to_string());
            Ok(Value::Null)
        }
        Err(error) => Err(error.into()),
    }
}

fn of_source(answer: &Value) -> String {
    show::pairs(&[
        ("late documents", source::lateness(&answer["lateness"])),
        ("in no window", source::outside(&answer["outside"])),
    ])
}

fn services(health: &Value) -> String {
    let services = health["services"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let row = |service: &Value| {
        let tone = if service["status"] == "up" {
            Tone::Good
        } else {
            Tone::Bad
        };
        let reason = service["reason"].as_str().unwrap_or_default().to_owned();
        let took = format!("{} ms", number(&service["milliseconds"]));
        vec![
            text(&service["service"]),
            toned(&text(&service["status"]), tone),
            took,
            connection(service),
            reason,
        ]
    };
    let columns = [
        Column::Text("SERVICE"),
        Column::Text("STATUS"),
        Column::Number("ANSWER"),
        Column::Text("CONNECTION"),
        Column::Text(""),
    ];
    show::table(&columns, services.iter().map(row).collect())
}

/// Whether the connection to a service is encrypted; empty where AWS's own client decides.
fn connection(service: &Value) -> String {
    match service["connection"].as_str() {
        Some("tls") => "encrypted".to_owned(),
        Some("local") => "this machine".to_owned(),
        Some("plain") => toned("not encrypted", Tone::Bad),
        Some(_) | None => String::new(),
    }
}

fn batches(queue: &Value) -> String {
    let row = |status: &str| {
        let count = |what: &str| grouped(number(&queue[what][status]));
        vec![status.to_owned(), count("batches"), count("messages")]
    };
    let rows = ["pending", "processing", "failed", "success", "cancelled"]
        .map(row)
        .to_vec();
    let table = show::table(
        &[
            Column::Text("BATCHES"),
            Column::Number("COUNT"),
            Column::Number("MESSAGES"),
        ],
        rows,
    );
    let parked = number(&queue["parked"]);
    let mut lines = vec![table];
    if parked > 0 {
        lines.push(format!(" parked: {parked}, out of attempts"));
    }
    lines.extend(exceptions(queue).map(|line| format!(" {line}")));
    lines.extend(deferral::lines(queue).into_iter().map(|line| format!(" {line}")));
    lines.push(format!(" stored: {}", bytes(number(&queue["bytesStored"]))));
    lines.join("\n")
}

/// Messages of completed batches that are in no object.
fn exceptions(queue: &Value) -> Option<String> {
    let count = |outcome: &str| number(&queue["exceptions"][outcome]);
    let (missing, quarantined) = (count("missing"), count("quarantined"));
    (missing + quarantined > 0).then(|| {
        format!(
            "exceptions: {} missing, {} quarantined; see granary failures",
            grouped(missing),
            grouped(quarantined)
        )
    })
}

fn queues(queue: &Value) -> String {
    let row = |(name, shown): (&str, &str)| {
        let count = |what: &str| grouped(number(&queue["queues"][name][what]));
        vec![shown.to_owned(), count("waiting"), count("inFlight")]
    };
    let names = [
        ("batches", "batches"),
        ("batchesPriority", "batches-priority"),
        ("batchesDeadLetters", "batches, dead letters"),
        ("batchesPriorityDeadLetters", "batches-priority, dead letters"),
    ];
    let columns = [
        Column::Text("QUEUE"),
        Column::Number("WAITING"),
        Column::Number("IN FLIGHT"),
    ];
    show::table(&columns, names.map(row).to_vec())
}
