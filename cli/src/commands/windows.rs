//! `granary windows`: the windows by day, the newest first.

use super::Session;
use super::session::say_whether_there_is_more;
use crate::cli::Windows;
use crate::ending::Ending;
use crate::progress::say;
use crate::sheet::{Field, Kind, Sheet, items};
use crate::wish::Wish;
use serde_json::Value;

const WINDOWS: &[Field] = &[
    Field("WINDOW", "/id", Kind::Number),
    Field("FROM", "/from", Kind::Time),
    Field("TO", "/to", Kind::Time),
    Field("STATE", "/state", Kind::State),
    Field("FOUND", "/found", Kind::Count),
    Field("OPEN", "/openMessages", Kind::Count),
    Field("EXPORTED", "/exported", Kind::Count),
    Field("MISSING", "/missing", Kind::Count),
    Field("QUARANTINED", "/quarantined", Kind::Count),
    Field("LATE", "/lateMessages", Kind::Count),
    Field("VERIFIED", "/verifiedAt", Kind::Time),
    Field("ERROR", "/error", Kind::Text),
];

pub(super) async fn run(session: &Session, options: &Windows) -> anyhow::Result<Ending> {
    let path = Wish::new()
        .with_text("migrationId", options.migration.as_ref())
        .with_text("state", options.state.as_ref())
        .span(&options.span)
        .page(&options.page)
        .of_path("/windows");
    let answer = session.api.get(&path).await?;
    let ending = session.show(&answer, described)?;
    if windows(&answer).next().is_none() {
        say(&nothing(&answer));
    } else {
        say_whether_there_is_more(&answer);
    }
    Ok(ending)
}

fn described(answer: &Value) -> Sheet {
    Sheet::new().table(windows(answer), WINDOWS)
}

fn windows(answer: &Value) -> impl Iterator<Item = &Value> {
    let days = items(&answer["days"]).iter();
    days.flat_map(|day| items(&day["windows"]))
}

/// The API looks at so many windows for a page and no more: where none of them stands so, others may.
fn nothing(answer: &Value) -> String {
    match answer["nextCursor"].as_str() {
        Some(cursor) => format!("none among those looked at; go on with --cursor {cursor}"),
        None => "there is no such window".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    #[test]
    fn nothing_among_those_looked_at_is_not_said_to_be_nothing_at_all() {
        assert_eq!(nothing(&json!({"days": []})), "there is no such window");
        let further = json!({"days": [], "nextCursor": "1795341600000000-7"});
        assert_eq!(
            nothing(&further),
            "none among those looked at; go on with --cursor 1795341600000000-7"
        );
    }

    #[test]
    fn windows_of_all_days_are_one_table() {
        let window = |id: u64, state: &str| {
            json!({"id": id, "from": "2026-11-22T10:00:00Z", "to": "2026-11-22T11:00:00Z", "state": state, "found": 50_000,
                "openMessages": 0, "exported": 50_000, "missing": 0, "quarantined": 0, "lateMessages": 2,
                "verifiedAt": null, "error": null})
        };
        let answer = json!({"days": [{"date": "2026-11-22", "state": "late", "windows": [window(4, "late")]},
            {"date": "2026-11-21", "state": "verified", "windows": [window(3, "verified")]}]});
        insta::assert_snapshot!(described(&answer).render(Format::People), @r"
        WINDOW  FROM                  TO                    STATE      FOUND  OPEN  EXPORTED  MISSING  QUARANTINED  LATE  VERIFIED  ERROR
             4  2026-11-22 10:00:00Z  2026-11-22 11:00:00Z  late      50,000     0    50,000        0            0     2  -         -
             3  2026-11-22 10:00:00Z  2026-11-22 11:00:00Z  verified  50,000     0    50,000        0            0     2  -         -
        ");
    }
}
