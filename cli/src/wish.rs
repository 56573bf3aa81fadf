//! What is asked of the API: members of a body, or of a query. What wasn't given isn't sent: the API's defaults hold.

use crate::cli::{Change, Page, Span};
use serde_json::{Map, Value};

/// Members by name.
#[derive(Debug, Default)]
pub(crate) struct Wish(Map<String, Value>);

impl Wish {
    pub(crate) fn new() -> Self {
        Self::default()
    }

    /// A member, where it was given.
    pub(crate) fn with(mut self, name: &str, value: Option<impl Into<Value>>) -> Self {
        if let Some(value) = value {
            self.0.insert(name.to_owned(), value.into());
        }
        self
    }

    /// A text for anything that can be written, where it was given.
    pub(crate) fn with_text(self, name: &str, value: Option<&impl ToString>) -> Self {
        self.with(name, value.map(ToString::to_string))
    }

    /// `dryRun` and `reason`.
    pub(crate) fn change(self, change: &Change) -> Self {
        self.with("dryRun", change.dry_run.then_some(true))
            .with_text("reason", change.reason.as_ref())
    }

    /// `from` and `to`.
    pub(crate) fn span(self, span: &Span) -> Self {
        self.with_text("from", span.from.as_ref())
            .with_text("to", span.to.as_ref())
    }

    /// `limit` and `cursor`.
    pub(crate) fn page(self, page: &Page) -> Self {
        self.with("limit", Some(page.limit))
            .with_text("cursor", page.cursor.as_ref())
    }

    /// As a request's body.
    pub(crate) fn body(self) -> Value {
        Value::Object(self.0)
    }

    /// As a path with a query.
    pub(crate) fn of_path(self, path: &str) -> String {
        if self.0.is_empty() {
            return path.to_owned();
        }
        let mut query = url::form_urlencoded::Serializer::new(String::new());
        for (name, value) in &self.0 {
            match value {
                Value::String(text) => query.append_pair(name, text),
                Value::Null | Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_) => {
                    query.append_pair(name, &value.to_string())
                }
            };
        }
        format!("{path}?{}", query.finish())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_was_not_given_is_not_sent() {
        let change = Change {
            dry_run: false,
            reason: None,
        };
        let wish = Wish::new()
            .with("a", Some(1))
            .with("b", None::<u32>)
            .change(&change);
        assert_eq!(wish.body(), json!({"a": 1}));
        assert_eq!(Wish::new().of_path("/audit"), "/audit");
    }

    #[test]
    fn a_query_is_encoded() {
        let wish = Wish::new().with("who", Some("a&b c")).with("limit", Some(5));
        assert_eq!(wish.of_path("/audit"), "/audit?limit=5&who=a%26b+c");
    }
}
