//! `granary exceptions`: messages that are not archived, and that an operator accepts.

use super::Session;
use crate::cli::{Exceptions, ExceptionsCommand};
use crate::ending::Ending;
use crate::sheet::{Field, Kind, Sheet, items};
use crate::wish::Wish;
use serde_json::Value;

const ACCEPTED: &[Field] = &[
    Field("KIND", "/kind", Kind::State),
    Field("INDEX", "/index", Kind::Text),
    Field("MAX", "/max", Kind::Count),
    Field("REASON", "/reason", Kind::Text),
    Field("ACCEPTED", "/acceptedAt", Kind::Time),
    Field("BY", "/acceptedBy", Kind::Text),
];

pub(super) async fn run(session: &Session, options: Exceptions) -> anyhow::Result<Ending> {
    match options.command {
        None | Some(ExceptionsCommand::List) => session.look_at("/exceptions", sheet).await,
        Some(ExceptionsCommand::Accept {
            kind,
            index,
            max,
            change,
        }) => {
            let body = Wish::new()
                .with_text("kind", Some(&kind))
                .with_text("index", Some(&index))
                .with("max", Some(max))
                .change(&change)
                .body();
            session.change("/exceptions/accept", &body, sheet).await
        }
    }
}

fn sheet(answer: &Value) -> Sheet {
    let accepted = items(&answer["exceptions"]);
    if accepted.is_empty() {
        return Sheet::new().line("no exceptions are accepted");
    }
    Sheet::new().table(accepted, ACCEPTED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    #[test]
    fn an_accepted_exception_is_shown_with_its_reason() {
        let answer = json!({"exceptions": [{"kind": "without_id", "index": "q-1", "max": 3, "reason": "test documents",
            "acceptedAt": "2026-11-22T10:00:00Z", "acceptedBy": "operator"}]});
        insta::assert_snapshot!(sheet(&answer).render(Format::People), @r"
        KIND        INDEX  MAX  REASON          ACCEPTED              BY
        without id  q-1      3  test documents  2026-11-22 10:00:00Z  operator
        ");
        assert_eq!(
            sheet(&json!({"exceptions": []})).render(Format::People),
            "no exceptions are accepted"
        );
    }
}
