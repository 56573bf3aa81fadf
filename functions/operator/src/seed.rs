//! `/seed`: test messages, where they are allowed.

use crate::answer::Answer;
use crate::auth::Role;
use crate::fields::{BodyFields, Fields, number_in_path};
use crate::operations::{self, Wish};
use crate::problem::{Kind, Problem};
use crate::services::Services;
use axum::Extension;
use axum::extract::{Path, State};
use granary_seeding::SeedingSection;
use serde_json::json;
use std::sync::Arc;

const SOME_DEFAULT: u64 = 100;
const SOME_MAX: u64 = 10_000;
const BULK_MAX: u64 = 1_000_000;
const HOURS_MAX: u32 = 24 * 366;
const SEED_NUMBER_MAX: u64 = i64::MAX.unsigned_abs();
const CONFIRMATION: &str = "yes-clear-all-data";

/// `POST /seed/some-model`.
pub(crate) async fn some(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    BodyFields(fields): BodyFields,
) -> Result<Answer, Problem> {
    seeding_section(&services)?;
    fields.only(&["count", "seed", "hours"])?;
    let count = fields.number("count", 1..=SOME_MAX)?.unwrap_or(SOME_DEFAULT);
    operations::ask(&services, role, wish(count, &fields)?).await
}

/// `POST /seed/bulk/{count}`.
pub(crate) async fn bulk(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    Path(count): Path<String>,
    BodyFields(fields): BodyFields,
) -> Result<Answer, Problem> {
    seeding_section(&services)?;
    fields.only(&["seed", "hours"])?;
    let count = number_in_path("count", &count, 1..=BULK_MAX)?;
    operations::ask(&services, role, wish(count, &fields)?).await
}

/// `GET /seed/stats`.
pub(crate) async fn stats(State(services): State<Arc<Services>>) -> Result<Answer, Problem> {
    let stats = operations::seeder(&services).await?.stats().await?;
    Ok(Answer::ok(json!({ "stats": stats })))
}

/// `DELETE /seed/clear`.
pub(crate) async fn clear(
    State(services): State<Arc<Services>>,
    Extension(role): Extension<Role>,
    BodyFields(fields): BodyFields,
) -> Result<Answer, Problem> {
    seeding_section(&services)?;
    refuse_unless_confirmed(&fields)?;
    operations::ask(&services, role, Wish::Clear).await
}

fn wish(count: u64, fields: &Fields) -> Result<Wish, Problem> {
    Ok(Wish::Seed {
        count,
        seed: fields.number("seed", 0..=SEED_NUMBER_MAX)?,
        hours: fields.number("hours", 1..=HOURS_MAX)?,
    })
}

/// What a deployment without test data answers to whoever wants some.
fn not_allowed() -> Problem {
    Problem::new(
        Kind::SeedingNotAllowed,
        "Test messages are not allowed at this deployment.",
    )
    .remedy(
        "Set GRANARY_ALLOW_SEEDING=true and GRANARY_SEED_ES_URL of the operator. Production refuses both.",
    )
}

/// The permission to write test messages, if this deployment has it.
pub(crate) fn seeding_section(services: &Services) -> Result<&SeedingSection, Problem> {
    services.config.seeding.as_ref().ok_or_else(not_allowed)
}

fn refuse_unless_confirmed(fields: &Fields) -> Result<(), Problem> {
    fields.only(&["confirm"])?;
    if fields.value("confirm").is_some_and(|given| given == CONFIRMATION) {
        return Ok(());
    }
    let detail = format!(
        "Clearing deletes every test message with what became of it. The body must be {{\"confirm\":\"{CONFIRMATION}\"}}."
    );
    Err(Problem::new(Kind::NotConfirmed, detail).with("field", "confirm".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clearing_wants_its_words_exactly() {
        let confirmed =
            |json: &str| refuse_unless_confirmed(&Fields::of_json(json.as_bytes()).unwrap()).is_ok();
        assert!(confirmed(r#"{"confirm":"yes-clear-all-data"}"#));
        for json in [
            "",
            r#"{"confirm":true}"#,
            r#"{"confirm":"yes"}"#,
            r#"{"confirm":"YES-CLEAR-ALL-DATA"}"#,
        ] {
            assert!(!confirmed(json), "{json}");
        }
    }
}
