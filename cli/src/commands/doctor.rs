//! `granary doctor`: everything that Granary needs, from here to the topic, with what to do where it isn't well.
//!
//! Whether the API is known, answers, takes the token and agrees about the time is found out here; the rest is the operator's
//! own `GET /doctor`, which the dashboard shows too. Where the API can't be asked, that is told as a check that failed.

use crate::api::{Api, ApiError};
use crate::cli::{Connection, Doctor};
use crate::ending::Ending;
use crate::progress::say;
use crate::sheet::{Cell, Field, Format, Kind, Sheet, counted, items};
use crate::show::{self, Tone, number, text, toned};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Instant;

/// Beyond it the times that people type here are not those that they mean there.
const CLOCKS_APART_SECS_WARNING: i64 = 5;

const CHECKS: &[Field] = &[
    Field("CHECK", "/check", Kind::Text),
    Field("STATUS", "/status", Kind::State),
    Field("MS", "/milliseconds", Kind::Count),
    Field("FOUND", "/found", Kind::Text),
    Field("WHAT TO DO", "/remedy", Kind::Text),
];

pub(super) async fn run(connection: Connection, format: Format, options: &Doctor) -> anyhow::Result<Ending> {
    let examination = examined(connection).await;
    match format {
        Format::Json => show::print_json(&examination)?,
        Format::Plain => {
            let sheet = Sheet::new().table(items(&examination["checks"]), CHECKS);
            show::print(&sheet.render(format))?;
        }
        Format::People => show::print(&told(&examination))?,
    }
    let ending = ending_of(&examination, options.strict);
    if format != Format::Json {
        say(verdict(&examination));
    }
    Ok(ending)
}

fn ending_of(examination: &Value, is_strict: bool) -> Ending {
    match examination["status"].as_str() {
        Some("ok") => Ending::Done,
        Some("warning") if !is_strict => Ending::Done,
        Some(_) | None => Ending::Ill,
    }
}

fn verdict(examination: &Value) -> &'static str {
    match examination["status"].as_str() {
        Some("ok") => "everything is well",
        Some("warning") => "it works; somebody should look at the warnings",
        Some(_) | None => "something keeps Granary from its work",
    }
}

/// What was found here, then what the operator found.
async fn examined(connection: Connection) -> Value {
    let mut checks = Vec::new();
    let mut answer = json!({});
    match Api::new(connection) {
        Err(error) => checks.push(check("api", "failed", &format!("{error:#}"), 0)),
        Ok(api) => {
            let asked = Instant::now();
            let before = Timestamp::now();
            let examined = api.get("/doctor").await;
            let took = u64::try_from(asked.elapsed().as_millis()).unwrap_or(u64::MAX);
            match examined {
                Ok(examined) => {
                    checks.push(check("api", "ok", "it answers, and takes the token", took));
                    checks.extend(of_clocks(&examined, before));
                    checks.extend(of_versions(&examined));
                    checks.extend(items(&examined["checks"]).iter().cloned());
                    answer = examined;
                }
                Err(error) => checks.push(of_error(&error, took)),
            }
        }
    }
    let count = |status: &str| checks.iter().filter(|check| check["status"] == status).count();
    let (ok, warning, failed) = (count("ok"), count("warning"), count("failed"));
    answer["status"] = match (warning, failed) {
        (0, 0) => "ok",
        (_, 0) => "warning",
        _ => "failed",
    }
    .into();
    answer["counts"] = json!({ "ok": ok, "warning": warning, "failed": failed });
    answer["checks"] = checks.into();
    answer
}

fn check(name: &str, status: &str, found: &str, milliseconds: u64) -> Value {
    // Errors of this program say what to do in the lines after the first.
    let (found, remedy) = match found.split_once('\n') {
        Some((found, remedy)) => (found, Some(remedy.trim())),
        None => (found, None),
    };
    json!({ "check": name, "status": status, "found": found, "remedy": remedy, "milliseconds": milliseconds })
}

fn of_error(error: &ApiError, took: u64) -> Value {
    let mut check = check("api", "failed", &error.to_string(), took);
    if error.is_no_such_route() {
        check["found"] = "it answers, and is older than this program: it has no GET /doctor".into();
        check["remedy"] = "Deploy this release, or ask with less: granary status".into();
    }
    check
}

