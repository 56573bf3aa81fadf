//! `granary watch`: following a migration until nothing of it is open, or only what waits for people.
//!
//! It is over by what stands in the migration's own range: what fails elsewhere keeps nobody waiting. Where nothing moves, it
//! says which stage is paused. **When the API is away**, it goes on asking for a minute.

use super::{Session, deferral, migrate, pausing};
use crate::api::ApiError;
use crate::ending::Ending;
use crate::progress::{Meter, Position, say};
use crate::sheet::{counted, items};
use crate::show::{grouped, number};
use anyhow::Context;
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use uuid::Uuid;

const ASK_EVERY: Duration = Duration::from_secs(1);
/// In a row; a deployment that is being updated is back by then.
const FAILED_ASKS_MAX: u32 = 60;
/// How often it is asked why nothing moves.
const ASK_WHY_EVERY: Duration = Duration::from_secs(10);

/// Follows a migration, by default the newest one.
pub(super) async fn run(session: &Session, id: Option<Uuid>) -> anyhow::Result<Ending> {
    let id = match id {
        Some(id) => id.to_string(),
        None => newest(session).await?,
    };
    let mut watcher = Watcher::new(session, &id);
    let mut failed_asks = 0;
    let (ending, answer) = loop {
        match watcher.look().await {
            Ok((Some(ending), answer)) => break (ending, answer),
            Ok((None, _)) => failed_asks = 0,
            Err(error) if error.may_pass() && failed_asks < FAILED_ASKS_MAX => {
                failed_asks += 1;
                if failed_asks == 1 {
                    watcher.meter.say(&format!("still watching: {error}"));
                }
            }
            Err(error) => return Err(error.into()),
        }
        tokio::time::sleep(ASK_EVERY).await;
    };
    watcher.meter.finish();
    say(&summary(ending, &answer));
    session.show(&answer, |answer| migrate::described(answer, session.format))?;
    Ok(ending)
}

/// The newest that somebody asked for, or else the schedule's own, which never ends.
async fn newest(session: &Session) -> anyhow::Result<String> {
    let answer = session.api.get("/migrate").await?;
    let migrations = items(&answer["migrations"]);
    let asked_for = migrations.iter().find(|one| one["kind"] != "continuous");
    let id = asked_for
        .or(migrations.first())
        .and_then(|one| one["id"].as_str());
    id.map(str::to_owned)
        .context("there is no migration to watch; ask for one: granary migrate start")
}

/// Looks at one migration again and again, and says what is new.
struct Watcher<'a> {
    session: &'a Session,
    path: String,
    meter: Meter,
    causes: Vec<String>,
    pauses: Vec<String>,
    standstill: Standstill,
}

impl<'a> Watcher<'a> {
    fn new(session: &'a Session, id: &str) -> Self {
        Self {
            session,
            path: format!("/migrate/status/{id}"),
            meter: Meter::new("messages"),
            causes: Vec::new(),
            pauses: Vec::new(),
            standstill: Standstill::default(),
        }
    }

    /// How it stands, and how it has ended, if it has.
    async fn look(&mut self) -> Result<(Option<Ending>, Value), ApiError> {
        let answer = self.session.api.get(&self.path).await?;
        self.meter.show(&position(&answer));
        self.say_what_waits(&answer);
        let ending = ending_of(&answer);
        if ending.is_none() && self.standstill.is_to_be_explained(&answer, Instant::now()) {
            self.say_why().await;
        }
        Ok((ending, answer))
    }

    fn say_what_waits(&mut self, answer: &Value) {
        let causes = deferral::causes(answer);
        if self.causes != causes {
            self.causes = causes;
            let lines = deferral::lines(answer);
            lines.iter().for_each(|line| self.meter.say(line));
        }
    }

    /// Why nothing moves: a stage may be paused. Whoever can't be told goes on all the same.
    async fn say_why(&mut self) {
        if let Ok(overview) = self.session.api.get("/overview").await {
            for pause in unsaid(&overview, &mut self.pauses) {
                self.meter.say(&pause);
            }
        }
    }
}

/// Notices that nothing has moved since the last look.
#[derive(Debug, Default)]
struct Standstill {
    last: Option<Value>,
    explained: Option<Instant>,
}

impl Standstill {
    /// Whether it is time to ask why: at once, and then every ten seconds.
    fn is_to_be_explained(&mut self, answer: &Value, now: Instant) -> bool {
        let moving = what_moves(answer);
        if self.last.as_ref() != Some(&moving) {
            self.last = Some(moving);
            self.explained = None;
            return false;
        }
        let is_time = self
            .explained
            .is_none_or(|then| now.duration_since(then) >= ASK_WHY_EVERY);
        if is_time {
            self.explained = Some(now);
        }
        is_time
    }
}

/// What differs between two answers where something was done in between.
fn what_moves(answer: &Value) -> Value {
    json!([
        answer["progress"],
        answer["parked"],
        answer["windows"],
        answer["migration"]["harvestedTo"]
    ])
}

/// The pauses that weren't told yet.
fn unsaid(overview: &Value, said: &mut Vec<String>) -> Vec<String> {
    let lines = items(&overview["pauses"])
        .iter()
        .map(|pause| format!("paused: {}", pausing::told(pause)));
    let unsaid: Vec<String> = lines.filter(|line| !said.contains(line)).collect();
    said.extend(unsaid.iter().cloned());
    unsaid
}

