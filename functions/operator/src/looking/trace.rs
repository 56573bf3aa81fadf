//! `GET /messages/{id}/trace`: a message's life: where it was seen, who tried to export it, where it is, and what changed at
//! the source since.
//!
//! From the ledger's rows, the object (its whole, as a stream, for some seconds at most) and one look at the source. Contents
//! are shown nowhere: a line is told by its number and checksum. Where the archive or the source doesn't answer in
//! time, what the ledger knows is shown without it. Nothing is changed here.

use crate::migrating::batch_shown::{ShownAttempt, ShownBatch};
use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::fields::{Fields, QueryFields};
use crate::web::problem::{Kind, Problem};
use axum::extract::{Path, State};
use granary_archive::FoundLine;
use granary_domain::{BatchStatus, Cause, Generation, MessageId, ObjectKey, Outcome};
use granary_ledger::reports::{AttemptRow, BatchRow, MessageRow, ReplacedExport, WindowOfMigration};
use granary_source::{Document, DocumentRef};
use shown::{
    LifeState, LineRead, ReplacedObject, SourceChange, Trace, TraceQuery, TracedBatch, TracedMessage,
    TracedMigration, TracedObject, TracedSource, TracedWindow,
};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

pub(crate) mod shown;
mod unknown;

/// Somebody waits for the answer.
const LINE_SECS_MAX: u64 = 5;
const SOURCE_SECS_MAX: u64 = 3;
const ATTEMPTS_MAX: u32 = 100;

/// A message's life
///
/// Where it was seen, who tried to export it, where it is down to its line, and what changed at the source since. Its contents are
/// shown nowhere.
// An id may hold any character, slashes too, and API Gateway decodes all of them: so it is everything between `/messages/`
// and `/trace`. One that a URL can't carry there (`.` and `..`) goes into the query: `/messages/trace?id=..`.
#[utoipa::path(
    get,
    path = "/messages/{*id_and_trace}",
    params(
        ("id" = String, Path, min_length = 1, max_length = 512, description = "Its id, percent-encoded.", example = "m-1"),
        TraceQuery
    )
)]
pub(crate) async fn trace(
    State(services): State<Arc<Services>>,
    Path(rest): Path<String>,
    QueryFields(query): QueryFields,
) -> Result<Answer<Trace>, Problem> {
    query.only(&["id", "line", "source"])?;
    let id = message_id(&rest, &query)?;
    let (reads_line, asks_source) = (is_wanted(&query, "line")?, is_wanted(&query, "source")?);
    let ledger = services.ledger().await?;
    let Some(message) = ledger.message(&id).await? else {
        return Err(unknown::unknown(&services, &id, asks_source).await?);
    };
    let life = Life::read(&services, message).await?;
    let on_record = life.object_on_record();
    let (line, source) = tokio::join!(
        Line::read(&services, &id, on_record.filter(|_| reads_line)),
        AtSource::look(&services, &id, &life.message, asks_source),
    );
    Ok(Answer::ok(life.shown(&services, &id, &line, &source)))
}

fn message_id(rest: &str, query: &Fields) -> Result<MessageId, Problem> {
    let text = match rest.strip_suffix("/trace") {
        Some(id) => id,
        None if rest == "trace" => query
            .text("id")?
            .ok_or_else(|| Problem::invalid("id", "`id` is missing."))?,
        None => {
            let detail = format!("This API has no route /messages/{rest}.");
            return Err(Problem::new(Kind::NoSuchRoute, detail)
                .remedy("A message's life is under /messages/{id}/trace, with its id percent-encoded."));
        }
    };
    MessageId::try_from(text.to_owned()).map_err(|error| Problem::invalid("id", format!("{error}.")))
}

/// Everything is, unless somebody says that it isn't.
fn is_wanted(query: &Fields, name: &str) -> Result<bool, Problem> {
    match query.value(name) {
        None => Ok(true),
        Some(_) => query.switch(name),
    }
}

