//! What somebody asks a migration for: the body of `POST /migrate`, read and settled.
//!
//! Reading refuses what can't be meant; settling turns what was left out into a range that the source has messages
//! in. It changes nothing.

use crate::config::BATCH_SIZE_MAX;
use crate::migrating::by_status::PENDING;
use crate::operating::purge::refuse_sealed;
use crate::services::Services;
use crate::web::fields::Fields;
use crate::web::problem::Problem;
use granary_domain::{Hour, MigrationKind, Priority, TimeRange};
use granary_source::SourceError;
use jiff::Timestamp;
use serde_json::{Map, Value, json};

const FIELDS: [&str; 8] = [
    "batchSize",
    "filters",
    "priority",
    "dryRun",
    "from",
    "to",
    "reExport",
    "reason",
];

/// It stands with its migration, and lists of migrations show it.
const FILTER_BYTES_MAX: usize = 20_000;

/// The body of `POST /migrate`.
#[derive(Debug, PartialEq)]
pub(crate) struct MigrationRequest {
    pub(crate) batch_size: Option<u32>,
    pub(crate) filter: Option<Value>,
    pub(crate) priority: Priority,
    /// Sealed hours are exported again.
    pub(crate) re_export: bool,
    /// What is pending was asked for by that name.
    is_for_pending: bool,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
}

/// What a migration would cover.
pub(crate) enum Coverage {
    /// A range that has messages.
    Range {
        range: TimeRange,
        /// What was done otherwise than asked, for the reader.
        notes: Vec<String>,
    },
    /// There is nothing to migrate, and this is why.
    Nothing { message: String },
}

impl MigrationRequest {
    /// Reads a body, or says which field can't be used.
    pub(crate) fn read(fields: &Fields) -> Result<Self, Problem> {
        fields.only(&FIELDS)?;
        let priority = fields
            .number("priority", 0..=9_u8)?
            .map(Priority::try_from)
            .transpose();
        let filters = fields.value("filters");
        let is_for_pending = filters.is_some_and(|filters| *filters == json!({ "status": PENDING }));
        let request = Self {
            batch_size: fields.number("batchSize", 1..=BATCH_SIZE_MAX)?,
            filter: read_filters(filters.filter(|_| !is_for_pending))?,
            is_for_pending,
            priority: priority
                .map_err(|why| Problem::invalid("priority", why))?
                .unwrap_or(Priority::NORMAL),
            re_export: fields.switch("reExport")?,
            from: fields.instant("from")?,
            to: fields.instant("to")?,
        };
        if let (Some(from), Some(to)) = (request.from, request.to) {
            TimeRange::new(from, to).map_err(|error| Problem::invalid("from", format!("{error}.")))?;
        }
        Ok(request)
    }

    /// Whether batches on record that wait to be sent are meant as well: they were named, or nothing was.
    pub(crate) fn sends_pending(&self) -> bool {
        self.is_for_pending || (self.filter.is_none() && self.from.is_none() && self.to.is_none())
    }

    /// What the ledger calls such a migration.
    pub(crate) fn kind(&self) -> MigrationKind {
        if self.filter.is_some() {
            MigrationKind::Selection
        } else {
            MigrationKind::Backfill
        }
    }

    /// The range that is meant. Where the request names none, it begins with the hour of the source's first message
    /// and ends where messages haven't settled yet. Asking the source also proves that it understands the filter.
    pub(crate) async fn coverage(&self, services: &Services) -> Result<Coverage, Problem> {
        let horizon = services.horizon().await?;
        let mut notes = Vec::new();
        let to = self.end(horizon, &mut notes)?;
        let filter = self.filter.as_ref();
        let asked_for = range_of(self.from.unwrap_or(TimeRange::EVER.from()), to)?;
        let first = services.source.first_event(asked_for, filter).await;
        let first = first.map_err(|error| self.of_source(error))?;
        let Some(first) = first else {
            return Ok(Coverage::Nothing {
                message: self.nothing_before(to),
            });
        };
        let from = self.from.unwrap_or_else(|| Hour::of(first).start());
        let range = range_of(from, to)?;
        if !self.re_export {
            self.leave_sealed_out(services, range, &mut notes).await?;
        }
        Ok(Coverage::Range { range, notes })
    }

    /// Who names hours that are sealed is told so. Who asks for everything means what isn't archived yet: what the source
    /// still shows of sealed hours is left out when it is recorded.
    async fn leave_sealed_out(
        &self,
        services: &Services,
        range: TimeRange,
        notes: &mut Vec<String>,
    ) -> Result<(), Problem> {
        if self.from.is_some() || self.to.is_some() {
            return refuse_sealed(services, range).await;
        }
        if services
            .ledger()
            .await?
            .first_sealed_hour_of(range)
            .await?
            .is_some()
        {
            notes.push("Hours that are sealed are left out: their messages are archived already.".to_owned());
        }
        Ok(())
    }