/// How it has ended, if it has: nothing of it is open, or nothing but what waits for people.
fn ending_of(answer: &Value) -> Option<Ending> {
    if answer["migration"]["state"] == "cancelled" {
        return Some(Ending::LeftOver);
    }
    if answer["nothingOpen"] == true {
        return Some(Ending::Done);
    }
    let windows = &answer["windows"];
    let is_read =
        answer["idsPercentage"] == 100.0 && number(&windows["open"]) + number(&windows["harvesting"]) == 0;
    let is_parked = number(&answer["open"]) <= number(&answer["parkedMessages"]);
    (is_read && is_parked).then_some(Ending::LeftOver)
}

fn position(answer: &Value) -> Position {
    let (progress, parked) = (&answer["progress"], number(&answer["parked"]));
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
    match (count("failed"), parked) {
        (0, _) => {}
        (failed, 0) => notes.push(format!("{} failed, to be tried again", grouped(failed))),
        (failed, _) => notes.push(format!("{} failed", grouped(failed))),
    }
    notes.extend(deferral::note(answer));
    if parked > 0 {
        let batches = counted(parked, "batch", "batches");
        notes.push(format!("{batches} parked: granary failures retry"));
    }
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
            "{} in {}. See why and what to do: granary failures",
            counted(
                number(&answer["progress"]["failed"]),
                "message is",
                "messages are"
            ),
            match number(&answer["parked"]) {
                0 => "batches that failed for good".to_owned(),
                parked => counted(
                    parked,
                    "batch that failed for good",
                    "batches that failed for good"
                ),
            }
        ),
        Ending::Done
        | Ending::Incomplete
        | Ending::Pending
        | Ending::Drifted
        | Ending::Unproven
        | Ending::Ill => {
            "nothing is open any more; `granary verify` proves that nothing is missing".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn it_is_over_where_its_own_range_has_nothing_open_or_nothing_but_what_is_parked() {
        let answer = |open: u64, parked: u64, windows: u64, percentage: f64| {
            json!({
                "migration": {"state": "draining"}, "nothingOpen": open == 0,
                "open": open, "parked": u64::from(parked > 0), "parkedMessages": parked,
                "windows": {"open": windows, "harvesting": 0}, "idsPercentage": percentage,
            })
        };
        assert_eq!(ending_of(&answer(0, 0, 0, 100.0)), Some(Ending::Done));
        assert_eq!(ending_of(&answer(5, 5, 0, 100.0)), Some(Ending::LeftOver));
        assert_eq!(ending_of(&answer(6, 5, 0, 100.0)), None, "one is tried again");
        assert_eq!(ending_of(&answer(5, 5, 1, 100.0)), None);
        assert_eq!(ending_of(&answer(5, 5, 0, 99.9)), None);
        let cancelled = json!({"migration": {"state": "cancelled"}, "nothingOpen": true});
        assert_eq!(ending_of(&cancelled), Some(Ending::LeftOver));
    }

    #[test]
    fn it_is_asked_why_only_where_nothing_has_moved_and_not_at_every_look() {
        let answer = |success: u64, seconds: f64| {
            json!({"progress": {"known": 10, "success": success}, "windows": {"open": 0}, "parked": 0,
                "migration": {"harvestedTo": "2026-03-01T14:00:00Z"}, "pace": {"etaSeconds": seconds}})
        };
        let start = Instant::now();
        let mut standstill = Standstill::default();
        let mut is_asked = |success, second: u64| {
            let now = start + Duration::from_secs(second);
            standstill.is_to_be_explained(&answer(success, second as f64), now)
        };
        assert!(!is_asked(0, 0), "there was no look before");
        assert!(!is_asked(1, 1), "it moves");
        assert!(is_asked(1, 2), "it doesn't");
        assert!(!is_asked(1, 3), "that was asked just now");
        assert!(is_asked(1, 12), "something else may keep it now");
        assert!(!is_asked(2, 13), "it moves again");
        assert!(is_asked(2, 14));
    }

    #[test]
    fn a_pause_is_told_once() {
        let overview = |since: &str| json!({"pauses": [{"stage": "export", "since": since, "by": "operator", "reason": "a rebuild"}]});
        let mut said = Vec::new();
        assert_eq!(
            unsaid(&overview("2026-11-22T10:30:00Z"), &mut said),
            ["paused: export since 2026-11-22T10:30:00Z by operator: a rebuild; granary resume export"]
        );
        assert!(unsaid(&overview("2026-11-22T10:30:00Z"), &mut said).is_empty());
        assert_eq!(
            unsaid(&overview("2026-11-22T11:30:00Z"), &mut said).len(),
            1,
            "another one"
        );
        assert!(unsaid(&json!({"pauses": []}), &mut said).is_empty());
    }

    #[test]
    fn what_is_parked_is_not_said_to_be_tried_again() {
        let answer = |parked: Value| json!({"progress": {"known": 2_000, "failed": 1_500}, "parked": parked});
        let note = |parked| position(&answer(parked)).note;
        assert_eq!(note(Value::Null), "1,500 failed, to be tried again");
        assert_eq!(note(json!(0)), "1,500 failed, to be tried again");
        assert_eq!(
            note(json!(1)),
            "1,500 failed, 1 batch parked: granary failures retry"
        );
        assert_eq!(
            note(json!(2)),
            "1,500 failed, 2 batches parked: granary failures retry"
        );
        assert_eq!(
            summary(Ending::LeftOver, &answer(json!(2))),
            "1,500 messages are in 2 batches that failed for good. See why and what to do: granary failures"
        );
        let one = json!({"progress": {"failed": 1}, "parked": 1});
        assert!(summary(Ending::LeftOver, &one).starts_with("1 message is in 1 batch that failed for good."));
        assert!(
            summary(Ending::LeftOver, &answer(Value::Null)).contains("are in batches that failed for good"),
            "an older deployment doesn't count them"
        );
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