/// What the ledger knows of a message.
struct Life {
    message: MessageRow,
    batch: Option<BatchRow>,
    window: Option<WindowOfMigration>,
    attempts: Vec<AttemptRow>,
    replaced: Vec<ReplacedExport>,
}

impl Life {
    async fn read(services: &Services, message: MessageRow) -> Result<Self, Problem> {
        let ledger = services.ledger().await?;
        let Some(id) = message.batch else {
            return Ok(Self {
                message,
                batch: None,
                window: None,
                attempts: Vec::new(),
                replaced: Vec::new(),
            });
        };
        let (batch, attempts, replaced) = tokio::try_join!(
            ledger.batch(id),
            ledger.attempts_of(id, ATTEMPTS_MAX),
            ledger.replaced_exports_of(id),
        )?;
        let window = match &batch {
            Some(batch) => ledger.window(batch.window_id).await?,
            None => None,
        };
        Ok(Self {
            message,
            batch,
            window,
            attempts,
            replaced,
        })
    }

    /// The object that has it, if one does: also while its batch is exported anew.
    fn object_on_record(&self) -> Option<&ObjectKey> {
        let batch = self.batch.as_ref().filter(|batch| batch.settled_at.is_some())?;
        if self.message.exception.is_some() {
            return None;
        }
        batch.object.as_ref().map(|object| &object.key)
    }

    /// Which export the object on record is of. One that is to be replaced is of an earlier one than the batch is at.
    fn generation_on_record(&self, batch: &BatchRow, key: &ObjectKey) -> Generation {
        let earlier = self.replaced.iter().rev();
        let mut of_key = earlier.filter(|export| export.object.as_ref() == Some(key));
        match batch.status {
            BatchStatus::Completed => batch.generation,
            BatchStatus::Pending | BatchStatus::InProgress | BatchStatus::Failed | BatchStatus::Cancelled => {
                of_key.next().map_or(batch.generation, |export| export.generation)
            }
        }
    }

    /// One word for it.
    fn state(&self) -> LifeState {
        let Some(batch) = &self.batch else {
            return LifeState::Released;
        };
        let was_settled = batch.settled_at.is_some();
        match (batch.status, &self.message.exception) {
            (BatchStatus::Cancelled, _) => LifeState::Released,
            (BatchStatus::Completed, Some((Outcome::Missing, _))) => LifeState::Missing,
            (BatchStatus::Completed, Some((Outcome::Quarantined, _))) => LifeState::Quarantined,
            (BatchStatus::Completed, None) => LifeState::Archived,
            (BatchStatus::Pending | BatchStatus::InProgress | BatchStatus::Failed, _) if was_settled => {
                LifeState::ReExporting
            }
            (BatchStatus::Pending, _) => LifeState::Waiting,
            (BatchStatus::InProgress, _) => LifeState::InWork,
            (BatchStatus::Failed, _) if batch.parked_at.is_some() => LifeState::Parked,
            (BatchStatus::Failed, _) => LifeState::Failed,
        }
    }

    fn shown(&self, services: &Services, id: &MessageId, line: &Line, source: &AtSource) -> Trace {
        let window = self.window.as_ref();
        Trace {
            message_id: id.to_string(),
            state: self.state(),
            message: shown_message(&self.message, id),
            batch: self.batch.as_ref().map(shown_batch),
            window: window.map(shown_window),
            migration: window.map(shown_migration),
            attempts: self.attempts.iter().map(ShownAttempt::from).collect(),
            object: self.shown_object(services, line),
            superseded: self.replaced.iter().map(shown_replaced).collect(),
            source: source.shown(line.version()),
        }
    }

