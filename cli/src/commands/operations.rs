//! `granary operations`: long jobs, listed, looked at and waited for.

use super::{Listing, Session, confirm, operation};
use crate::cli::{Operations, OperationsCommand};
use crate::ending::Ending;
use crate::progress::Position;
use crate::sheet::{Cell, Field, Kind, Sheet};
use crate::show::number;
use crate::wish::Wish;
use serde_json::Value;

const OPERATIONS: Listing = Listing {
    member: "operations",
    fields: &[
        Field("OPERATION", "/operationId", Kind::Text),
        Field("KIND", "/kind", Kind::Text),
        Field("STATE", "/state", Kind::State),
        Field("ASKED FOR", "/createdAt", Kind::Time),
        Field("WORKED ON", "/updatedAt", Kind::Time),
        Field("OVER", "/finishedAt", Kind::Time),
        Field("BY", "/requestedBy", Kind::Text),
        Field("ERROR", "/error", Kind::Text),
    ],
    nothing: "there is no such operation",
};
const OPERATION: &[Field] = &[
    Field("operation", "/id", Kind::Text),
    Field("kind", "/kind", Kind::Text),
    Field("state", "/state", Kind::State),
    Field("asked for by", "/requestedBy", Kind::Text),
    Field("asked for", "/createdAt", Kind::Time),
    Field("worked on", "/updatedAt", Kind::Time),
    Field("over", "/finishedAt", Kind::Time),
    Field("error", "/error", Kind::Text),
];

pub(super) async fn run(session: &Session, options: Operations) -> anyhow::Result<Ending> {
    match &options.command {
        None => {
            let path = Wish::new()
                .with_text("kind", options.kind.as_ref())
                .with_text("state", options.state.as_ref())
                .span(&options.span)
                .page(&options.page)
                .of_path("/operations");
            session.list(&path, OPERATIONS).await
        }
        Some(OperationsCommand::Show { id }) => {
            session.look_at(&format!("/operations/{id}"), described).await
        }
        Some(OperationsCommand::Wait { id }) => {
            let first = session.api.get(&format!("/operations/{id}")).await?;
            let position = |progress: &Value| Position {
                done: number(&progress["percent"]),
                total: progress["percent"].is_u64().then_some(100),
                note: "worked on".to_owned(),
            };
            let answer = operation::wait(session, first, ("operation", position)).await?;
            session.show(&answer, described)
        }
        Some(OperationsCommand::Cancel { id, change, yes }) => {
            if !change.dry_run {
                confirm(&format!("Cancel operation {id}?"), *yes)?;
            }
            let body = Wish::new().change(change).body();
            let answer = session.api.post(&format!("/operations/{id}"), &body).await?;
            session.say_what_became(&answer);
            session.show(&answer, described)
        }
    }
}

/// What it came to differs by kind: it is told as it is.
fn described(answer: &Value) -> Sheet {
    let operation = &answer["operation"];
    let sheet = Sheet::new().values(operation, OPERATION);
    let came_to = [("progress", "so far"), ("result", "came to")];
    came_to
        .into_iter()
        .filter(|(member, _)| operation[*member].is_object())
        .fold(sheet, |sheet, (member, name)| {
            sheet.pairs(vec![(name, Cell::text(operation[member].to_string()))])
        })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    #[test]
    fn an_operation_is_told_with_what_it_came_to() {
        let answer = json!({"operation": {"id": "o-1", "kind": "bulk", "state": "succeeded", "requestedBy": "operator",
            "createdAt": "2026-11-22T10:00:00Z", "updatedAt": "2026-11-22T10:00:02Z", "finishedAt": "2026-11-22T10:00:02Z",
            "error": null, "progress": null, "result": {"asked": 5, "recorded": 2}}});
        insta::assert_snapshot!(described(&answer).render(Format::People), @r#"
        operation     o-1
        kind          bulk
        state         succeeded
        asked for by  operator
        asked for     2026-11-22 10:00:00Z
        worked on     2026-11-22 10:00:02Z
        over          2026-11-22 10:00:02Z
        came to       {"asked":5,"recorded":2}
        "#);
    }
}
