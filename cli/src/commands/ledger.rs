//! `granary ledger`: which deployment the ledger belongs to.

use super::Session;
use crate::cli::{Change, LedgerCommand};
use crate::ending::Ending;
use crate::sheet::{Field, Kind, Sheet};
use crate::wish::Wish;
use serde_json::Value;

const ADOPTED: &[Field] = &[
    Field("dry run", "/dryRun", Kind::Text),
    Field("setting", "/setting", Kind::Text),
    Field("the ledger had", "/before", Kind::Text),
    Field("this deployment has", "/after", Kind::Text),
    Field("differs", "/differs", Kind::Text),
];

pub(super) async fn run(session: &Session, command: LedgerCommand) -> anyhow::Result<Ending> {
    let LedgerCommand::Adopt {
        setting,
        dry_run,
        reason,
    } = command;
    let body = Wish::new()
        .with_text("setting", Some(&setting))
        .change(&Change { dry_run, reason })
        .body();
    session.change("/ledger/adopt", &body, sheet).await
}

fn sheet(answer: &Value) -> Sheet {
    Sheet::new().values(answer, ADOPTED)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    #[test]
    fn an_adoption_shows_what_the_ledger_had_and_what_it_gets() {
        let answer = json!({"dryRun": true, "setting": "prefix", "before": "archive", "after": "archive/messages", "differs": true});
        let shown = sheet(&answer).render(Format::Plain);
        for part in ["prefix", "archive\n", "archive/messages"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
    }
}