    /// The end of the range: never after the horizon, since what is younger may still be incomplete at the source.
    fn end(&self, horizon: Timestamp, notes: &mut Vec<String>) -> Result<Timestamp, Problem> {
        if let Some(from) = self.from.filter(|from| *from >= horizon) {
            let detail = format!(
                "`from` is {from}, but messages are harvested only once they have settled: up to {horizon} at the moment."
            );
            return Err(Problem::invalid("from", detail));
        }
        match self.to {
            Some(to) if to <= horizon => Ok(to),
            Some(to) => {
                notes.push(format!(
                    "`to` was cut from {to} to {horizon}: what is younger has not settled at the source yet."
                ));
                Ok(horizon)
            }
            None => Ok(horizon),
        }
    }

    /// A request that Elasticsearch refuses is the caller's filter, if there is one; anything else is the source's trouble.
    pub(crate) fn of_source(&self, error: SourceError) -> Problem {
        match (&error, &self.filter) {
            (
                SourceError::Refused {
                    status: 400, reason, ..
                },
                Some(_),
            ) => Problem::invalid(
                "filters",
                format!("Elasticsearch can't use these filters: {reason}."),
            ),
            _ => error.into(),
        }
    }

    fn nothing_before(&self, to: Timestamp) -> String {
        let such = if self.filter.is_some() {
            "such messages"
        } else {
            "messages"
        };
        match self.from {
            Some(from) => format!("the source has no {such} between {from} and {to}"),
            None => format!("the source has no {such} before {to}"),
        }
    }
}

/// The range between two instants that somebody gave as `from` and `to`.
pub(crate) fn range_of(from: Timestamp, to: Timestamp) -> Result<TimeRange, Problem> {
    TimeRange::new(from, to).map_err(|error| Problem::invalid("from", format!("{error}.")))
}

/// `query` is query DSL as it is; every other key is a field of the source and what it must equal.
fn read_filters(filters: Option<&Value>) -> Result<Option<Value>, Problem> {
    let Some(filters) = filters else { return Ok(None) };
    if filters.to_string().len() > FILTER_BYTES_MAX {
        let detail = format!("`filters` is longer than {FILTER_BYTES_MAX} bytes.");
        return Err(Problem::invalid("filters", detail).remedy(
            "Messages that are named one by one are for POST /migrate/bulk, which takes their ids.",
        ));
    }
    let Value::Object(filters) = filters else {
        return Err(Problem::invalid(
            "filters",
            "`filters` must be an object, such as {\"customer\":\"acme\"} or {\"query\":{\"term\":{\"customer\":\"acme\"}}}.",
        ));
    };
    let clauses = filters
        .iter()
        .map(|(field, value)| clause_of(field, value))
        .collect::<Result<Vec<Value>, Problem>>()?;
    Ok(match <[Value; 1]>::try_from(clauses) {
        Ok([only]) => Some(only),
        Err(none) if none.is_empty() => None,
        Err(several) => Some(json!({ "bool": { "filter": several } })),
    })
}

fn clause_of(field: &str, value: &Value) -> Result<Value, Problem> {
    let name = format!("filters.{field}");
    match (field, value) {
        ("status", _) => Err(Problem::invalid(
            &name,
            "A status is the ledger's: it means batches on record, not messages of the source.",
        )),
        ("query", Value::Object(query)) if !query.is_empty() => Ok(value.clone()),
        ("query", _) => Err(Problem::invalid(
            &name,
            "`filters.query` must be a query DSL object, such as {\"term\":{\"customer\":\"acme\"}}.",
        )),
        (_, Value::Array(values)) if !values.is_empty() && values.iter().all(is_scalar) => {
            Ok(json!({ "terms": Map::from_iter([(field.to_owned(), value.clone())]) }))
        }
        (_, value) if is_scalar(value) => {
            Ok(json!({ "term": Map::from_iter([(field.to_owned(), value.clone())]) }))
        }
        _ => Err(Problem::invalid(
            &name,
            format!("`{name}` must be a value or a list of values. For anything else use `filters.query`."),
        )),
    }
}

