//! `/tune`: the few settings that an operator may change while everything runs.
//!
//! A change is a row of the ledger that the functions read: it holds from their next tick or failure on, and a deployment
//! doesn't take it back; `null` does. Who changed what from what to what is written down before it is changed. Which settings
//! there are, and within which bounds, the domain says (`Setting`).

use crate::config::Config;
use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::fields::{BodyFields, Fields, QueryFields};
use crate::web::problem::{Kind, Problem};
use axum::Extension;
use axum::extract::State;
use granary_domain::Setting;
use granary_ledger::settings::{SettingChange, TunedSetting};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// Which settings are to be changed: at least one. `null` gives a setting back to the environment.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `Wish::read` takes, for the document")]
pub(crate) struct TuneBody {
    /// How often a batch is tried before it is parked.
    #[schema(minimum = 1, maximum = 100, examples(7))]
    max_attempts: Option<u64>,
    /// How many milliseconds a batch waits at most after its first failure; it doubles from there.
    #[schema(minimum = 1, maximum = 600_000)]
    retry_delay_ms: Option<u64>,
    /// Messages that a batch has at most.
    #[schema(minimum = 1, maximum = 10_000)]
    batch_size: Option<u64>,
    /// How many seconds the end of a window stays behind now.
    #[schema(minimum = 0, maximum = 86_400)]
    harvest_lag_seconds: Option<u64>,
    #[serde(flatten)]
    change: ChangeBody,
}

/// The live settings.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct TuneList {
    /// All of them.
    settings: Vec<ShownSetting>,
}

/// A setting that may be changed while everything runs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ShownSetting {
    /// Its name.
    #[schema(examples("maxAttempts"))]
    name: &'static str,
    /// What it is, in its unit.
    #[schema(examples(5))]
    value: u64,
    /// What it is where neither the environment nor an operator says anything, in its unit.
    #[schema(examples(5))]
    default: u64,
    /// What it is where no operator says anything, in its unit.
    #[schema(examples(5))]
    environment: u64,
    /// Who says so.
    source: SettingSource,
    /// What is counted.
    #[schema(examples("attempts"))]
    unit: &'static str,
    /// The least that it may be, in its unit.
    min: u64,
    /// The most that it may be, in its unit.
    max: u64,
    /// From when on a change holds, and for what, for people.
    applies_to: &'static str,
    /// When an operator changed it last; `null`: nobody ever did.
    changed_at: Option<Timestamp>,
    /// Who changed it last: the name of a token.
    #[schema(examples("operator"))]
    changed_by: Option<String>,
}

/// Who says what a setting is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SettingSource {
    /// Nobody.
    Default,
    /// The deployment.
    Environment,
    /// An operator.
    Tuned,
}

/// What became of the live settings.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct TuneAnswer {
    /// Whether it was only foretold: then nothing was changed.
    dry_run: bool,
    /// The settings that were named.
    changes: Vec<ShownSettingChange>,
    /// All settings as they are now.
    settings: Vec<ShownSetting>,
    /// From when on it holds, for people.
    message: &'static str,
}

/// What becomes of a setting.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ShownSettingChange {
    /// Its name.
    #[schema(examples("maxAttempts"))]
    name: &'static str,
    /// What it was, in its unit.
    #[schema(examples(5))]
    before: u64,
    /// What it is to be, in its unit.
    #[schema(examples(7))]
    after: u64,
    /// Who says so then.
    source: SettingSource,
}

/// The live settings, and who says what they are
#[utoipa::path(get, path = "/tune")]
pub(crate) async fn list(
    State(services): State<Arc<Services>>,
    QueryFields(query): QueryFields,
) -> Result<Answer<TuneList>, Problem> {
    query.only(&[])?;
    let tuned = services.ledger().await?.tuned_settings().await?;
    Ok(Answer::ok(TuneList {
        settings: settings(&services.config, &tuned),
    }))
}

