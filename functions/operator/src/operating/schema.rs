//! `/schema`: the schema of the ledger's database, and the migrator, which brings it up to date.
//!
//! A deployment has it invoked before any other function is new. These routes are for where that did not do: another database, a
//! migration that took longer than a deployment waits. They work on every schema, also on one that keeps all other routes
//! from their work. Nothing is changed here: the migrator changes the schema, and puts on record who asked for it.

use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::change::{Change, ChangeBody};
use crate::web::edge;
use crate::web::fields::{BodyFields, QueryFields};
use crate::web::problem::{Kind, Problem};
use axum::Extension;
use axum::extract::State;
use granary_ledger::db::Schema;
use granary_switchboard::{Migrating, Migrator};
use serde::Serialize;
use serde_json::{Value, json};
use std::sync::Arc;
use utoipa::ToSchema;

/// The schema of the ledger, beside what this version needs.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LedgerSchema {
    /// Whether this version can work on it.
    status: SchemaStanding,
    /// The newest migration that was applied; 0 in an empty database.
    #[schema(examples(48))]
    version: u32,
    /// The newest migration that this version has, and needs.
    #[schema(examples(48))]
    needed: u32,
    /// The oldest version that may work on it, by the newest migration which that version has; `null`: none is named yet.
    #[schema(examples(48))]
    oldest_allowed: Option<u32>,
    /// Whether it is being changed at this moment.
    being_changed: bool,
    /// Migrations that this version has and the ledger lacks, the oldest first.
    pending: Vec<PendingSchemaChange>,
    /// What that means, for people.
    message: String,
}

/// How the schema stands to this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub(crate) enum SchemaStanding {
    /// It is what this version needs.
    Current,
    /// It is older: nothing works until it is migrated.
    Older,
    /// It is newer, and allows this version.
    Newer,
    /// It is newer, and doesn't allow this version.
    Refused,
}

/// A migration that wasn't applied yet.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct PendingSchemaChange {
    /// Its number.
    #[schema(examples(48))]
    version: u32,
    /// What it is about.
    #[schema(examples("oldest_program"))]
    name: String,
}

/// What became of the schema.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SchemaMigrated {
    /// Dry run: nothing was changed.
    dry_run: bool,
    /// The newest migration before; 0 in an empty database.
    from: u32,
    /// The newest migration afterwards; in a dry run, as it would be.
    to: u32,
    /// The migrations of a dry run, the oldest first.
    pending: Vec<PendingSchemaChange>,
    /// What that means, for people.
    message: String,
}

/// That the schema is still being changed.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SchemaMigrating {
    /// `false`.
    dry_run: bool,
    /// What to do, for people.
    message: &'static str,
}

/// Show the schema of the ledger
///
/// And what of it this version lacks or doesn't know. The answer is 200 whatever the schema is.
#[utoipa::path(get, path = "/schema")]
pub(crate) async fn status(
    State(services): State<Arc<Services>>,
    QueryFields(query): QueryFields,
) -> Result<Answer<LedgerSchema>, Problem> {
    query.only(&[])?;
    let schema = services.any_ledger().schema().await?;
    Ok(Answer::ok(LedgerSchema {
        status: standing(&schema),
        version: schema.found,
        needed: schema.needed,
        oldest_allowed: schema.oldest_program,
        being_changed: schema.is_being_changed,
        message: message(&schema),
        pending: pending(schema),
    }))
}

/// Bring the schema of the ledger up to date
///
/// The migrator does it, as it does when the stack is deployed. What takes longer than 18 seconds is answered with 202: ask again,
/// until it is done. A migration that fails is answered with its reason.
#[utoipa::path(post, path = "/schema/migrate", request_body = ChangeBody,
    responses((status = 409, description = "There is no migrator.")))]