/// What the way took counts for nothing.
fn of_clocks(examined: &Value, before: Timestamp) -> Option<Value> {
    let theirs: Timestamp = examined["timestamp"].as_str()?.parse().ok()?;
    let ours = theirs.max(before).min(Timestamp::now());
    let apart = theirs.duration_since(ours).as_secs();
    let (status, remedy) = if apart.abs() > CLOCKS_APART_SECS_WARNING {
        (
            "warning",
            "\nHave this machine keep time by NTP: `--from 24h` is counted by its clock.",
        )
    } else {
        ("ok", "")
    };
    let found = format!("the API's clock is {apart} s from this machine's{remedy}");
    Some(check("clockHere", status, &found, 0))
}

fn of_versions(examined: &Value) -> Option<Value> {
    let (ours, theirs) = (env!("CARGO_PKG_VERSION"), examined["version"].as_str()?);
    Some(if ours == theirs {
        check("version", "ok", &format!("{ours}, here and there"), 0)
    } else {
        let found = format!(
            "this program is {ours}, the deployment {theirs}\nUse the program of the release that is deployed."
        );
        check("version", "warning", &found, 0)
    })
}

/// A line for each, with what to do below.
fn told(examination: &Value) -> String {
    let checks = items(&examination["checks"]);
    let width = checks
        .iter()
        .map(|check| text(&check["check"]).chars().count())
        .max()
        .unwrap_or(0);
    let mut lines = Vec::new();
    for check in checks {
        let (word, tone) = match check["status"].as_str() {
            Some("ok") => ("ok     ", Tone::Good),
            Some("warning") => ("warning", Tone::Doubtful),
            Some(_) | None => ("failed ", Tone::Bad),
        };
        let name = text(&check["check"]);
        lines.push(format!(
            " {}  {name:width$}  {}",
            toned(word, tone),
            text(&check["found"])
        ));
        if let Some(remedy) = check["remedy"].as_str() {
            lines.push(format!(
                "          {:width$}  → {}",
                "",
                Cell::text(remedy).to_text()
            ));
        }
    }
    let counts = &examination["counts"];
    lines.push(format!(
        "\n {} ok, {}, {} failed",
        number(&counts["ok"]),
        counted(number(&counts["warning"]), "warning", "warnings"),
        number(&counts["failed"])
    ));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn examination() -> Value {
        json!({"status": "failed", "counts": {"ok": 1, "warning": 1, "failed": 1}, "checks": [
            {"check": "elasticsearch", "status": "ok", "found": "Elasticsearch 8.19.8", "remedy": null, "milliseconds": 3},
            {"check": "deadLetters", "status": "warning", "found": "2 in dead-letters", "remedy": "granary redrive", "milliseconds": 5},
            {"check": "bucket", "status": "failed", "found": "no such bucket", "remedy": "Create it.", "milliseconds": 8},
        ]})
    }

    #[test]
    fn each_check_is_a_line_with_what_to_do_below() {
        insta::assert_snapshot!(told(&examination()), @r"
        ok       elasticsearch  Elasticsearch 8.19.8
        warning  deadLetters    2 in dead-letters
                                → granary redrive
        failed   bucket         no such bucket
                                → Create it.

        1 ok, 1 warning, 1 failed
        ");
    }

    #[test]
    fn warnings_fail_only_where_that_is_asked_for() {
        let ending = |status: &str, is_strict| ending_of(&json!({ "status": status }), is_strict).exit_code();
        assert_eq!([ending("ok", true), ending("warning", false)], [0, 0]);
        assert_eq!([ending("warning", true), ending("failed", false)], [5, 5]);
    }

    #[tokio::test]
    async fn an_api_that_is_not_known_or_silent_is_a_check_that_failed() {
        let silent = Connection {
            api_url: Some("http://127.0.0.1:1".parse().unwrap()),
            api_token: Some("token".to_owned()),
            function: None,
        };
        let examination = examined(silent).await;
        assert_eq!(
            (&examination["status"], &examination["checks"][0]["check"]),
            (&json!("failed"), &json!("api"))
        );
        let found = examination["checks"][0]["found"].as_str().unwrap();
        assert!(found.contains("make up"), "{found}");
    }

    #[test]
    fn a_clock_that_is_off_here_is_a_warning() {
        let at = |second| Timestamp::now() + jiff::SignedDuration::from_secs(second);
        let status = |second| {
            let examined = json!({ "timestamp": at(second).to_string() });
            of_clocks(&examined, Timestamp::now()).unwrap()["status"].clone()
        };
        assert_eq!([status(0), status(60)], [json!("ok"), json!("warning")]);
    }
}