/// Change live settings
///
/// It holds from the functions' next tick or attempt on, and a deployment doesn't take it back; `null` does.
#[utoipa::path(post, path = "/tune", request_body = TuneBody)]
pub(crate) async fn tune(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<TuneAnswer>, Problem> {
    let wish = Wish::read(&fields)?;
    let ledger = services.ledger().await?;
    let tuned = ledger.tuned_settings().await?;
    let config = &services.config;
    let changes = wish.shown(config, &tuned);
    if !wish.change.is_dry_run {
        services
            .record(Done {
                by: caller.clone(),
                action: "tune",
                arguments: wish.change.with_reason(wish.named()),
                effect: json!({
                    "before": values(&changes, |change| change.before),
                    "after": values(&changes, |change| change.after),
                }),
            })
            .await?;
        ledger.tune(&wish.changes, caller.name()).await?;
    }
    Ok(Answer::ok(TuneAnswer {
        dry_run: wish.change.is_dry_run,
        changes,
        settings: settings(config, &ledger.tuned_settings().await?),
        message: if wish.change.is_dry_run {
            "Nothing was changed."
        } else {
            "It holds from the functions' next tick or attempt on."
        },
    }))
}

/// Values by the names of their settings.
fn values(changes: &[ShownSettingChange], value: fn(&ShownSettingChange) -> u64) -> Map<String, Value> {
    let named = |change: &ShownSettingChange| (change.name.to_owned(), value(change).into());
    changes.iter().map(named).collect()
}

/// What somebody wants changed.
#[derive(Debug)]
struct Wish {
    changes: Vec<SettingChange>,
    change: Change,
}

impl Wish {
    fn read(fields: &Fields) -> Result<Self, Problem> {
        let nulls = fields.nulls();
        let mut known: Vec<&str> = Setting::ALL.map(Setting::as_str).into();
        known.extend(["dryRun", "reason"]);
        fields.only(&known)?;
        if let Some(unknown) = nulls.iter().find(|name| !known.contains(&name.as_str())) {
            let detail = format!("Unknown: {unknown}. Possible here: {}.", known.join(", "));
            return Err(Problem::invalid(unknown, detail));
        }
        let mut changes = Vec::new();
        for setting in Setting::ALL {
            let name = setting.as_str();
            let value = fields.number(name, setting.range())?;
            if value.is_some() || nulls.iter().any(|null| null == name) {
                changes.push(SettingChange { setting, value });
            }
        }
        if changes.is_empty() {
            let detail = format!(
                "Nothing is named that is to be changed. The settings are: {}.",
                Setting::ALL.map(Setting::as_str).join(", ")
            );
            return Err(Problem::new(Kind::InvalidParameter, detail)
                .with("field", Setting::MaxAttempts.as_str().into())
                .remedy("Name a setting with its new value, or with null for the environment's. GET /tune lists them."));
        }
        Ok(Self {
            changes,
            change: Change::read(fields)?,
        })
    }

    /// What becomes of the settings that were named.
    fn shown(&self, config: &Config, tuned: &[TunedSetting]) -> Vec<ShownSettingChange> {
        let shown = |change: &SettingChange| {
            let setting = change.setting;
            let environment = of_environment(config, setting);
            let row = tuned.iter().find(|tuned| tuned.setting == setting);
            ShownSettingChange {
                name: setting.as_str(),
                before: row.and_then(|row| row.value).unwrap_or(environment),
                after: change.value.unwrap_or(environment),
                source: source_of(config, setting, change.value),
            }
        };
        self.changes.iter().map(shown).collect()
    }

    /// What was named, for the audit.
    fn named(&self) -> Value {
        let named = |change: &SettingChange| (change.setting.as_str().to_owned(), json!(change.value));
        Value::Object(self.changes.iter().map(named).collect())
    }
}

/// Every setting, with what it is and who says so.
fn settings(config: &Config, tuned: &[TunedSetting]) -> Vec<ShownSetting> {
    Setting::ALL
        .map(|setting| {
            let row = tuned.iter().find(|tuned| tuned.setting == setting);
            let value = row.and_then(|row| row.value);
            let environment = of_environment(config, setting);
            ShownSetting {
                name: setting.as_str(),
                value: value.unwrap_or(environment),
                default: setting.default_value(),
                environment,
                source: source_of(config, setting, value),
                unit: setting.unit(),
                min: *setting.range().start(),
                max: *setting.range().end(),
                applies_to: setting.applies_to(),
                changed_at: row.map(|row| row.changed_at),
                changed_by: row.map(|row| row.changed_by.clone()),
            }
        })
        .into()
}

/// Who says what a setting is, where this is what an operator says.
fn source_of(config: &Config, setting: Setting, tuned: Option<u64>) -> SettingSource {
    if tuned.is_some() {
        SettingSource::Tuned
    } else if of_environment(config, setting) == setting.default_value() {
        SettingSource::Default
    } else {
        SettingSource::Environment
    }
}

/// What a setting is where no operator says anything. All functions are told the same.
fn of_environment(config: &Config, setting: Setting) -> u64 {
    match setting {
        Setting::MaxAttempts => config.retry.attempts_max.into(),
        Setting::RetryDelayMs => u64::try_from(config.retry.backoff.first.as_millis()).unwrap_or(u64::MAX),
        Setting::BatchSize => config.harvest.batch_size.into(),
        Setting::HarvestLagSeconds => config.harvest.lag.as_secs(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Wish, Problem> {
        Wish::read(&Fields::of_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn a_number_tunes_a_setting_and_null_gives_it_back() {
        let wish = read(r#"{"maxAttempts":"7","batchSize":null,"dryRun":true}"#).unwrap();
        let of = |setting| wish.changes.iter().find(|change| change.setting == setting);
        assert_eq!(of(Setting::MaxAttempts).unwrap().value, Some(7));
        assert_eq!(of(Setting::BatchSize).unwrap().value, None);
        assert_eq!((wish.changes.len(), wish.change.is_dry_run), (2, true));
    }

    #[test]
    fn what_is_out_of_range_or_unknown_or_nothing_at_all_is_refused_by_name() {
        for (json, field) in [
            (r#"{"maxAttempts":0}"#, "maxAttempts"),
            (r#"{"retryDelayMs":600001}"#, "retryDelayMs"),
            (r#"{"batchSize":10001}"#, "batchSize"),
            (r#"{"harvestLagSeconds":-1}"#, "harvestLagSeconds"),
            (r#"{"exporterConcurrency":5}"#, "exporterConcurrency"),
            (r#"{"exporterConcurrency":null}"#, "exporterConcurrency"),
            (r#"{"dryRun":true}"#, "maxAttempts"),
            (r#"{"maxAttempts":5,"reason":7}"#, "reason"),
        ] {
            assert_eq!(read(json).unwrap_err().field(), Some(field), "{json}");
        }
    }
}
