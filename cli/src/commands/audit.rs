//! `granary audit`: who changed what, and why.

use super::{Listing, Session};
use crate::cli::Audit;
use crate::ending::Ending;
use crate::sheet::{Field, Kind};
use crate::wish::Wish;

const ENTRIES: Listing = Listing {
    member: "entries",
    fields: &[
        Field("AT", "/at", Kind::Time),
        Field("WHO", "/who", Kind::Text),
        Field("ACTION", "/action", Kind::Text),
        Field("ARGUMENTS", "/arguments", Kind::Text),
        Field("EFFECT", "/effect", Kind::Text),
        Field("WHY", "/reason", Kind::Text),
        Field("REQUEST", "/requestId", Kind::Text),
        Field("FROM", "/address", Kind::Text),
    ],
    nothing: "nothing of the kind was changed",
};

pub(super) async fn run(session: &Session, options: &Audit) -> anyhow::Result<Ending> {
    let path = Wish::new()
        .with_text("who", options.who.as_ref())
        .with_text("action", options.action.as_ref())
        .span(&options.span)
        .page(&options.page)
        .of_path("/audit");
    session.list(&path, ENTRIES).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::{Format, Sheet};
    use serde_json::json;

    #[test]
    fn an_entry_says_who_what_and_why() {
        let entries = [
            json!({"id": 12, "at": "2026-11-22T10:00:00.5Z", "who": "ada", "address": "203.0.113.7", "action": "tune",
            "arguments": {"maxAttempts": 7}, "effect": {"before": {"maxAttempts": 5}, "after": {"maxAttempts": 7}},
            "requestId": "r-1", "reason": "a flaky network"}),
        ];
        let sheet = Sheet::new().table(&entries, ENTRIES.fields);
        insta::assert_snapshot!(sheet.render(Format::People), @r#"
        AT                    WHO  ACTION  ARGUMENTS          EFFECT                                                  WHY              REQUEST  FROM
        2026-11-22 10:00:00Z  ada  tune    {"maxAttempts":7}  {"after":{"maxAttempts":7},"before":{"maxAttempts":5}}  a flaky network  r-1      203.0.113.7
        "#);
    }
}
