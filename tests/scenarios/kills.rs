//! Workers are killed again and again, at any moment, and in the end every message is in the archive once.

use super::takeover::{self, deliver, exporter_behind, handed_off, outcomes};
use crate::stage::{
    CANARY, Dice, Document, EXPORTER_TIMEOUT, Function, FunctionError, HARVESTER_TIMEOUT, Proxy, Stage,
    sqs_event,
};
use serde_json::{Value, json};
use std::cell::Cell;
use std::time::{Duration, Instant};

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T15:00:00Z";
const MESSAGES: usize = 20_000;
const HOURS: usize = 5;

const SEED: u64 = 20_260_301;
const KILLS_MIN: u32 = 20;
const EXPORTER_KILLS_MAX: u32 = 26;
const HARVESTER_KILLS_MAX: u32 = 4;
/// Each kill counts as an attempt, as it must: so that bad luck parks no batch, it is given as many as there are kills.
const ATTEMPTS_MAX: u32 = 40;

const TICK: Duration = Duration::from_millis(100);
const POLL_INTERVAL: Duration = Duration::from_millis(5);
/// From the moment on when it is seen at work.
const LIFE_MILLIS_MAX: u64 = 300;

/// What happened so far.
struct Toll {
    dice: Dice,
    is_over: Cell<bool>,
    /// Kills that left a batch, or a window, in dead hands.
    exporters: Cell<u32>,
    harvesters: Cell<u32>,
    /// Kills that came too late.
    missed: Cell<u32>,
    redelivered: Cell<u32>,
    reaped: Cell<u64>,
    /// How long a worker may live: about as long as its work takes here and now, or few would die of it.
    life_millis_max: Cell<u64>,
}

impl Toll {
    fn new() -> Self {
        Self {
            dice: Dice::new(SEED),
            is_over: Cell::default(),
            exporters: Cell::default(),
            harvesters: Cell::default(),
            missed: Cell::default(),
            redelivered: Cell::default(),
            reaped: Cell::default(),
            life_millis_max: Cell::new(LIFE_MILLIS_MAX),
        }
    }

    fn life(&self) -> Duration {
        Duration::from_millis(self.below(self.life_millis_max.get()))
    }

    /// Counts a death, and learns from one that did not come in time.
    fn count(&self, fate: Fate, deaths: &Cell<u32>) {
        let longest = self.life_millis_max.get();
        let longest = match fate {
            Fate::DiedAtWork => longest + longest / 8,
            Fate::DiedTooLate | Fate::Spared => longest / 2,
        };
        self.life_millis_max.set(longest.clamp(1, LIFE_MILLIS_MAX));
        match fate {
            Fate::DiedAtWork => add_one(deaths),
            Fate::DiedTooLate => add_one(&self.missed),
            Fate::Spared => {}
        }
    }

    fn below(&self, limit: u64) -> u64 {
        self.dice.below(limit)
    }
}

fn add_one(count: &Cell<u32>) {
    count.set(count.get() + 1);
}

/// A worker to be killed, and how its work can be seen in the ledger.
struct Victim<'a> {
    stage: &'a Stage,
    function: &'a Function,
    life: Duration,
    /// Counts what it has begun.
    begun: String,
    /// Counts what it holds.
    held: String,
}

