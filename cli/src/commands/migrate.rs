//! `granary migrate`: starting, listing, looking at and cancelling migrations.

use super::{Format, Session, confirm, deferral, say_notes, source, watch};
use crate::cli::{Migrate, Start};
use crate::ending::Ending;
use crate::progress::say;
use crate::show::{self, Column, grouped, number, text};
use serde_json::{Map, Value};
use uuid::Uuid;

pub(super) async fn run(session: &Session, command: Migrate) -> anyhow::Result<Ending> {
    match command {
        Migrate::Start(options) => start(session, options).await,
        Migrate::Status { id } => status(session, id).await,
        Migrate::List {
            status,
            kind,
            limit,
            cursor,
        } => {
            let mut query = url::form_urlencoded::Serializer::new(String::new());
            query.append_pair("limit", &limit.to_string());
            for (name, value) in [("status", status), ("kind", kind), ("cursor", cursor)] {
                if let Some(value) = value {
                    query.append_pair(name, &value);
                }
            }
            list(session, &query.finish()).await
        }
        Migrate::Cancel { id, yes } => {
            confirm(&format!("Cancel migration {id}?"), yes)?;
            cancel(session, id).await
        }
    }
}

async fn start(session: &Session, options: Start) -> anyhow::Result<Ending> {
    let answer = session.api.post("/migrate", &body_of(&options)).await?;
    say_notes(&answer);
    let id = answer["migrationId"]
        .as_str()
        .and_then(|id| id.parse::<Uuid>().ok());
    let Some(id) = id else {
        return tell_nothing_started(session, &answer);
    };
    if session.format == Format::Json && !options.wait {
        show::print_json(&answer)?;
        return Ok(Ending::Done);
    }
    say(&format!("migration {id}: {}", range(&answer["range"])));
    if options.wait {
        return watch::run(session, Some(id)).await;
    }
    say(&format!(
        "{} Follow it: granary watch {id}",
        text(&answer["message"])
    ));
    show::print(&id.to_string())?;
    Ok(Ending::Done)
}

/// A dry run, or a source without such messages.
fn tell_nothing_started(session: &Session, answer: &Value) -> anyhow::Result<Ending> {
    if session.format == Format::Json {
        show::print_json(answer)?;
        return Ok(Ending::Done);
    }
    say(&text(&answer["message"]));
    if answer["range"].is_object() {
        show::print(&forecast(answer))?;
    }
    Ok(Ending::Done)
}

fn body_of(options: &Start) -> Value {
    let mut body = Map::new();
    let mut put = |name: &str, value: Option<Value>| {
        if let Some(value) = value {
            body.insert(name.to_owned(), value);
        }
    };
    put("from", options.from.map(|from| from.to_string().into()));
    put("to", options.to.map(|to| to.to_string().into()));
    put("batchSize", options.batch_size.map(Value::from));
    put("priority", options.priority.map(Value::from));
    put("filters", options.filter.clone().map(Value::Object));
    put("reExport", options.re_export.then_some(Value::Bool(true)));
    put("dryRun", options.dry_run.then_some(Value::Bool(true)));
    Value::Object(body)
}

fn forecast(answer: &Value) -> String {
    let (in_source, in_ledger) = (number(&answer["inSource"]), &answer["inLedger"]);
    let batch_size = number(&answer["batchSize"]).max(1);
    show::pairs(&[
        ("range", range(&answer["range"])),
        ("in the source", grouped(in_source)),
        ("in the ledger", grouped(number(&in_ledger["known"]))),
        ("archived", grouped(number(&in_ledger["success"]))),
        ("new, at least", grouped(number(&answer["newAtLeast"]))),
        ("batches, at most", grouped(in_source.div_ceil(batch_size))),
    ])
}

async fn status(session: &Session, id: Uuid) -> anyhow::Result<Ending> {
    let answer = session.api.get(&format!("/migrate/status/{id}")).await?;
    if session.format == Format::Json {
        show::print_json(&answer)?;
    } else {
        show::print(&described(&answer))?;
    }
    Ok(Ending::Done)
}

/// One migration in words and numbers.
pub(super) fn described(answer: &Value) -> String {
    let (migration, progress) = (&answer["migration"], &answer["progress"]);
    let count = |name: &str| grouped(number(&progress[name]));
    let pairs = show::pairs(&[
        ("migration", text(&migration["id"])),
        ("kind", text(&migration["kind"])),
        ("state", text(&migration["state"])),
        ("range", range(migration)),
        ("ids read", format!("{} %", text(&answer["idsPercentage"]))),
        ("messages", count("known")),
        (
            "archived",
            format!("{} ({} %)", count("success"), text(&answer["percentage"])),
        ),
        ("waiting", count("pending")),
        ("in progress", count("processing")),
        ("failed", count("failed")),
        ("gone at the source", count("missing")),
        ("can't be exported", count("quarantined")),
        ("late", source::lateness(&answer["lateness"])),
        ("verdict", text(&migration["verdict"])),
        ("asked for by", text(&migration["requestedBy"])),
    ]);
    let waiting = deferral::lines(answer)
        .into_iter()
        .map(|line| format!("  {line}"));
    std::iter::once(pairs)
        .chain(waiting)
        .collect::<Vec<_>>()
        .join("\n")
}

async fn list(session: &Session, query: &str) -> anyhow::Result<Ending> {
    let answer = session.api.get(&format!("/migrate?{query}")).await?;
    if session.format == Format::Json {
        show::print_json(&answer)?;
        return Ok(Ending::Done);
    }
    let migrations = answer["migrations"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    if migrations.is_empty() {
        say("there is no such migration; ask for one: granary migrate start");
        return Ok(Ending::Done);
    }
    let row = |migration: &Value| {
        ["id", "kind", "state", "from", "to", "priority", "verdict"]
            .map(|field| text(&migration[field]))
            .to_vec()
    };
    let columns = ["ID", "KIND", "STATE", "FROM", "TO", "PRIORITY", "VERDICT"].map(Column::Text);
    show::print(&show::table(&columns, migrations.iter().map(row).collect()))?;
    if let Some(cursor) = answer["nextCursor"].as_str() {
        say(&format!("there are more: --cursor {cursor}"));
    }
    Ok(Ending::Done)
}

async fn cancel(session: &Session, id: Uuid) -> anyhow::Result<Ending> {
    let answer = session.api.delete(&format!("/migrate/cancel/{id}"), None).await?;
    if session.format == Format::Json {
        show::print_json(&answer)?;
        return Ok(Ending::Done);
    }
    let released = &answer["released"];
    say(&text(&answer["message"]));
    show::print(&show::pairs(&[
        ("batches cancelled", grouped(number(&released["batches"]))),
        ("messages released", grouped(number(&released["messages"]))),
    ]))?;
    Ok(Ending::Done)
}

fn range(value: &Value) -> String {
    match value["to"].as_str() {
        Some(to) => format!("{} to {to}", text(&value["from"])),
        None => format!("from {} on, without an end", text(&value["from"])),
    }
}
