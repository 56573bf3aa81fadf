//! The parameters of a request, from its body or its query: lenient in form, strict in meaning.
//!
//! A number may come as text, and what is `null` wasn't given. An unknown field is refused, and so is a time without a
//! zone: guessing would do something else than was meant.
//!
//! A body that is lost on its way never turns a dry run into a change: every change reads `?dryRun=true` from its query, a
//! DELETE with `dryRun` in its body is refused, and a body of another length than the client announces is refused too.

use crate::web::problem::{Kind, Problem};
use axum::RequestExt;
use axum::body::Bytes;
use axum::extract::{FromRequest, FromRequestParts, Query, Request};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, StatusCode};
use jiff::Timestamp;
use jiff::tz::TimeZone;
use serde_json::{Map, Value};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// What the ledger can write down of time, with an hour left behind each instant.
const YEARS: RangeInclusive<i16> = 1..=9_998;

/// The header with the length of the body as the client sent it. `granary` and the dashboard send it with every body.
const BODY_BYTES: &str = "granary-body-bytes";
pub(crate) const DRY_RUN: &str = "dryRun";

/// The parameters in a request's body, a JSON object or nothing at all, with the `dryRun` of its query.
pub(crate) struct BodyFields(pub(crate) Fields);

/// The parameters in a request's query.
pub(crate) struct QueryFields(pub(crate) Fields);

/// Parameters by name.
#[derive(Debug, Default)]
pub(crate) struct Fields {
    values: Map<String, Value>,
    /// The names of those that came as `null`: not given, or, where a route says so, to be taken back.
    nulls: Vec<String>,
    /// Whether a body came, be it an empty object.
    has_body: bool,
}

impl<S: Send + Sync> FromRequest<S> for BodyFields {
    type Rejection = Problem;

    async fn from_request(mut request: Request, state: &S) -> Result<Self, Problem> {
        let QueryFields(query) = request.extract_parts_with_state(state).await?;
        let (method, headers) = (request.method().clone(), request.headers().clone());
        let body = body_of(request, state).await?;
        refuse_another_length(&headers, body.len())?;
        let mut fields = Fields::of_json(&body)?;
        if method == Method::DELETE {
            refuse_dry_run_in_body(&fields)?;
        }
        fields.take_query(query)?;
        Ok(Self(fields))
    }
}

/// Some clients and proxies drop the body of a DELETE, and `dryRun` with it.
fn refuse_dry_run_in_body(fields: &Fields) -> Result<(), Problem> {
    if fields.values.contains_key(DRY_RUN) || fields.nulls.iter().any(|name| name == DRY_RUN) {
        let detail = "`dryRun` is in the body of a DELETE. Some clients and proxies drop that body, and the dry run \
                      becomes a deletion. Nothing was changed.";
        return Err(Problem::invalid(DRY_RUN, detail)
            .remedy("Ask with ?dryRun=true in the query, or send the same body by POST to the same path."));
    }
    Ok(())
}

/// A body that was dropped or cut on its way asks for something else than the client meant.
fn refuse_another_length(headers: &HeaderMap, bytes: usize) -> Result<(), Problem> {
    let Some(said) = headers.get(BODY_BYTES) else {
        return Ok(());
    };
    if said.to_str().is_ok_and(|said| said == bytes.to_string()) {
        return Ok(());
    }
    let detail = format!(
        "The header {BODY_BYTES} says {said:?}, and {bytes} bytes of the body arrived. Nothing was changed."
    );
    Err(Problem::new(Kind::UnreadableBody, detail)
        .remedy("A proxy between client and API changes or drops bodies: check what stands between them."))
}

async fn body_of<S: Send + Sync>(request: Request, state: &S) -> Result<Bytes, Problem> {
    Bytes::from_request(request, state).await.map_err(|rejection| {
        let kind = match rejection.status() {
            StatusCode::PAYLOAD_TOO_LARGE => Kind::BodyTooLarge,
            _ => Kind::UnreadableBody,
        };
        Problem::new(kind, rejection.body_text())
    })
}

impl<S: Send + Sync> FromRequestParts<S> for QueryFields {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let Query(given) = Query::<Vec<(String, String)>>::from_request_parts(parts, state)
            .await
            .map_err(|rejection| Problem::new(Kind::InvalidParameter, rejection.body_text()))?;
        let mut values = Map::new();
        for (name, text) in given {
            if text.is_empty() {
                let detail = format!("`{name}` is empty; leave it out, or give it a value.");
                return Err(Problem::invalid(&name, detail));
            }
            if values.insert(name.clone(), text.into()).is_some() {
                return Err(Problem::invalid(&name, format!("`{name}` is given twice.")));
            }
        }
        Ok(Self(Fields {
            values,
            ..Fields::default()
        }))
    }
}