    fn shown_object(&self, services: &Services, line: &Line) -> Option<TracedObject> {
        let (key, batch) = (self.object_on_record()?, self.batch.as_ref()?);
        let object = batch.object.as_ref()?;
        let generation = self.generation_on_record(batch, key);
        let layout = services.archive.layout();
        let manifest = layout.manifest(batch.hour, batch.id, generation);
        let found = line.found();
        Some(TracedObject {
            key: key.to_string(),
            manifest_key: manifest.to_string(),
            generation: generation.0,
            sha256: object.sha256.clone(),
            bytes_raw: object.bytes_raw,
            bytes_stored: object.bytes_stored,
            exported: batch.exported,
            line_read: line.how(),
            line_reason: line.reason(),
            line: found.map(|found| found.number),
            line_sha256: found.map(|found| found.sha256.to_string()),
            line_bytes: found.map(|found| found.bytes),
            version: line.version(),
        })
    }
}

/// What came of looking for a message's line in its object.
enum Line {
    /// Nobody looked: it wasn't wanted, or there is no object.
    Skipped,
    Found(FoundLine),
    /// The object isn't there, or hasn't the message.
    NotFound,
    /// The object is too large to be read while somebody waits.
    TimedOut,
    Unreadable(String),
}

impl Line {
    async fn read(services: &Services, id: &MessageId, key: Option<&ObjectKey>) -> Self {
        let Some(key) = key else { return Self::Skipped };
        let reading = services.archive.find_line(key, id);
        match timeout(Duration::from_secs(LINE_SECS_MAX), reading).await {
            Ok(Ok(Some(line))) => Self::Found(line),
            Ok(Ok(None)) => Self::NotFound,
            Ok(Err(error)) => Self::Unreadable(error.to_string()),
            Err(_) => Self::TimedOut,
        }
    }

    fn found(&self) -> Option<&FoundLine> {
        match self {
            Self::Found(line) => Some(line),
            Self::Skipped | Self::NotFound | Self::TimedOut | Self::Unreadable(_) => None,
        }
    }

    fn version(&self) -> Option<i64> {
        self.found().map(|line| line.version)
    }

    fn how(&self) -> LineRead {
        match self {
            Self::Skipped => LineRead::Skipped,
            Self::Found(_) => LineRead::Read,
            Self::NotFound => LineRead::NotFound,
            Self::TimedOut => LineRead::TimedOut,
            Self::Unreadable(_) => LineRead::Unreadable,
        }
    }

    fn reason(&self) -> Option<String> {
        match self {
            Self::Unreadable(reason) => Some(reason.clone()),
            Self::Skipped | Self::Found(_) | Self::NotFound | Self::TimedOut => None,
        }
    }
}

/// What the source has of a message now.
enum AtSource {
    NotAsked,
    Present { version: u64 },
    Gone,
    Unknown(String),
}

impl AtSource {
    async fn look(services: &Services, id: &MessageId, message: &MessageRow, is_asked: bool) -> Self {
        if !is_asked {
            return Self::NotAsked;
        }
        let document = DocumentRef {
            message_id: id.as_str(),
            index: &message.index,
            doc_id: message.doc_id.as_deref().unwrap_or(id.as_str()),
            routing: message.routing.as_deref(),
        };
        let looking = services.source.presence_of(document);
        match timeout(Duration::from_secs(SOURCE_SECS_MAX), looking).await {
            Ok(Ok(Document::Found { version, .. })) => Self::Present { version },
            Ok(Ok(Document::Missing(_))) => Self::Gone,
            Ok(Ok(Document::WithoutSource)) => Self::Unknown("its index doesn't keep `_source`".to_owned()),
            Ok(Ok(Document::Unavailable { reason } | Document::Refused { reason })) => Self::Unknown(reason),
            Ok(Err(error)) => Self::Unknown(error.to_string()),
            Err(_) => Self::Unknown(format!("no answer within {SOURCE_SECS_MAX} s")),
        }
    }

