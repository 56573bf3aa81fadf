//! `granary tune`: the settings that may be changed while everything runs.

use super::Session;
use crate::cli::{Change, Tune, TuneCommand};
use crate::ending::Ending;
use crate::sheet::{Field, Kind, Sheet, items};
use crate::wish::Wish;
use serde_json::Value;

const SETTINGS: &[Field] = &[
    Field("SETTING", "/name", Kind::Text),
    Field("VALUE", "/value", Kind::Number),
    Field("UNIT", "/unit", Kind::Text),
    Field("FROM", "/source", Kind::Text),
    Field("DEFAULT", "/default", Kind::Number),
    Field("MIN", "/min", Kind::Number),
    Field("MAX", "/max", Kind::Number),
    Field("CHANGED", "/changedAt", Kind::Time),
    Field("BY", "/changedBy", Kind::Text),
];
const CHANGES: &[Field] = &[
    Field("SETTING", "/name", Kind::Text),
    Field("WAS", "/before", Kind::Number),
    Field("IS", "/after", Kind::Number),
    Field("FROM", "/source", Kind::Text),
];

pub(super) async fn run(session: &Session, options: Tune) -> anyhow::Result<Ending> {
    match options.command {
        None | Some(TuneCommand::List) => {
            session
                .look_at("/tune", |answer| {
                    Sheet::new().table(items(&answer["settings"]), SETTINGS)
                })
                .await
        }
        Some(TuneCommand::Set { settings, change }) => set(session, settings, &change).await,
    }
}

async fn set(
    session: &Session,
    settings: Vec<(String, Option<u64>)>,
    change: &Change,
) -> anyhow::Result<Ending> {
    // Null takes a setting back.
    let wish = settings.into_iter().fold(Wish::new(), |wish, (name, value)| {
        wish.with(&name, Some(value.map_or(Value::Null, Value::from)))
    });
    let body = wish.change(change).body();
    session
        .change("/tune", &body, |answer| {
            Sheet::new().table(items(&answer["changes"]), CHANGES)
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    #[test]
    fn a_setting_is_told_with_its_bounds_and_where_it_comes_from() {
        let settings = [
            json!({"name": "maxAttempts", "value": 7, "default": 5, "environment": 5, "source": "tuned",
            "unit": "attempts", "min": 1, "max": 50, "changedAt": "2026-11-22T10:00:00Z", "changedBy": "operator"}),
        ];
        insta::assert_snapshot!(Sheet::new().table(&settings, SETTINGS).render(Format::People), @r"
        SETTING      VALUE  UNIT      FROM   DEFAULT  MIN  MAX  CHANGED               BY
        maxAttempts      7  attempts  tuned        5    1   50  2026-11-22 10:00:00Z  operator
        ");
    }
}