impl Fields {
    pub(crate) fn of_json(body: &[u8]) -> Result<Self, Problem> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let unreadable = |detail: String| Problem::new(Kind::UnreadableBody, detail);
        let value = serde_json::from_slice(body)
            .map_err(|error| unreadable(format!("The body is not JSON: {error}.")))?;
        match value {
            Value::Object(members) => {
                let (nulls, values): (Map<_, _>, Map<_, _>) =
                    members.into_iter().partition(|(_, value)| value.is_null());
                Ok(Self {
                    values,
                    nulls: nulls.into_iter().map(|(name, _)| name).collect(),
                    has_body: true,
                })
            }
            Value::Null => Ok(Self::default()),
            Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
                Err(unreadable("The body is JSON, but not an object.".to_owned()))
            }
        }
    }

    /// Takes `dryRun` from the query of a change. Anything else in the query is refused, never ignored.
    fn take_query(&mut self, query: Self) -> Result<(), Problem> {
        if let Some(name) = query.values.keys().find(|name| *name != DRY_RUN) {
            let detail = format!(
                "`{name}` is in the query. A change reads only `{DRY_RUN}` from the query, and the rest from its JSON body."
            );
            return Err(Problem::invalid(name, detail));
        }
        let Some(asked) = query.values.get(DRY_RUN) else {
            return Ok(());
        };
        let is_dry_run = query.switch(DRY_RUN)?;
        if self.values.contains_key(DRY_RUN) && self.switch(DRY_RUN)? != is_dry_run {
            let detail = format!("`{DRY_RUN}` is {asked} in the query, and the opposite in the body.");
            return Err(Problem::invalid(DRY_RUN, detail));
        }
        self.values.insert(DRY_RUN.to_owned(), is_dry_run.into());
        Ok(())
    }

    /// Refuses a request without a body, unless its query says that it is a dry run: the POST twin of a DELETE acts only on
    /// a body that arrived, be it `{}`.
    pub(crate) fn need_body(&self) -> Result<(), Problem> {
        if self.has_body || self.switch(DRY_RUN)? {
            return Ok(());
        }
        Err(Problem::new(
            Kind::NotConfirmed,
            "The body is missing. It may have been dropped on its way, and it may have asked for a dry run. Nothing was changed.",
        )
        .remedy("Send {} to do it, or {\"dryRun\":true} to see what it would do."))
    }

    /// Refuses every field that isn't one of these, naming them all, also where nothing stands in it.
    pub(crate) fn only(&self, known: &[&str]) -> Result<(), Problem> {
        let unknown: Vec<&str> = self
            .values
            .keys()
            .chain(&self.nulls)
            .map(String::as_str)
            .filter(|name| !known.contains(name))
            .collect();
        let Some(first) = unknown.first() else {
            return Ok(());
        };
        let known = if known.is_empty() {
            "none".to_owned()
        } else {
            known.join(", ")
        };
        Err(Problem::invalid(
            first,
            format!("Unknown: {}. Possible here: {known}.", unknown.join(", ")),
        ))
    }

    /// The names of the fields that came as `null`.
    pub(crate) fn nulls(&self) -> &[String] {
        &self.nulls
    }

    /// The raw value of a field.
    pub(crate) fn value(&self, name: &str) -> Option<&Value> {
        self.values.get(name)
    }

    /// A whole number within `range`.
    pub(crate) fn number<N>(&self, name: &str, range: RangeInclusive<N>) -> Result<Option<N>, Problem>
    where
        N: FromStr + PartialOrd + Display,
    {
        let Some(value) = self.values.get(name) else {
            return Ok(None);
        };
        let text = match value {
            Value::Number(number) => number.to_string(),
            Value::String(text) => text.trim().to_owned(),
            Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => String::new(),
        };
        match text.parse() {
            Ok(number) if range.contains(&number) => Ok(Some(number)),
            Ok(_) | Err(_) => {
                let (least, most) = (range.start(), range.end());
                let detail =
                    format!("`{name}` is {value}; it must be a whole number from {least} to {most}.");
                Err(Problem::invalid(name, detail))
            }
        }
    }

    /// `true` or `false`; `false` where it isn't given.
    pub(crate) fn switch(&self, name: &str) -> Result<bool, Problem> {
        match self.values.get(name) {
            None => Ok(false),
            Some(Value::Bool(switch)) => Ok(*switch),
            Some(Value::String(text)) if text == "true" => Ok(true),
            Some(Value::String(text)) if text == "false" => Ok(false),
            Some(other) => {
                let detail = format!("`{name}` is {other}; it must be true or false.");
                Err(Problem::invalid(name, detail))
            }
        }
    }

    /// A text.
    pub(crate) fn text(&self, name: &str) -> Result<Option<&str>, Problem> {
        match self.values.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(Problem::invalid(
                name,
                format!("`{name}` is {other}; it must be a text."),
            )),
        }
    }

    /// A text that stands for something else: an id, a name of a closed list.
    pub(crate) fn parsed<T>(&self, name: &str) -> Result<Option<T>, Problem>
    where
        T: FromStr,
        T::Err: Display,
    {
        let Some(text) = self.text(name)? else {
            return Ok(None);
        };
        let parsed = text.parse().map_err(|error: T::Err| {
            Problem::invalid(
                name,
                format!("`{name}` is {text:?}, which can't be used: {error}."),
            )
        })?;
        Ok(Some(parsed))
    }

    /// An instant, with its zone.
    pub(crate) fn instant(&self, name: &str) -> Result<Option<Timestamp>, Problem> {
        let Some(value) = self.values.get(name) else {
            return Ok(None);
        };
        let text = value.as_str().unwrap_or_default().trim();
        let instant = text.parse::<Timestamp>();
        let year = instant
            .as_ref()
            .map(|instant| instant.to_zoned(TimeZone::UTC).year());
        if let (Ok(instant), Ok(year)) = (&instant, &year)
            && YEARS.contains(year)
        {
            return Ok(Some(*instant));
        }
        // The last day of the year 9999 is no instant here, though it is a time.
        if instant.is_ok() || text.starts_with("9999-12-3") {
            let detail = format!(
                "`{name}` is {value}; it must lie in the years {} to {}.",
                YEARS.start(),
                YEARS.end()
            );
            return Err(Problem::invalid(name, detail));
        }
        let detail = match text.parse::<jiff::civil::DateTime>() {
            Ok(naive) => format!(
                "`{name}` is {value}, which has no time zone. If it is meant in UTC, write \"{naive}Z\"; an offset such as \
                 +02:00 is as good."
            ),
            Err(_) => format!("`{name}` is {value}; it must be a time such as \"2026-11-22T06:00:00Z\"."),
        };
        Err(Problem::invalid(name, detail))
    }
}