impl Victim<'_> {
    /// Invokes it and kills it a while after it took something in hand. Says whether it died with that in its hands;
    /// one that is done before it is time to die lives.
    async fn invoke(&self, request_id: &str, event: Value, timeout: Duration) -> (Option<Value>, Fate) {
        let mut working = std::pin::pin!(self.function.invoke_as(request_id, event, timeout));
        tokio::select! {
            response = &mut working => return (response.ok(), Fate::Spared),
            () = self.time_to_die() => self.function.end(),
        }
        let response = working.await.ok();
        let held: u64 = self.stage.row(&self.held).await;
        let fate = if held > 0 {
            Fate::DiedAtWork
        } else {
            Fate::DiedTooLate
        };
        (response, fate)
    }

    async fn time_to_die(&self) {
        while self.stage.row::<u64>(&self.begun).await == 0 {
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        tokio::time::sleep(self.life).await;
    }
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Fate {
    Spared,
    DiedAtWork,
    DiedTooLate,
}

/// An exporter, three of four deliveries to which end in its death until there were enough. What it leaves is delivered
/// again at once, and some of what it acknowledged is, too.
async fn export_under_fire(stage: &Stage, number: usize, toll: &Toll) {
    let exporter = stage.exporter(number);
    for delivery in 0.. {
        if toll.is_over.get() {
            return;
        }
        let Some((queue, message)) = stage.queues.receive().await else {
            tokio::time::sleep(TICK).await;
            continue;
        };
        let request_id = format!("exporter-{number}-{delivery}");
        let event = sqs_event(&[(queue, &message)]);
        let response = if toll.exporters.get() < EXPORTER_KILLS_MAX && toll.below(4) > 0 {
            let of_it = format!("LIKE '{request_id}/%'");
            let victim = Victim {
                stage,
                function: exporter,
                life: toll.life(),
                begun: format!("SELECT COUNT(*) FROM attempt WHERE worker {of_it}"),
                held: format!("SELECT COUNT(*) FROM batch WHERE status = 'in_progress' AND holder {of_it}"),
            };
            let (response, fate) = victim.invoke(&request_id, event, EXPORTER_TIMEOUT).await;
            toll.count(fate, &toll.exporters);
            response
        } else {
            exporter
                .invoke_as(&request_id, event, EXPORTER_TIMEOUT)
                .await
                .ok()
        };
        if response.is_none() {
            stage.queues.make_visible(queue, &message).await;
            continue;
        }
        stage.queues.delete(queue, &message).await;
        if toll.below(8) == 0 {
            stage.queues.send(queue, message.body().unwrap()).await;
            add_one(&toll.redelivered);
        }
    }
}

/// The clock: harvester and reaper tick until nothing is left to do. Harvesters die in mid-window until enough did.
async fn tick_under_fire(stage: &Stage, toll: &Toll) {
    for tick in 0.. {
        let request_id = format!("tick-{tick}");
        let event: Value = serde_json::from_str(include_str!("../../events/harvester.tick.json")).unwrap();
        if toll.harvesters.get() < HARVESTER_KILLS_MAX {
            let held = format!(
                "SELECT COUNT(*) FROM harvest_window WHERE state = 'harvesting' AND holder LIKE '{request_id}.%'"
            );
            let victim = Victim {
                stage,
                function: &stage.harvester,
                life: toll.life(),
                begun: held.clone(),
                held,
            };
            let (_, fate) = victim.invoke(&request_id, event, HARVESTER_TIMEOUT).await;
            toll.count(fate, &toll.harvesters);
        } else {
            // One that was killed too late may only be found dead here.
            let ended = stage
                .harvester
                .invoke_as(&request_id, event, HARVESTER_TIMEOUT)
                .await;
            assert!(
                matches!(ended, Ok(_) | Err(FunctionError::Exited(_))),
                "{ended:?}"
            );
        }
        let reaped = stage.reap().await["reaped"].as_u64().unwrap();
        toll.reaped.set(toll.reaped.get() + reaped);
        if stage.is_quiet().await {
            toll.is_over.set(true);
            return;
        }
        tokio::time::sleep(TICK).await;
    }
}

/// Four thousand messages an hour, and a status for every tenth.
async fn index(stage: &Stage) -> Vec<Document> {
    let messages: Vec<_> = (0..MESSAGES)
        .map(|number| {
            let (hour, second) = (10 + number % HOURS, number / HOURS % 3_600);
            let created_at = format!("2026-03-01T{hour}:{:02}:{:02}Z", second / 60, second % 60);
            Document::message(&format!("m-{number:05}"), &created_at)
        })
        .collect();
    let status = |message: &Document| {
        let body = json!({"message_id": message.doc_id, "state": "sent", "note": CANARY});
        Document::raw(&message.doc_id, body.to_string())
    };
    let statuses: Vec<_> = messages.iter().step_by(10).map(status).collect();
    stage.index_messages(&messages).await;
    stage.indices.write(&stage.indices.status, &statuses).await;
    messages
}

/// H14, E9, E10, E11, E13: the whole of it. Leases of three seconds end by themselves, and nobody touches the ledger.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e9_twenty_thousand_messages_are_archived_once_each_while_workers_are_killed_again_and_again() {
    let attempts_max = ATTEMPTS_MAX.to_string();
    let settings = [
        ("GRANARY_BATCH_SIZE", "500"),
        ("GRANARY_HARVEST_INTERVAL", "10800"),
        ("GRANARY_LEASE_SECONDS", "3"),
        ("GRANARY_MAX_ATTEMPTS", attempts_max.as_str()),
    ];
    let mut stage = Stage::with("kills", &settings).await;
    stage.indices.have_shards(2).await;
    stage.have_metadata().await;
    let messages = index(&stage).await;
    stage.backfill(FROM, TO).await;
    let (toll, started) = (Toll::new(), Instant::now());
    tokio::join!(
        tick_under_fire(&stage, &toll),
        export_under_fire(&stage, 0, &toll),
        export_under_fire(&stage, 1, &toll),
    );
    eprintln!(
        "{MESSAGES} messages in {:.1} s, seed {SEED}: {} exporters died at work, {} harvesters; {} kills came too late; \
         {} batches were reaped, {} messages sent twice",
        started.elapsed().as_secs_f64(),
        toll.exporters.get(),
        toll.harvesters.get(),
        toll.missed.get(),
        toll.reaped.get(),
        toll.redelivered.get(),
    );
    assert_each_death_left_its_trace(&stage, &toll).await;
    stage.assert_archived(&messages, FROM, TO).await;
    stage.finish().await;
}

