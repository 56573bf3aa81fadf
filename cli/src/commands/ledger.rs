//! `granary ledger`: which deployment the ledger belongs to, and making a lost one from the archive.

use super::{Session, confirm, operation};
use crate::cli::{Change, LedgerCommand};
use crate::ending::Ending;
use crate::progress::Position;
use crate::sheet::{Cell, Field, Kind, Sheet, items};
use crate::show::number;
use crate::wish::Wish;
use serde_json::{Value, json};

const ADOPTED: &[Field] = &[
    Field("dry run", "/dryRun", Kind::Text),
    Field("setting", "/setting", Kind::Text),
    Field("the ledger had", "/before", Kind::Text),
    Field("this deployment has", "/after", Kind::Text),
    Field("differs", "/differs", Kind::Text),
];

const REBUILT: &[Field] = &[
    Field("dry run", "/dryRun", Kind::Text),
    Field("not possible now", "/obstacle", Kind::Text),
    Field("manifests", "/manifests", Kind::Count),
    Field("batches", "/batches", Kind::Count),
    Field("messages", "/messages", Kind::Count),
    Field("bytes stored", "/bytesStored", Kind::Bytes),
    Field("from", "/from", Kind::Time),
    Field("to", "/to", Kind::Time),
    Field("exceptions, not on record", "/exceptions", Kind::Count),
    Field("left out, in other batches", "/leftOut", Kind::Count),
    Field("with the time of their hour", "/timesOfHour", Kind::Count),
    Field("objects", "/objects", Kind::Count),
    Field("objects of older exports", "/older/count", Kind::Count),
    Field("objects without a batch", "/withoutBatch/count", Kind::Count),
    Field("contradictions", "/contradicting", Kind::Count),
];
const CONTRADICTIONS: &[Field] = &[
    Field("KEY", "/key", Kind::Text),
    Field("CONTRADICTION", "/text", Kind::Text),
];
const WITHOUT_BATCH: &[Field] = &[Field("OBJECT WITHOUT A BATCH", "", Kind::Text)];

pub(super) async fn run(session: &Session, command: LedgerCommand) -> anyhow::Result<Ending> {
    match command {
        LedgerCommand::Adopt {
            setting,
            dry_run,
            reason,
        } => {
            let body = Wish::new()
                .with_text("setting", Some(&setting))
                .change(&Change { dry_run, reason })
                .body();
            session.change("/ledger/adopt", &body, sheet).await
        }
        LedgerCommand::Rebuild { dry_run, yes, reason } => {
            if !dry_run {
                confirm("Rebuild the ledger from the archive?", yes)?;
            }
            let body = json!({ "dryRun": dry_run, "reason": reason });
            let first = session.api.post("/ledger/rebuild", &body).await?;
            let answer = operation::wait(session, first, ("rebuilding", position)).await?;
            session.show(&answer, |answer| rebuilt(&answer["operation"]["result"]))
        }
    }
}

fn position(progress: &Value) -> Position {
    let total = number(&progress["total"]);
    Position {
        done: number(&progress["report"]["manifests"]),
        total: (total > 0).then_some(total),
        note: "manifests read".to_owned(),
    }
}

fn rebuilt(report: &Value) -> Sheet {
    let contradictions = items(&report["contradictions"]).iter();
    let contradictions = contradictions.map(|one| {
        vec![
            Cell::of(&one["key"], Kind::Text),
            Cell::of(&one["text"], Kind::Text),
        ]
    });
    let without_batch = items(&report["withoutBatch"]["keys"]).iter();
    let without_batch = without_batch.map(|key| vec![Cell::of(key, Kind::Text)]);
    Sheet::new()
        .values(report, REBUILT)
        .rows(CONTRADICTIONS, contradictions.collect())
        .rows(WITHOUT_BATCH, without_batch.collect())
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

    #[test]
    fn a_rebuild_shows_what_is_on_record_and_names_what_contradicts() {
        let report = json!({"dryRun": false, "batches": 1_200, "messages": 9_000_000, "contradicting": 1,
            "contradictions": [{"key": "a/_manifests/dt=2026-11-22/batch-7-g1.json", "text": "its object is not there"}],
            "withoutBatch": {"count": 1, "bytes": 5, "keys": ["a/dt=2026-11-22/hour=06/batch-8-g1.ndjson.zst"]}});
        let shown = rebuilt(&report).render(Format::Plain);
        for part in [
            "batches\t1200",
            "contradictions\t1",
            "batch-7-g1.json\tits object is not there",
            "batch-8-g1",
        ] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        let progress = json!({"total": 2_000, "report": {"manifests": 500}});
        assert_eq!(
            (position(&progress).done, position(&progress).total),
            (500, Some(2_000))
        );
    }
}
