//! `granary alerts`: what people were told.

use super::{Listing, Session};
use crate::cli::{Alerts, AlertsCommand};
use crate::ending::Ending;
use crate::progress::say;
use crate::sheet::{Field, Kind, Sheet};
use crate::wish::Wish;
use serde_json::json;

pub(super) const ALERTS: Listing = Listing {
    member: "alerts",
    fields: &[
        Field("ALERT", "/id", Kind::Number),
        Field("KIND", "/kind", Kind::Text),
        Field("OPEN", "/open", Kind::Text),
        Field("TIMES", "/occurrences", Kind::Count),
        Field("SINCE", "/createdAt", Kind::Time),
        Field("OVER", "/overAt", Kind::Time),
        Field("WHAT", "/headline", Kind::Text),
        Field("WHAT TO DO", "/remedy", Kind::Text),
    ],
    nothing: "there is no such alert",
};

const TESTED: &[Field] = &[
    Field("dry run", "/dryRun", Kind::Text),
    Field("alert", "/text", Kind::Text),
];

pub(super) async fn run(session: &Session, options: &Alerts) -> anyhow::Result<Ending> {
    if let Some(AlertsCommand::Test { dry_run, reason }) = &options.command {
        let body = json!({"dryRun": dry_run, "reason": reason});
        let answer = session.api.post("/alerts/test", &body).await?;
        if !dry_run {
            say("the reaper sends it within a minute: granary alerts --kind test");
        }
        return session.show(&answer, |answer| Sheet::new().values(answer, TESTED));
    }
    let path = Wish::new()
        .with("open", options.open.then_some("true"))
        .with_text("kind", options.kind.as_ref())
        .span(&options.span)
        .page(&options.page)
        .of_path("/alerts");
    session.list(&path, ALERTS).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    #[test]
    fn alerts_are_rows() {
        let alerts = [
            json!({"id": 9, "kind": "parked", "headline": "batches are parked", "subject": "7.1.0", "open": true,
            "occurrences": 3, "createdAt": "2026-11-22T10:00:00Z", "overAt": null, "remedy": "See the causes."}),
        ];
        let sheet = Sheet::new().table(&alerts, ALERTS.fields);
        insta::assert_snapshot!(sheet.render(Format::People), @r"
        ALERT  KIND    OPEN  TIMES  SINCE                 OVER  WHAT                WHAT TO DO
            9  parked  true      3  2026-11-22 10:00:00Z  -     batches are parked  See the causes.
        ");
    }
}
