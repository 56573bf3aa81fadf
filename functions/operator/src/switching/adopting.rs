//! `POST /ledger/adopt`: the ledger takes over a setting of this deployment.
//!
//! The settings that say whose ledger it is are recorded once. Where the deployment has another one, harvester and exporter do
//! no work until it is restored or adopted here, one setting at a time. What is adopted is this operator's own setting, never a value of
//! the request: so only what is deployed can be adopted. The audit is written first.

use crate::services::{Done, Services};
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::Change;
use crate::web::fields::{BodyFields, Fields};
use crate::web::problem::{Kind, Problem};
use axum::Extension;
use axum::extract::State;
use granary_domain::IdentitySetting;
use serde::Serialize;
use serde_json::json;
use std::sync::Arc;
use utoipa::ToSchema;

/// Which setting is adopted.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
#[expect(dead_code, reason = "what `Wish::read` takes, for the document")]
pub(crate) struct AdoptSettingBody {
    /// The setting: `source_name`, `bucket`, `prefix`, `account`, `region`, `id_field` or `time_field`.
    #[schema(examples("prefix"))]
    setting: String,
    /// Only say what would change.
    #[schema(default = false)]
    dry_run: Option<bool>,
    /// Why, for the audit.
    #[schema(max_length = 500, examples("the objects were copied to the new prefix"))]
    reason: String,
}

/// What becomes of a setting of the ledger.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct AdoptedSetting {
    /// Whether it was a dry run: then nothing was changed.
    dry_run: bool,
    /// The setting.
    #[schema(examples("prefix"))]
    setting: &'static str,
    /// What the ledger had; `null`: nothing was recorded.
    #[schema(examples("archive"))]
    before: Option<String>,
    /// What this deployment has, and the ledger from now on.
    #[schema(examples("archive/messages"))]
    after: String,
    /// Whether the two differ. If not, nothing is adopted.
    differs: bool,
    /// What it means for what is archived, for people.
    message: String,
}

/// Adopt a setting of this deployment
///
/// The ledger belongs to a source, a bucket, a prefix, an account, a region and two fields. A function with another one does no
/// work. This gives the ledger the value that this deployment has. All windows are verified again afterwards.
#[utoipa::path(post, path = "/ledger/adopt", request_body = AdoptSettingBody)]
pub(crate) async fn adopt(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<AdoptedSetting>, Problem> {
    let Wish { setting, change } = Wish::read(&fields)?;
    let Some(after) = services.identity.value(setting) else {
        let detail = format!("This operator isn't told its {setting}.");
        let remedy = format!("Set {} as the template does.", setting.variable());
        return Err(Problem::new(Kind::NotPossible, detail).remedy(&remedy));
    };
    let ledger = services.ledger().await?;
    let recorded = ledger.identity().await?.into_iter();
    let mut recorded = recorded.filter(|recorded| recorded.setting == setting);
    let before = recorded.next().map(|recorded| recorded.value);
    let differs = before.as_deref() != Some(after);
    if differs && !change.is_dry_run {
        services
            .record(Done {
                by: caller,
                action: "ledger.adopt",
                arguments: change.with_reason(json!({ "setting": setting.as_str() })),
                effect: json!({ "before": before, "after": after }),
            })
            .await?;
        ledger.adopt_setting(setting, after).await?;
    }
    Ok(Answer::ok(AdoptedSetting {
        dry_run: change.is_dry_run,
        setting: setting.as_str(),
        before,
        after: after.to_owned(),
        differs,
        message: message(setting, differs),
    }))
}

fn message(setting: IdentitySetting, differs: bool) -> String {
    match differs {
        true => format!("{} All windows are verified again.", setting.on_adoption()),
        false => "The ledger has this value already: there is nothing to adopt.".to_owned(),
    }
}

/// The setting to adopt.
#[derive(Debug)]
struct Wish {
    setting: IdentitySetting,
    change: Change,
}

impl Wish {
    fn read(fields: &Fields) -> Result<Self, Problem> {
        fields.only(&["setting", "dryRun", "reason"])?;
        let missing = || {
            let detail = format!(
                "`setting` is missing: one of {}.",
                IdentitySetting::NAMES.join(", ")
            );
            Problem::invalid("setting", detail)
        };
        let wish = Self {
            setting: fields.parsed("setting")?.ok_or_else(missing)?,
            change: Change::read(fields)?,
        };
        wish.change
            .require_reason("why the ledger gets another setting")?;
        Ok(wish)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<Wish, Problem> {
        Wish::read(&Fields::of_json(json.as_bytes()).unwrap())
    }

    #[test]
    fn a_setting_and_a_reason_are_needed() {
        let wish = read(r#"{"setting":"bucket","reason":"it was copied"}"#).unwrap();
        assert_eq!(wish.setting, IdentitySetting::Bucket);
        assert!(read(r#"{"setting":"id_field","dryRun":true}"#).is_ok());
        for (json, field) in [
            (r#"{"reason":"x"}"#, "setting"),
            (r#"{"setting":"index","reason":"x"}"#, "setting"),
            (r#"{"setting":"bucket"}"#, "reason"),
            (r#"{"setting":"bucket","reason":"x","value":"y"}"#, "value"),
        ] {
            assert_eq!(read(json).unwrap_err().field(), Some(field), "{json}");
        }
    }

    #[test]
    fn what_an_adoption_means_is_said_and_that_there_is_none() {
        assert!(message(IdentitySetting::Bucket, true).contains("the mark of batch numbers"));
        assert!(message(IdentitySetting::Bucket, false).contains("nothing to adopt"));
    }
}