    /// `archived` is the version that stands in the object, where it is known.
    fn shown(&self, archived: Option<i64>) -> TracedSource {
        let (present, version, change, reason) = match self {
            Self::NotAsked => (None, None, SourceChange::Unknown, None),
            Self::Present { version } => {
                let change = match archived {
                    Some(archived) if i64::try_from(*version) == Ok(archived) => SourceChange::Unchanged,
                    Some(_) => SourceChange::Updated,
                    None => SourceChange::Unknown,
                };
                (Some(true), Some(*version), change, None)
            }
            Self::Gone => (Some(false), None, SourceChange::Gone, None),
            Self::Unknown(reason) => (None, None, SourceChange::Unknown, Some(reason.clone())),
        };
        TracedSource {
            asked: !matches!(self, Self::NotAsked),
            present,
            version,
            change,
            reason,
        }
    }
}

fn shown_message(message: &MessageRow, id: &MessageId) -> TracedMessage {
    let (outcome, reason) = message.exception.clone().unzip();
    TracedMessage {
        doc_id: message.doc_id.as_deref().unwrap_or(id.as_str()).to_owned(),
        index: message.index.clone(),
        routing: message.routing.clone(),
        event_time: message.event_time,
        batch: message.batch.map(|batch| batch.0),
        outcome: outcome.map(Outcome::as_str),
        reason,
        remedy: outcome.map(Outcome::remedy),
    }
}

/// A batch as everywhere, with what to do about what it met last.
fn shown_batch(batch: &BatchRow) -> TracedBatch {
    TracedBatch {
        batch: ShownBatch::from(batch),
        remedy: batch.error_code.as_deref().map(Cause::remedy_of),
    }
}

fn shown_window(window: &WindowOfMigration) -> TracedWindow {
    TracedWindow {
        id: window.id.0,
        from: window.range.from(),
        to: window.range.to(),
        state: window.state.as_str(),
        created_at: window.created_at,
        recorded_at: window.recorded_at,
        verified_at: window.verified_at,
    }
}

fn shown_migration(window: &WindowOfMigration) -> TracedMigration {
    TracedMigration {
        id: window.migration_id.0,
        kind: window.kind.as_str(),
        state: window.migration_state.as_str(),
        requested_by: window.requested_by.clone(),
    }
}

fn shown_replaced(export: &ReplacedExport) -> ReplacedObject {
    ReplacedObject {
        generation: export.generation.0,
        key: export.object.as_ref().map(ToString::to_string),
        exported: export.exported,
        reason: export.reason.clone(),
        asked_at: export.asked_at,
        removed_at: export.removed_at,
        kept_at: export.kept_at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(rest: &str, query: &str) -> Result<MessageId, Problem> {
        message_id(rest, &Fields::of_json(query.as_bytes()).unwrap())
    }

    #[test]
    fn an_id_is_everything_between_its_path_and_the_word() {
        for id in ["m-1", "a/b", "a/trace", " ", "ü?#%/..", "/", "trace"] {
            assert_eq!(read(&format!("{id}/trace"), "").unwrap().as_str(), id);
        }
        assert_eq!(read("trace", r#"{"id":".."}"#).unwrap().as_str(), "..");
    }

    #[test]
    fn what_is_no_id_is_refused_by_name_and_what_is_no_trace_is_no_route() {
        assert_eq!(read("/trace", "").unwrap_err().field(), Some("id"));
        assert_eq!(read("trace", "").unwrap_err().field(), Some("id"));
        assert_eq!(
            read(&format!("{}/trace", "x".repeat(513)), "")
                .unwrap_err()
                .field(),
            Some("id")
        );
        assert!(read("m-1", "").unwrap_err().detail().contains("no route"));
    }

    #[test]
    fn what_changed_at_the_source_is_told_by_the_version_that_was_archived() {
        let present = AtSource::Present { version: 3 };
        assert_eq!(present.shown(Some(3)).change, SourceChange::Unchanged);
        assert_eq!(present.shown(Some(2)).change, SourceChange::Updated);
        assert_eq!(present.shown(None).change, SourceChange::Unknown);
        assert_eq!(AtSource::Gone.shown(Some(3)).change, SourceChange::Gone);
        let unknown = AtSource::Unknown("no answer".into()).shown(Some(3));
        assert_eq!(
            (unknown.present, unknown.reason.as_deref()),
            (None, Some("no answer"))
        );
    }
}
