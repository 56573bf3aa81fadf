//! `granary seed`: test messages.

use super::{Session, confirm, operation};
use crate::cli::Seed;
use crate::ending::Ending;
use crate::progress::{Position, say};
use crate::sheet::{Cell, Kind, Sheet, counted, without_controls};
use crate::show::number;
use crate::wish::Wish;
use serde_json::Value;

const CONFIRMATION: &str = "yes-clear-all-data";

pub(super) async fn run(session: &Session, options: &Seed) -> anyhow::Result<Ending> {
    match options.count {
        _ if options.jobs.is_some() => with_jobs(session, options).await,
        Some(count) => write(session, count, options).await,
        None if options.clear => clear(session, options).await,
        None => stats(session).await,
    }
}

async fn write(session: &Session, count: u32, options: &Seed) -> anyhow::Result<Ending> {
    let body = Wish::new()
        .with("seed", options.seed)
        .with("hours", options.hours)
        .change(&options.change)
        .body();
    let first = session.api.post(&format!("/seed/bulk/{count}"), &body).await?;
    if options.change.dry_run {
        return foretold(session, &first, &["messages", "seed", "before", "hours"]);
    }
    let position = |progress: &Value| Position {
        done: number(&progress["next"]),
        total: Some(count.into()),
        note: String::new(),
    };
    let answer = operation::wait(session, first, ("seeding", position)).await?;
    say(&format!(
        "{} at the source",
        counted(count.into(), "test message is", "test messages are")
    ));
    session.show(&answer, |answer| listed(&answer["operation"]["result"]))
}

/// Finished jobs to look at, with test messages or without.
async fn with_jobs(session: &Session, options: &Seed) -> anyhow::Result<Ending> {
    let wish = Wish::new().change(&options.change);
    let (path, wish) = match options.count {
        Some(count) => {
            let wish = wish
                .with("count", Some(count))
                .with("jobs", options.jobs)
                .with("seed", options.seed)
                .with("hours", options.hours);
            ("/seed/all", wish)
        }
        None => ("/seed/job-status", wish.with("count", options.jobs)),
    };
    let first = session.api.post(path, &wish.body()).await?;
    if options.change.dry_run {
        return foretold(
            session,
            &first,
            &["messages", "seed", "before", "hours", "synthetic"],
        );
    }
    session.say_what_became(&first);
    let synthetic = first["synthetic"].clone();
    let answer = if first["operation"].is_object() {
        let position = |progress: &Value| Position {
            done: number(&progress["next"]),
            total: options.count.map(u64::from),
            note: String::new(),
        };
        operation::wait(session, first, ("seeding", position)).await?
    } else {
        first
    };
    session.show(&answer, |_| listed(&synthetic))
}

async fn clear(session: &Session, options: &Seed) -> anyhow::Result<Ending> {
    let wish = Wish::new().change(&options.change);
    if options.change.dry_run {
        let first = session.api.post("/seed/clear", &wish.body()).await?;
        return foretold(session, &first, &["stats", "synthetic"]);
    }
    confirm(
        "Delete all test messages, and what was recorded and archived of them?",
        options.yes,
    )?;
    let body = wish.with("confirm", Some(CONFIRMATION)).body();
    let first = session.api.post("/seed/clear", &body).await?;
    // How much there is to clear shows only at the end.
    let position = |progress: &Value| {
        let documents = progress["cleared"]["documents"].as_object();
        let done = documents
            .into_iter()
            .flatten()
            .map(|(_, count)| number(count))
            .sum();
        Position {
            done,
            total: None,
            note: "documents deleted".to_owned(),
        }
    };
    let answer = operation::wait(session, first, ("clearing", position)).await?;
    say("the test messages are gone");
    session.show(&answer, |answer| listed(&answer["operation"]["result"]))
}

async fn stats(session: &Session) -> anyhow::Result<Ending> {
    session
        .look_at("/seed/stats", |answer| listed(&answer["stats"]))
        .await
}

/// What would be written or deleted, as far as the answer has these members.
fn foretold(session: &Session, answer: &Value, members: &[&str]) -> anyhow::Result<Ending> {
    session.say_what_became(answer);
    let foretold = members
        .iter()
        .filter(|name| !answer[**name].is_null())
        .map(|name| ((*name).to_owned(), answer[*name].clone()));
    let foretold = Value::Object(foretold.collect());
    session.show(answer, |_| listed(&foretold))
}

/// Whatever there is to count, one a line.
pub(super) fn listed(counts: &Value) -> Sheet {
    let counts = counts.as_object().into_iter().flatten();
    let lines: Vec<(String, Cell)> = counts.flat_map(|(name, value)| lines_of(name, value)).collect();
    Sheet::new().pairs(lines)
}

/// A count, or the counts within: `documents, messages`.
fn lines_of(name: &str, value: &Value) -> Vec<(String, Cell)> {
    let line = |name: &str, kind, value| (without_controls(name), Cell::of(value, kind));
    match value {
        Value::Object(inner) => inner
            .iter()
            .map(|(inner, value)| line(&format!("{name}, {inner}"), kind_of(inner), value))
            .collect(),
        Value::Array(list) if list.is_empty() => Vec::new(),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            vec![line(name, kind_of(name), value)]
        }
    }
}

/// A seed is a name rather than a quantity.
fn kind_of(name: &str) -> Kind {
    match name {
        "seed" => Kind::Number,
        _ => Kind::Count,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    #[test]
    fn counts_within_counts_are_on_lines_of_their_own() {
        let counts =
            json!({"documents": {"messages": 1_000, "status": 20}, "batchesLeft": [], "seed": 4_200});
        assert_eq!(
            listed(&counts).render(Format::People),
            "  documents, messages  1,000\n  documents, status    20\n  seed                 4200"
        );
        assert!(listed(&Value::Null).render(Format::People).is_empty());
    }
}