/// A number in a path.
pub(crate) fn number_in_path<N>(name: &str, text: &str, range: RangeInclusive<N>) -> Result<N, Problem>
where
    N: FromStr + PartialOrd + Display,
{
    let fields = Fields {
        values: Map::from_iter([(name.to_owned(), text.into())]),
        ..Fields::default()
    };
    let missing = || Problem::invalid(name, format!("`{name}` is missing."));
    fields.number(name, range)?.ok_or_else(missing)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::of_json(json.as_bytes()).unwrap()
    }

    #[test]
    fn numbers_and_switches_may_come_as_text() {
        let fields = fields(r#"{"a":"7","b":7,"c":"true","d":null}"#);
        assert_eq!(fields.number("a", 1..=9_u32).unwrap(), Some(7));
        assert_eq!(fields.number("b", 1..=9_u32).unwrap(), Some(7));
        assert!(fields.switch("c").unwrap());
        assert_eq!(fields.number::<u32>("d", 1..=9).unwrap(), None);
    }

    #[test]
    fn a_number_out_of_its_range_is_refused_with_the_range() {
        for json in [
            r#"{"n":0}"#,
            r#"{"n":10}"#,
            r#"{"n":1.5}"#,
            r#"{"n":"x"}"#,
            r#"{"n":[1]}"#,
            r#"{"n":-1}"#,
        ] {
            let problem = fields(json).number("n", 1..=9_u32).unwrap_err();
            assert_eq!(problem.field(), Some("n"));
            assert!(problem.detail().contains("from 1 to 9"), "{}", problem.detail());
        }
    }

    #[test]
    fn h10_a_time_without_a_zone_is_refused_with_the_way_to_write_it() {
        for naive in ["2026-11-22T06:00:00", "2026-11-22", "2026-11-22 06:00"] {
            let problem = fields(&format!(r#"{{"from":"{naive}"}}"#))
                .instant("from")
                .unwrap_err();
            assert!(problem.detail().contains("no time zone"), "{}", problem.detail());
            assert!(problem.detail().contains("Z\""), "{}", problem.detail());
        }
        for nonsense in ["\"yesterday\"", "1763791200", "\"\""] {
            let problem = fields(&format!(r#"{{"from":{nonsense}}}"#))
                .instant("from")
                .unwrap_err();
            assert!(
                problem.detail().contains("a time such as"),
                "{}",
                problem.detail()
            );
        }
        let instant = fields(r#"{"from":"2026-11-22T08:00:00+02:00"}"#)
            .instant("from")
            .unwrap();
        assert_eq!(instant.unwrap().to_string(), "2026-11-22T06:00:00Z");
    }

    #[test]
    fn a_time_that_the_ledger_cannot_write_down_is_refused_with_the_years_that_it_can() {
        for far in [
            "-000044-03-15T12:00:00Z",
            "0000-12-31T23:59:59Z",
            "9999-01-01T00:00:00Z",
            "9999-12-31T23:59:59Z",
        ] {
            let problem = fields(&format!(r#"{{"from":"{far}"}}"#))
                .instant("from")
                .unwrap_err();
            assert_eq!(problem.field(), Some("from"));
            assert!(problem.detail().contains("1 to 9998"), "{}", problem.detail());
        }
    }

    #[test]
    fn unknown_fields_are_refused_all_at_once() {
        let problem = fields(r#"{"batchSize":1,"batchsize":1,"dry":true}"#)
            .only(&["batchSize"])
            .unwrap_err();
        assert_eq!(
            problem.detail(),
            "Unknown: batchsize, dry. Possible here: batchSize."
        );
        let of_nothing = fields(r#"{"batchSize":null,"dry":null}"#).only(&["batchSize"]);
        assert_eq!(of_nothing.unwrap_err().field(), Some("dry"));
    }

    fn with_query(body: &str, query: &str) -> Result<Fields, Problem> {
        let mut fields = fields(body);
        fields.take_query(self::fields(query))?;
        Ok(fields)
    }

    #[test]
    fn a_dry_run_may_stand_in_the_query_of_a_change_and_nothing_else_may() {
        assert!(
            with_query("", r#"{"dryRun":"true"}"#)
                .unwrap()
                .switch(DRY_RUN)
                .unwrap()
        );
        assert!(
            !with_query("", r#"{"dryRun":"false"}"#)
                .unwrap()
                .switch(DRY_RUN)
                .unwrap()
        );
        let both = with_query(r#"{"dryRun":true}"#, r#"{"dryRun":"true"}"#);
        assert!(both.unwrap().switch(DRY_RUN).unwrap());
        for (body, query, field) in [
            ("", r#"{"dryRun":"perhaps"}"#, DRY_RUN),
            (r#"{"dryRun":false}"#, r#"{"dryRun":"true"}"#, DRY_RUN),
            (r#"{"dryRun":true}"#, r#"{"dryRun":"false"}"#, DRY_RUN),
            ("", r#"{"limit":"5"}"#, "limit"),
        ] {
            let problem = with_query(body, query).unwrap_err();
            assert_eq!(problem.field(), Some(field), "{body} {query}");
        }
    }

    #[test]
    fn a_twin_acts_only_on_a_body_that_arrived() {
        assert!(fields("{}").need_body().is_ok());
        assert!(
            with_query("", r#"{"dryRun":"true"}"#)
                .unwrap()
                .need_body()
                .is_ok()
        );
        for (body, query) in [("", "{}"), ("null", "{}"), ("", r#"{"dryRun":"false"}"#)] {
            assert!(
                with_query(body, query).unwrap().need_body().is_err(),
                "{body} {query}"
            );
        }
    }

    #[test]
    fn a_body_of_another_length_than_the_client_says_is_refused() {
        let of =
            |said: &'static str| HeaderMap::from_iter([(BODY_BYTES.parse().unwrap(), said.parse().unwrap())]);
        assert!(refuse_another_length(&HeaderMap::new(), 0).is_ok());
        assert!(refuse_another_length(&of("15"), 15).is_ok());
        for said in ["15", "x", ""] {
            assert!(refuse_another_length(&of(said), 0).is_err(), "{said}");
        }
    }

    #[test]
    fn no_body_is_an_empty_one_and_anything_but_an_object_is_refused() {
        assert!(Fields::of_json(b" \n").unwrap().values.is_empty());
        assert!(Fields::of_json(b"null").unwrap().values.is_empty());
        for body in ["[]", "1", "{", "\"text\""] {
            assert!(Fields::of_json(body.as_bytes()).is_err(), "{body}");
        }
    }
}
