//! `granary watch`: following a migration until nothing of it is open.

use super::{Session, deferral, migrate};
use crate::ending::Ending;
use crate::progress::{Meter, Position, say};
use crate::sheet::Format;
use crate::show::{self, grouped, number};
use anyhow::Context;
use serde_json::Value;
use std::time::Duration;
use uuid::Uuid;

const ASK_EVERY: Duration = Duration::from_secs(1);
/// In a row; a deployment that is being updated is back by then.
const FAILED_ASKS_MAX: u32 = 60;

/// Follows a migration, by default the newest one.
pub(super) async fn run(session: &Session, id: Option<Uuid>) -> anyhow::Result<Ending> {
    let id = match id {
        Some(id) => id.to_string(),
        None => newest(session).await?,
    };
    let mut meter = Meter::new("messages");
    let mut failed_asks = 0;
    let mut causes = Vec::new();
    let (ending, answer) = loop {
        match session.api.get(&format!("/migrate/status/{id}")).await {
            Ok(answer) => {
                failed_asks = 0;
                meter.show(&position(&answer));
                if causes != deferral::causes(&answer) {
                    causes = deferral::causes(&answer);
                    deferral::lines(&answer).iter().for_each(|line| meter.say(line));
                }
                if let Some(ending) = ending_of(session, &answer).await? {
                    break (ending, answer);
                }
            }
            Err(error) if error.may_pass() && failed_asks < FAILED_ASKS_MAX => {
                failed_asks += 1;
                if failed_asks == 1 {
                    meter.say(&format!("still watching: {error}"));
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(ASK_EVERY).await;
    };
    meter.finish();
    say(&summary(ending, &answer));
    match session.format {
        Format::Json => show::print_json(&answer)?,
        Format::People | Format::Plain => show::print(&migrate::described(&answer))?,
    }
    Ok(ending)
}

/// The newest that somebody asked for, or else the schedule's own, which never ends.
async fn newest(session: &Session) -> anyhow::Result<String> {
    let answer = session.api.get("/migrate").await?;
    let migrations = answer["migrations"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    let asked_for = migrations.iter().find(|one| one["kind"] != "continuous");
    let id = asked_for
        .or(migrations.first())
        .and_then(|one| one["id"].as_str());
    id.map(str::to_owned)
        .context("there is no migration to watch; ask for one: granary migrate start")
}

/// Whether there is nothing more to wait for. What failed is tried again, until it is parked.
async fn ending_of(session: &Session, answer: &Value) -> anyhow::Result<Option<Ending>> {
    if answer["migration"]["state"] == "cancelled" {
        return Ok(Some(Ending::LeftOver));
    }
    if answer["nothingOpen"] == true {
        return Ok(Some(Ending::Done));
    }
    if !is_only_failed(answer) {
        return Ok(None);
    }
    let stats = session.api.get("/queue/stats").await?;
    let all_are_parked = number(&stats["parked"]) >= number(&stats["batches"]["failed"]);
    Ok(all_are_parked.then_some(Ending::LeftOver))
}

/// All ids are on record, and of the messages none waits or is in progress.
fn is_only_failed(answer: &Value) -> bool {
    let (progress, windows) = (&answer["progress"], &answer["windows"]);
    number(&progress["failed"]) > 0
        && number(&progress["pending"]) == 0
        && number(&progress["processing"]) == 0
        && number(&windows["open"]) == 0
        && number(&windows["harvesting"]) == 0
        && answer["idsPercentage"] == 100.0
}

fn position(answer: &Value) -> Position {
    let progress = &answer["progress"];
    let count = |name: &str| number(&progress[name]);
    let mut notes = Vec::new();
    if answer["idsPercentage"]
        .as_f64()
        .is_some_and(|percentage| percentage < 100.0)
    {
        notes.push(format!("ids of {} % of the range read", answer["idsPercentage"]));
    }
    if count("processing") > 0 {
        notes.push(format!("{} in progress", grouped(count("processing"))));
    }
    if count("failed") > 0 {
        notes.push(format!("{} failed, to be tried again", grouped(count("failed"))));
    }
    notes.extend(deferral::note(answer));
    Position {
        done: count("success") + count("missing") + count("quarantined"),
        total: Some(count("known")),
        note: notes.join(", "),
    }
}

fn summary(ending: Ending, answer: &Value) -> String {
    if answer["migration"]["state"] == "cancelled" {
        return "this migration was cancelled".to_owned();
    }
    match ending {
        Ending::LeftOver => format!(
            "{} messages are in batches that failed for good. See why and what to do: granary failures",
            grouped(number(&answer["progress"]["failed"]))
        ),
        Ending::Done | Ending::Incomplete | Ending::Drifted | Ending::Ill => {
            "nothing is open any more; `granary verify` proves that nothing is missing".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn watching_goes_on_while_something_may_still_move() {
        let answer = |pending, open_windows, percentage| {
            json!({
                "progress": {"known": 10, "failed": 5, "pending": pending, "processing": 0, "success": 5},
                "windows": {"open": open_windows, "harvesting": 0},
                "idsPercentage": percentage,
            })
        };
        assert!(is_only_failed(&answer(0, 0, 100.0)));
        assert!(!is_only_failed(&answer(1, 0, 100.0)));
        assert!(!is_only_failed(&answer(0, 1, 100.0)));
        assert!(!is_only_failed(&answer(0, 0, 99.9)));
    }

    #[test]
    fn tombstones_and_quarantined_messages_are_done_with() {
        let answer = json!({
            "progress": {"known": 10, "success": 5, "missing": 2, "quarantined": 1, "processing": 2},
            "idsPercentage": 50.0,
        });
        let position = position(&answer);
        assert_eq!((position.done, position.total), (8, Some(10)));
        assert_eq!(position.note, "ids of 50.0 % of the range read, 2 in progress");
    }
}