pub(crate) async fn migrate(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    BodyFields(fields): BodyFields,
) -> Result<Answer<SchemaMigrated, SchemaMigrating>, Problem> {
    fields.only(&["dryRun", "reason"])?;
    let change = Change::read(&fields)?;
    let schema = services.any_ledger().schema().await?;
    let from = schema.found;
    if change.is_dry_run || schema.pending.is_empty() {
        let to = schema.pending.last().map_or(from, |last| last.version);
        return Ok(Answer::ok(SchemaMigrated {
            dry_run: change.is_dry_run,
            from,
            to,
            message: forecast(&schema),
            pending: pending(schema),
        }));
    }
    let asked = json!({
        "who": caller.name(),
        "address": caller.address().map(|address| address.to_string()),
        "reason": change.reason(),
        "requestId": edge::request_id(),
    });
    match migrator(&services)?.migrate(&asked).await? {
        Migrating::Done(done) => Ok(Answer::ok(migrated(&done, from))),
        Migrating::Failed(why) => Err(Problem::new(
            Kind::OperationFailed,
            format!("The schema is not up to date: {why}."),
        )
        .remedy("What was applied stays applied. Correct it, and ask again. The migrator's log has more.")),
        Migrating::AtWork => Ok(Answer::accepted(SchemaMigrating {
            dry_run: false,
            message: "The schema is still being changed. GET /schema shows how far it is; ask again to be told how it ended.",
        })),
    }
}

/// As the migrator answers.
fn migrated(done: &Value, from: u32) -> SchemaMigrated {
    let version = |member: &str| {
        done[member]
            .as_u64()
            .and_then(|version| u32::try_from(version).ok())
    };
    let from = version("from").unwrap_or(from);
    let to = version("to").unwrap_or(from);
    SchemaMigrated {
        dry_run: false,
        from,
        to,
        pending: Vec::new(),
        message: format!("The ledger had schema {from}, and has {to} now."),
    }
}

fn migrator(services: &Services) -> Result<&Migrator, Problem> {
    services.migrator.as_ref().ok_or_else(|| {
        Problem::new(
            Kind::NotPossible,
            "This deployment has no migrator that the operator knows of.",
        )
        .remedy("Set GRANARY_MIGRATOR_FUNCTION of the operator, as template.yaml does, or deploy the stack.")
    })
}

fn standing(schema: &Schema) -> SchemaStanding {
    match (schema.found.cmp(&schema.needed), schema.objection()) {
        (std::cmp::Ordering::Equal, _) => SchemaStanding::Current,
        (std::cmp::Ordering::Less, _) => SchemaStanding::Older,
        (std::cmp::Ordering::Greater, None) => SchemaStanding::Newer,
        (std::cmp::Ordering::Greater, Some(_)) => SchemaStanding::Refused,
    }
}

fn message(schema: &Schema) -> String {
    let Schema { found, needed, .. } = schema;
    match (schema.objection(), found == needed) {
        (Some(objection), _) => format!("{objection}."),
        (None, true) => format!("The ledger has schema {found}, as this version needs it."),
        (None, false) => {
            format!("The ledger has schema {found}, which allows this version; it has {needed}.")
        }
    }
}

fn forecast(schema: &Schema) -> String {
    match schema.pending.len() {
        0 => format!("There is nothing to do: the ledger has schema {}.", schema.found),
        1 => "One migration would be applied.".to_owned(),
        count => format!("{count} migrations would be applied."),
    }
}

fn pending(schema: Schema) -> Vec<PendingSchemaChange> {
    let pending = schema.pending.into_iter();
    pending
        .map(|change| PendingSchemaChange {
            version: change.version,
            name: change.name,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(found: u32, oldest_program: Option<u32>) -> Schema {
        Schema {
            found,
            needed: 50,
            oldest_program,
            pending: Vec::new(),
            is_being_changed: false,
        }
    }

    #[test]
    fn a_newer_schema_stands_well_where_it_allows_this_version() {
        let standings = [
            schema(50, None),
            schema(49, None),
            schema(51, Some(50)),
            schema(51, Some(51)),
        ];
        assert_eq!(
            standings.each_ref().map(standing),
            [
                SchemaStanding::Current,
                SchemaStanding::Older,
                SchemaStanding::Newer,
                SchemaStanding::Refused
            ]
        );
    }

    #[test]
    fn what_the_migrator_answers_is_told() {
        let told = migrated(&json!({"from": 45, "to": 50}), 45);
        assert_eq!((told.from, told.to), (45, 50));
        assert_eq!(told.message, "The ledger had schema 45, and has 50 now.");
    }
}
