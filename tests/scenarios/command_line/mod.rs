//! `granary` as people type it, on an operator that listens: each command, with its effect at the service behind it.
//!
//! How help and tables look is the command line's own tests' business; here it is what a line does, what it says where, and
//! how it ends.

mod migrations;
mod batches;
mod queues;
mod switching;
mod looking;
mod doctor;
mod schema;
mod manners;

use crate::stage::{Document, Listening, Stage};

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T14:00:00Z";

/// Forty messages of four hours at the source, and an operator that listens.
async fn at_the_source(name: &str) -> (Stage, Listening, Vec<Document>) {
    let stage = Stage::with(name, &[("GRANARY_BATCH_SIZE", "10")]).await;
    let messages = Document::many(40, 10..14);
    stage.index_messages(&messages).await;
    let operator = stage.listen(&[]).await;
    (stage, operator, messages)
}

/// The same in four batches, in the queue.
async fn handed_off(name: &str) -> (Stage, Listening, Vec<Document>) {
    let (stage, operator, messages) = at_the_source(name).await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    (stage, operator, messages)
}

async fn archived(name: &str) -> (Stage, Listening, Vec<Document>) {
    let (stage, operator, messages) = handed_off(name).await;
    stage.run_until_quiet().await;
    (stage, operator, messages)
}

/// All four batches are parked.
async fn parked(name: &str) -> (Stage, Listening, Vec<Document>) {
    let (stage, operator, messages) = handed_off(name).await;
    let blind = stage.blind_ledger().await;
    let failing = stage.another(
        "exporter",
        &[("GRANARY_LEDGER_URL", &blind), ("GRANARY_MAX_ATTEMPTS", "1")],
    );
    stage.export_all_by(&failing).await;
    (stage, operator, messages)
}

async fn finish(stage: Stage, messages: &[Document]) {
    stage.run_until_quiet().await;
    stage.assert_archived(messages, FROM, TO).await;
    stage.finish().await;
}

/// Why it was done, as the audit has it, for each time that it was.
async fn reasons(stage: &Stage, action: &str) -> Vec<Option<String>> {
    let query = format!("SELECT reason FROM audit WHERE action = '{action}' ORDER BY id");
    stage.rows(&query).await
}

async fn count(stage: &Stage, what: &str) -> u64 {
    stage.row(&format!("SELECT COUNT(*) FROM {what}")).await
}

/// The first cells of the rows that `--plain` prints.
fn first_cells(out: &str) -> Vec<&str> {
    out.lines()
        .skip(1)
        .map(|line| line.split('\t').next().unwrap_or_default())
        .collect()
}
