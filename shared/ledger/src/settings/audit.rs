//! The record of what operators did: written once for each request, read newest first.
//!
//! A row is the same row if request, action and arguments are the same: whoever writes it again after a lost answer finds
//! it. What was done stands in `effect` as it was seen when it was done; a repetition that sees it done already doesn't
//! overwrite that. What shows its effect only at its end is written as [`begun`](Audit::BEGUN) first, and again with the
//! effect. Not responsible for what is worth recording (the operator decides), nor for the rows' end: nothing removes
//! them.

use crate::db::error::During;
use crate::db::row::{Columns, at, unreadable};
use crate::{Ledger, LedgerError};
use granary_steps::Step;
use jiff::Timestamp;
use mysql_async::{Row, Value, params};
use serde::Serialize;

/// Something that an operator did.
#[derive(Debug, Clone)]
pub struct Audit {
    /// Who: the name of a token.
    pub who: String,
    /// The address of the client, where it is known.
    pub address: Option<String>,
    /// What: `migrate.start`, `seed.clear`, …
    pub action: &'static str,
    /// With which arguments.
    pub arguments: serde_json::Value,
    /// What it changed.
    pub effect: Option<serde_json::Value>,
    /// The request it was done by; `None`: each call writes a row of its own.
    pub request_id: Option<String>,
    /// Why, in the operator's words.
    pub reason: Option<String>,
}

/// Something that an operator did, as it stands on record.
#[derive(Debug, Clone, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AuditEntry {
    /// Its number: later ones are higher.
    pub id: u64,
    /// When.
    pub at: Timestamp,
    /// Who.
    pub who: String,
    /// The address of the client. Older rows have none.
    pub address: Option<String>,
    /// What.
    pub action: String,
    /// With which arguments.
    pub arguments: serde_json::Value,
    /// What it changed; with the member `begun` alone, nobody came to say what.
    pub effect: Option<serde_json::Value>,
    /// The request it was done by. Older rows have none.
    pub request_id: Option<String>,
    /// Why, where that was said.
    pub reason: Option<String>,
}

/// Which entries to list.
#[derive(Debug, Clone, Default)]
pub struct AuditFilter {
    /// Only what this one did.
    pub who: Option<String>,
    /// Only this action.
    pub action: Option<String>,
    /// Only from then on.
    pub from: Option<Timestamp>,
    /// Only before then.
    pub to: Option<Timestamp>,
    /// Only entries before this one (the list is newest first): the cursor.
    pub before: Option<u64>,
    /// How many at most.
    pub limit: u32,
}

impl Audit {
    /// The member of an `effect` that says what was found when it was begun, until it is known what came of it.
    pub const BEGUN: &str = "begun";
}

const REQUEST_ID_CHARS_MAX: usize = 128;
const REASON_CHARS_MAX: usize = 500;

impl Ledger {
    /// Writes down what an operator did. For one request, the same action with the same arguments is written once.
    pub async fn record_audit(&self, audit: &Audit) -> Result<(), LedgerError> {
        let arguments = audit.arguments.to_string();
        let request = audit.request_id.as_deref().map(as_request_id);
        let once = request
            .as_ref()
            .map(|request| format!("{request}\n{}\n{arguments}", audit.action));
        let reason: Option<String> = audit
            .reason
            .as_ref()
            .map(|reason| reason.chars().take(REASON_CHARS_MAX).collect());
        let (arguments, request, once, reason) = (&arguments, &request, &once, &reason);
        self.change(Step::RecordAudit, |doing| async move {
            let mut conn = self.conn(doing).await?;
            conn.exec_drop(
                "INSERT INTO audit (at, who, address, action, arguments, effect, request_id, reason, once_key) \
                 VALUES (UTC_TIMESTAMP(6), :who, :address, :action, :arguments, :effect, :request, :reason, \
                 UNHEX(SHA2(:once, 256))) ON DUPLICATE KEY UPDATE effect = \
                 IF(JSON_CONTAINS_PATH(effect, 'one', '$.begun'), VALUES(effect), effect)",
                params! {
                    "who" => &audit.who, "address" => audit.address.as_deref(), "action" => audit.action,
                    "arguments" => arguments,
                    "effect" => audit.effect.as_ref().map(ToString::to_string),
                    "request" => request.as_deref(), "reason" => reason.as_deref(), "once" => once.as_deref(),
                },
            )
            .await
            .during(doing)
        })
        .await
    }

    /// What operators did, the newest first.
    pub async fn audit_entries(&self, filter: &AuditFilter) -> Result<Vec<AuditEntry>, LedgerError> {
        self.read("list what operators did", |mut reader| async move {
            let rows: Vec<Row> = reader
                .rows(
                    "SELECT id, at, who, address, action, arguments, effect, request_id, reason FROM audit \
                     WHERE id < :before AND (:who IS NULL OR who = :who) AND (:action IS NULL OR action = :action) \
                     AND (:from IS NULL OR at >= :from) AND (:to IS NULL OR at < :to) ORDER BY id DESC LIMIT :limit",
                    params! {
                        "before" => filter.before.unwrap_or(u64::MAX), "who" => filter.who.as_deref(),
                        "action" => filter.action.as_deref(), "from" => filter.from.map_or(Value::NULL, at),
                        "to" => filter.to.map_or(Value::NULL, at), "limit" => filter.limit,
                    },
                )
                .await?;
            rows.into_iter().map(entry_of).collect()
        })
        .await
    }
}

/// As its column takes it: ids of requests are ASCII, and what else somebody may send isn't worth an error.
fn as_request_id(text: &str) -> String {
    text.chars()
        .filter(char::is_ascii_graphic)
        .take(REQUEST_ID_CHARS_MAX)
        .collect()
}

fn entry_of(mut row: Row) -> Result<AuditEntry, LedgerError> {
    let (arguments, effect): (String, Option<String>) = (row.column("arguments")?, row.column("effect")?);
    let effect = effect.map(|text| serde_json::from_str(&text)).transpose();
    Ok(AuditEntry {
        id: row.column("id")?,
        at: row.instant("at")?,
        who: row.column("who")?,
        address: row.column("address")?,
        action: row.column("action")?,
        arguments: serde_json::from_str(&arguments).map_err(|error| unreadable("arguments", &error))?,
        effect: effect.map_err(|error| unreadable("effect", &error))?,
        request_id: row.column("request_id")?,
        reason: row.column("reason")?,
    })
}