fn is_scalar(value: &Value) -> bool {
    match value {
        Value::Bool(_) | Value::Number(_) | Value::String(_) => true,
        Value::Null | Value::Array(_) | Value::Object(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(json: &str) -> Result<MigrationRequest, Problem> {
        MigrationRequest::read(&Fields::of_json(json.as_bytes()).unwrap())
    }

    fn refused(json: &str) -> (String, String) {
        let problem = read(json).unwrap_err();
        (
            problem.field().unwrap_or_default().to_owned(),
            problem.detail().to_owned(),
        )
    }

    #[test]
    fn nothing_asked_for_means_everything() {
        let request = read("").unwrap();
        assert_eq!(request.kind(), MigrationKind::Backfill);
        assert_eq!((request.batch_size, request.priority), (None, Priority::NORMAL));
        assert!(request.sends_pending());
        assert!(!read(r#"{"to":"2026-11-22T06:00:00Z"}"#).unwrap().sends_pending());
    }

    #[test]
    fn what_is_pending_is_harvested_and_sent_with_a_size_and_a_priority_of_its_own() {
        let request = read(r#"{"batchSize":50,"filters":{"status":"pending"},"priority":7}"#).unwrap();
        assert_eq!((request.batch_size, u8::from(request.priority)), (Some(50), 7));
        assert_eq!(
            (request.kind(), request.filter.clone()),
            (MigrationKind::Backfill, None)
        );
        assert!(request.sends_pending());
        let since = r#"{"from":"2026-11-22T06:00:00Z","filters":{"status":"pending"}}"#;
        assert!(read(since).unwrap().sends_pending());
    }

    #[test]
    fn filters_become_one_query() {
        let filter = |json: &str| read(&format!(r#"{{"filters":{json}}}"#)).unwrap().filter;
        assert_eq!(filter("{}"), None);
        assert_eq!(
            filter(r#"{"customer":"acme"}"#),
            Some(json!({"term": {"customer": "acme"}}))
        );
        assert_eq!(
            filter(r#"{"size":[1,2]}"#),
            Some(json!({"terms": {"size": [1, 2]}}))
        );
        assert_eq!(
            filter(r#"{"query":{"exists":{"field":"a"}},"b":true}"#),
            Some(json!({"bool": {"filter": [{"term": {"b": true}}, {"exists": {"field": "a"}}]}}))
        );
        assert_eq!(
            read(r#"{"filters":{"a":"b"}}"#).unwrap().kind(),
            MigrationKind::Selection
        );
    }

    #[test]
    fn filters_that_cannot_be_meant_are_refused_by_name() {
        for (json, field) in [
            (r#"{"filters":[]}"#, "filters"),
            (r#"{"filters":{"status":"failed"}}"#, "filters.status"),
            (r#"{"filters":{"query":{}}}"#, "filters.query"),
            (r#"{"filters":{"query":"a"}}"#, "filters.query"),
            (r#"{"filters":{"a":{"gt":1}}}"#, "filters.a"),
            (r#"{"filters":{"a":[]}}"#, "filters.a"),
            (r#"{"filters":{"a":null}}"#, "filters.a"),
        ] {
            assert_eq!(refused(json).0, field, "{json}");
        }
        assert!(
            refused(r#"{"filters":{"status":"failed"}}"#)
                .1
                .contains("batches on record")
        );
        let long = json!({"filters": {"a": "x".repeat(FILTER_BYTES_MAX)}}).to_string();
        assert_eq!(refused(&long).0, "filters");
    }

    #[test]
    fn h10_a_range_that_ends_before_it_starts_is_refused() {
        let (field, detail) = refused(r#"{"from":"2026-11-22T06:00:00Z","to":"2026-11-22T06:00:00Z"}"#);
        assert_eq!(field, "from");
        assert!(detail.contains("must be before"), "{detail}");
    }

    #[test]
    fn h10_a_range_in_the_future_is_refused_and_one_that_reaches_into_it_is_cut() {
        let horizon: Timestamp = "2026-11-22T06:00:00Z".parse().unwrap();
        let end = |json: &str| {
            let mut notes = Vec::new();
            (read(json).unwrap().end(horizon, &mut notes), notes)
        };
        assert!(end(r#"{"from":"2026-11-22T06:00:00Z"}"#).0.is_err());
        let (cut, notes) = end(r#"{"from":"2026-11-22T05:00:00Z","to":"2027-01-01T00:00:00Z"}"#);
        assert_eq!(cut.unwrap(), horizon);
        assert!(notes[0].contains("was cut"), "{notes:?}");
        let (kept, notes) = end(r#"{"to":"2026-11-22T05:30:00Z"}"#);
        assert_eq!(kept.unwrap().to_string(), "2026-11-22T05:30:00Z");
        assert!(notes.is_empty());
    }

    #[test]
    fn numbers_outside_of_their_limits_are_refused_by_name() {
        assert_eq!(refused(r#"{"batchSize":0}"#).0, "batchSize");
        assert_eq!(refused(r#"{"batchSize":10001}"#).0, "batchSize");
        assert_eq!(refused(r#"{"priority":10}"#).0, "priority");
        assert_eq!(refused(r#"{"form":"2026-11-22T06:00:00Z"}"#).0, "form");
        let request = read(r#"{"batchSize":"250","priority":"7","dryRun":"true"}"#).unwrap();
        assert_eq!((request.batch_size, u8::from(request.priority)), (Some(250), 7));
    }
}
