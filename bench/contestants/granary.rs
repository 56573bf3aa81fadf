//! Granary: the release binaries of the harvester and of several exporters, each a process on a Runtime API of the benchmark's.
//!
//! What Lambda and SQS do around the functions isn't measured: the messages of the queue are received before the export begins, and events
//! are handed over without a poller. The harvester has had one tick before, as one that is due each minute has; exporters start cold.

use super::{Contestant, Row};
use crate::bench::Bench;
use crate::dataset::{FROM, TO};
use crate::rounds::Round;
use crate::run::Run;
use crate::stage::{EXPORTER_TIMEOUT, Function, Queue, Stage, failed_items, sqs_event};
use aws_sdk_sqs::types::Message;
use futures::FutureExt;
use futures::future::{LocalBoxFuture, join_all};
use granary_verify::Verdict;
use std::collections::VecDeque;
use std::sync::Mutex;

/// A tick ends at 80 % of its timeout.
const TICKS_MAX: u32 = 20;

pub(super) const CONTESTANT: Contestant = Contestant {
    rows: &[
        Row {
            name: "harvest",
            does: "records every message in an empty ledger, and sends its batches to SQS",
        },
        Row {
            name: "export",
            does: "reads every recorded message by its id, compresses it with zstd, stores objects and manifests in S3, and settles the batches",
        },
        Row {
            name: "reharvest",
            does: "harvests the same range for another migration: the ledger knows every message",
        },
    ],
    run,
};

fn run(bench: &Bench, round: Round) -> LocalBoxFuture<'_, Vec<Run>> {
    async move {
        let stage = stage(bench).await;
        let first = harvest(bench, &stage, "harvest").await;
        let in_ledger = ledger_bytes(&stage).await as f64 / bench.settings.messages as f64;
        let first = first.with("ledger_bytes_per_message", in_ledger);
        let exported = export(bench, &stage, &first).await;
        let second = harvest(bench, &stage, "reharvest").await;
        finish(stage, round).await;
        vec![first, exported, second]
    }
    .boxed_local()
}

/// A ledger, queues and a bucket of this round's own, over the index of all. Settings are the product's defaults.
async fn stage(bench: &Bench) -> Stage {
    let batch_size = bench.settings.batch_size.to_string();
    let settings = [
        ("GRANARY_SOURCE_INDEX", bench.index.as_str()),
        ("GRANARY_BATCH_SIZE", batch_size.as_str()),
        ("GRANARY_SOURCE_ID_FIELD", ""),
        ("GRANARY_RETRY_DELAY_MS", ""),
        ("GRANARY_HARVEST_LAG_SECONDS", ""),
        ("GRANARY_LEASE_SECONDS", ""),
        ("GRANARY_LOG", ""),
    ];
    let mut stage = Stage::at(bench.addresses(), "bench", &settings).await;
    stage.have_exporters(bench.settings.exporters);
    stage.harvest().await;
    stage
}

async fn harvest(bench: &Bench, stage: &Stage, row: &'static str) -> Run {
    stage.backfill(FROM, TO).await;
    let work = async {
        let mut found = 0;
        for _ in 0..TICKS_MAX {
            let tick = stage.harvest().await;
            found += tick["tally"]["found"].as_u64().unwrap();
            if found >= bench.settings.messages {
                break;
            }
        }
        assert_eq!(found, bench.settings.messages, "messages that a {row} found");
    };
    let run = bench.measure(row, &[&stage.harvester], work).await;
    run.with("peak_mib", stage.harvester.peak_memory_mib() as f64)
}

/// `harvest`: the run that recorded what is exported.
async fn export(bench: &Bench, stage: &Stage, harvest: &Run) -> Run {
    let messages = bench.settings.messages;
    let waiting = Mutex::new(VecDeque::from(stage.receive_all().await));
    let numbers = 0..bench.settings.exporters;
    let exporters: Vec<&Function> = numbers.map(|number| stage.exporter(number)).collect();
    let work = async {
        join_all(exporters.iter().map(|exporter| deliver(exporter, &waiting))).await;
    };
    let run = bench.measure("export", &exporters, work).await;
    let (batches, exported): (u64, u64) = stage
        .row("SELECT COUNT(*), CAST(SUM(exported) AS UNSIGNED) FROM batch WHERE status = 'completed'")
        .await;
    assert_eq!(exported, messages, "messages that were exported");
    let started = exporters.iter().filter(|exporter| exporter.pid().is_some());
    let peak = started.map(|exporter| exporter.peak_memory_mib()).max();
    let statements = harvest.figure("data_statements") + run.figure("data_statements");
    let cpu = harvest.figure("cpu_us.granary") + run.figure("cpu_us.granary");
    run.with("batches", batches as f64)
        .with("peak_mib", peak.unwrap_or_default() as f64)
        .with(
            "stored_bytes_per_message",
            stored_bytes(stage).await as f64 / messages as f64,
        )
        .with(
            "harvest_and_export.data_statements_per_batch",
            statements / batches as f64,
        )
        .with("harvest_and_export.cpu_us.granary", cpu)
}

/// Hands the messages that wait to an exporter, one after the other.
async fn deliver(exporter: &Function, waiting: &Mutex<VecDeque<(Queue, Message)>>) {
    loop {
        let next = waiting.lock().unwrap().pop_front();
        let Some((queue, message)) = next else {
            return;
        };
        let event = sqs_event(&[(&queue, &message)]);
        let answer = exporter.invoke(event, EXPORTER_TIMEOUT).await.unwrap();
        assert!(failed_items(&answer).is_empty(), "an export failed: {answer}");
    }
}

/// Of objects and manifests.
async fn stored_bytes(stage: &Stage) -> i64 {
    let listed = stage.bucket.s3.list_objects_v2().bucket(&stage.bucket.name);
    let pages = listed.into_paginator().send();
    let pages = pages.collect::<Result<Vec<_>, _>>().await.unwrap();
    let objects = pages.iter().flat_map(|page| page.contents());
    objects.filter_map(|object| object.size()).sum()
}

/// Of the table that has a row for each message, with its indices.
async fn ledger_bytes(stage: &Stage) -> u64 {
    stage.sql("ANALYZE TABLE message").await;
    stage
        .row(
            "SELECT CAST(data_length + index_length AS UNSIGNED) FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_name = 'message'",
        )
        .await
}

/// After the warm-up, everything that was archived is proven, and all invariants are looked at. The other rounds do the same
/// work, and their counts were compared.
async fn finish(stage: Stage, round: Round) {
    // By a table that isn't the ledger's: then the database is dropped instead of emptied row by row, which would keep
    // the server busy during the next runs.
    stage.sql("CREATE TABLE of_benchmark (id INT)").await;
    if !round.is_warm_up() {
        return stage.finish_broken().await;
    }
    eprintln!("bench:   everything that was archived is verified");
    stage.run_until_quiet().await;
    let report = stage.verify(FROM, TO).await;
    assert_eq!(report.verdict, Verdict::Complete, "{:?}", report.account.findings);
    stage.finish().await;
}