async fn assert_each_death_left_its_trace(stage: &Stage, toll: &Toll) {
    let (exporters, harvesters) = (toll.exporters.get(), toll.harvesters.get());
    assert!(
        exporters >= KILLS_MIN && harvesters > 0,
        "{exporters} {harvesters}"
    );
    let reaped: u64 = stage
        .row("SELECT COUNT(*) FROM attempt WHERE outcome = 'reaped'")
        .await;
    assert_eq!(reaped, toll.reaped.get());
    assert!(reaped >= u64::from(exporters), "{reaped}");
    let retaken: u64 = stage
        .row("SELECT CAST(SUM(attempts - 1) AS UNSIGNED) FROM harvest_window")
        .await;
    assert!(retaken >= u64::from(harvesters), "{retaken}");

    let (batches, parked, most, attempts): (u64, u64, u32, u64) = stage
        .row(
            "SELECT COUNT(*), COUNT(parked_at), MAX(attempts), CAST(SUM(attempts) AS UNSIGNED) FROM batch \
             WHERE status = 'completed'",
        )
        .await;
    assert_eq!((batches, parked), ((MESSAGES / 500) as u64, 0));
    assert!(most < ATTEMPTS_MAX, "{most}");
    let counted: u64 = stage
        .row("SELECT COUNT(*) FROM attempt WHERE outcome IN ('completed', 'failed', 'reaped')")
        .await;
    assert_eq!(attempts, counted, "each attempt is counted, and once");

    let account: (u64, u64) = stage
        .row("SELECT CAST(SUM(found) AS UNSIGNED), CAST(SUM(recorded) AS UNSIGNED) FROM harvest_window")
        .await;
    assert_eq!(account, (MESSAGES as u64, MESSAGES as u64));
    let migration: String = stage
        .row("SELECT state FROM migration WHERE kind = 'backfill'")
        .await;
    assert_eq!(migration, "completed");
}

/// With the default settings: a lease of 90 s and a tick every 60 s are less than three minutes.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e9_a_killed_worker_s_batch_is_pending_again_after_the_first_tick_after_its_lease() {
    let defaults = [
        ("GRANARY_LEASE_SECONDS", ""),
        ("GRANARY_RETRY_DELAY_MS", ""),
        ("GRANARY_MAX_ATTEMPTS", ""),
    ];
    let (stage, messages) = handed_off("killed-once", 1, &defaults).await;
    let to_es = Proxy::before(stage.setting("GRANARY_ES_URL")).await;
    let killed = exporter_behind(&stage, &to_es, "GRANARY_ES_URL").await;
    to_es.stall();
    let (response, ()) = tokio::join!(deliver(&stage, &killed, EXPORTER_TIMEOUT), async {
        to_es.until_asked().await;
        killed.kill().await;
    });
    assert!(matches!(response, Err(FunctionError::Exited(_))), "{response:?}");
    let lease_secs: i64 = stage
        .row("SELECT TIMESTAMPDIFF(SECOND, claimed_at, lease_until) FROM batch")
        .await;
    assert!((90..=110).contains(&lease_secs), "{lease_secs}");

    assert_eq!(stage.reap().await["reaped"], 0, "the lease isn't over");
    stage.let_leases_end().await;
    let tick = stage.reap().await;
    assert_eq!(
        (&tick["reaped"], &tick["retried"], &tick["sent"]),
        (&json!(1), &json!(1), &json!(1))
    );
    let left: (String, u32) = stage.row("SELECT status, attempts FROM batch").await;
    assert_eq!(left, ("pending".into(), 1));

    deliver(&stage, stage.exporter(0), EXPORTER_TIMEOUT)
        .await
        .unwrap();
    assert_eq!(outcomes(&stage).await, ["reaped", "completed"]);
    stage
        .assert_archived(&messages, takeover::FROM, takeover::TO)
        .await;
    stage.finish().await;
}
