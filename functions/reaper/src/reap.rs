//! One tick of the reaper: in progress → failed → pending, then people, then the queues, then operations.
//!
//! A batch is taken back if and only if its lease is over by the database's clock. It is sent if and only if it is
//! pending, due, not paused, and either unsent or lost on its way. Each step stands alone: one that fails doesn't
//! keep the others from running, and its error is the tick's in the end. Only where the ledger doesn't answer at all the
//! tick ends with it, since each of the others would wait as long. Every step may be repeated at any point,
//! by this tick or by another one beside it.
//!
//! Ticks side by side would publish the same alerts and ask for the same jobs, so one works at a time: Lambda reserves one reaper
//! or, where it doesn't, ticks take turns by the ledger, and one that has no turn leaves everything to the other.

use crate::config::Config;
use crate::operations;
use crate::prove::Schedule;
use anyhow::Context;
use aws_config::SdkConfig;
use granary_alert::{Publisher, Sender};
use granary_archive::Archive;
use granary_domain::{Identity, Tuning};
use granary_environment::{Deadline, RetrySection, identity_of};
use granary_handoff::{Handoff, HandoffError, QueueUrls, send_unsent};
use granary_invariants::Inspector;
use granary_ledger::harvest::Cancelled;
use granary_ledger::{Ledger, LedgerSettings};
use granary_numbering::Numbering;
use granary_operations::Desk;
use granary_switchboard::Consumers;
use granary_telemetry::{Metric, record};
use serde::Serialize;
use std::time::{Duration, Instant};

const CONNECTIONS_MAX: usize = 3;
/// The turn is held by a connection of its own.
const CONNECTIONS_OF_A_TURN: usize = 1;
const MIGRATIONS_PER_TICK_MAX: u32 = 500;

/// What the reaper works with. Made once at cold start.
pub(crate) struct Reaper {
    pub(crate) ledger: Ledger,
    pub(crate) identity: Identity,
    pub(crate) handoff: Handoff,
    pub(crate) publisher: Publisher,
    pub(crate) sender: Sender,
    pub(crate) failure_rate_threshold: f64,
    pub(crate) desk: Desk,
    pub(crate) inspector: Inspector,
    pub(crate) numbering: Numbering,
    pub(crate) retry: RetrySection,
    pub(crate) schedule: Schedule,
    /// `None`: there is no telling whether the queues start exporters.
    pub(crate) consumers: Option<Consumers>,
    pub(crate) history: Option<Duration>,
    is_alone: bool,
}

/// The result of a tick.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Tick {
    /// Another tick is at work, and this one did nothing.
    pub(crate) skipped: bool,
    /// The ledger is another deployment's, and this tick did nothing but tell people.
    pub(crate) foreign: bool,
    /// The ledger is known to be this deployment's.
    #[serde(skip)]
    pub(crate) is_at_home: bool,
    /// What operators tuned, as this tick found it.
    #[serde(skip)]
    pub(crate) tuning: Tuning,
    /// Why SQS didn't take or count batches.
    #[serde(skip)]
    pub(crate) queue_error: Option<HandoffError>,
    /// Pending batches that were sent for the first time, or after they became pending again.
    pub(crate) sent: u64,
    /// Pending batches whose message is lost or hidden, resent.
    pub(crate) resent: u64,
    /// Batches whose messages went with a purge of their queue, put back to unsent.
    pub(crate) put_back: u64,
    /// Batches that were taken back from dead workers.
    pub(crate) reaped: u64,
    /// Failed batches that are given another attempt.
    pub(crate) retried: u64,
    /// Batches of cancelled migrations that ended.
    pub(crate) cancelled: u64,
    /// Migrations that have nothing open any more.
    pub(crate) completed_migrations: u64,
    /// Attempts of the last hour that failed, by all attempts: 0.0 to 1.0.
    pub(crate) failure_rate: f64,
    /// Causes for which something waits that the platform broke off.
    pub(crate) deferred_causes: u64,
    /// Invariants that didn't hold for batches that were looked at. Each is an alert, once.
    pub(crate) violations: u64,
    /// Alerts that people were told.
    pub(crate) published: u64,
    /// Objects of exports that were replaced, taken away.
    pub(crate) superseded_removed: u64,
    /// Probes of long ago that were forgotten.
    pub(crate) probes_forgotten: u64,
    /// Alerts, audit entries and operations of long ago that were forgotten.
    pub(crate) records_forgotten: u64,
    /// Causes for which batches wait without being exported, or something stays paused.
    pub(crate) stalls: u64,
    /// Sweeps that the schedule asked for.
    pub(crate) sweeps_asked: u64,
    /// Purges that the schedule asked for.
    pub(crate) purges_asked: u64,
    /// Verifications that the schedule asked for.
    pub(crate) verifications_asked: u64,
    /// Slices of operations that were worked on.
    pub(crate) operation_slices: u64,
}

impl Tick {
    fn log(&self, started: Instant) {
        tracing::info!(
            sent = self.sent,
            resent = self.resent,
            put_back = self.put_back,
            reaped = self.reaped,
            retried = self.retried,
            cancelled = self.cancelled,
            completed_migrations = self.completed_migrations,
            failure_rate = self.failure_rate,
            deferred_causes = self.deferred_causes,
            stalls = self.stalls,
            violations = self.violations,
            published = self.published,
            superseded_removed = self.superseded_removed,
            operation_slices = self.operation_slices,
            millis = started.elapsed().as_millis() as u64,
            "reaped"
        );
    }
}

impl Reaper {
    /// Connects to the ledger.
    pub(crate) async fn start(config: Config, aws: &SdkConfig) -> anyhow::Result<Self> {
        let of_operations = &config.operations;
        let identity = identity_of(&of_operations.archive, &of_operations.source, &config.queues, aws);
        let of_a_turn = if config.is_alone { 0 } else { CONNECTIONS_OF_A_TURN };
        let settings = LedgerSettings {
            url: config.ledger.url,
            connections_max: CONNECTIONS_MAX + of_a_turn,
        };
        let urls = QueueUrls {
            normal: config.queues.queue_url,
            priority: config.queues.priority_queue_url,
        };
        let ledger = Ledger::connect(&settings).await?;
        let schedule = Schedule {
            section: config.proof,
            horizon: config.operations.rescan.horizon,
        };
        let bucket = &config.operations.archive;
        let archive = Archive::new(aws, &bucket.bucket, bucket.layout.clone());
        Ok(Self {
            inspector: Inspector::new(ledger.clone(), archive.clone()),
            numbering: Numbering::new(ledger.clone(), archive.clone()),
            desk: operations::desk(config.operations, &ledger, archive)?,
            ledger,
            identity,
            handoff: Handoff::new(aws, urls),
            publisher: Publisher::new(aws, config.alert_topic_arn),
            sender: config.sender,
            failure_rate_threshold: config.failure_rate_threshold,
            retry: config.retry,
            schedule,
            consumers: config
                .exporter_function
                .map(|function| Consumers::new(aws, function)),
            history: config.history,
            is_alone: config.is_alone,
        })
    }

    /// Runs every step once, unless another tick is at work.
    pub(crate) async fn tick(&self, deadline: Deadline) -> anyhow::Result<Tick> {
        if self.is_alone {
            return self.take_steps(deadline).await;
        }
        let turn = self.ledger.take_turn().await.context("take the turn")?;
        let Some(turn) = turn else {
            tracing::info!("another tick is at work");
            return Ok(Tick {
                skipped: true,
                ..Tick::default()
            });
        };
        let tick = self.take_steps(deadline).await;
        drop(turn);
        tick
    }

    /// Takes each step, as long as the ledger answers, and as long as it is this deployment's.
    async fn take_steps(&self, deadline: Deadline) -> anyhow::Result<Tick> {
        let started = Instant::now();
        self.desk.begin_tick();
        let mut tick = Tick::default();
        let mut steps = Steps::of(&self.ledger);
        steps
            .take("tell whose ledger it is", self.compare_identity(&mut tick))
            .await;
        if tick.is_at_home {
            self.take_back(deadline, (&mut steps, &mut tick)).await;
            self.watch(deadline, (&mut steps, &mut tick)).await;
            self.tidy_up(deadline, started, (&mut steps, &mut tick)).await;
        } else {
            steps.take("watch identities", self.watch_identity()).await;
            steps.take("publish alerts", self.publish_alerts(&mut tick)).await;
            steps.take("measure how far behind it is", self.measure()).await;
        }
        tick.log(started);
        record(Metric::InvariantsViolated, tick.violations);
        steps.first_error.map_or(Ok(tick), Err)
    }

    /// What was purged, what dead workers hold, what failed, what was cancelled.
    async fn take_back(&self, deadline: Deadline, (steps, tick): (&mut Steps<'_>, &mut Tick)) {
        steps
            .take("put back what was purged", self.make_purges_good(deadline, tick))
            .await;
        steps.take("read live settings", self.read_tuning(tick)).await;
        steps
            .take("take back from dead workers", self.reap_all(deadline, tick))
            .await;
        steps
            .take("retry what failed", self.retry_all(deadline, tick))
            .await;
        steps
            .take("release what was cancelled", self.release_all(deadline, tick))
            .await;
    }

    /// Migrations and alerts; alerts are published before anything that a silent SQS or S3 could hold up.
    async fn watch(&self, deadline: Deadline, (steps, tick): (&mut Steps<'_>, &mut Tick)) {
        steps
            .take("complete migrations", self.complete_migrations(tick))
            .await;
        steps
            .take("measure the failure rate", self.measure_failures(tick))
            .await;
        steps
            .take("watch what is deferred", self.watch_deferrals(tick))
            .await;
        steps
            .take("watch restarts of consumers", self.watch_restarts())
            .await;
        steps.take("end storms", self.end_storms()).await;
        steps.take("watch identities", self.watch_identity()).await;
        steps.take("publish alerts", self.publish_alerts(tick)).await;
        steps
            .take("send what is pending", self.send_pending(deadline, tick))
            .await;
        steps.take("watch what waits", self.watch_stalls(tick)).await;
        steps.take("compare batch numbers", self.compare_numbers()).await;
        steps.take("check invariants", self.inspect(tick)).await;
        steps.take("measure how far behind it is", self.measure()).await;
        steps.take("publish alerts", self.publish_alerts(tick)).await;
    }

    /// What is left of the time goes to the past, to the schedule, and to operations.
    async fn tidy_up(
        &self,
        deadline: Deadline,
        started: Instant,
        (steps, tick): (&mut Steps<'_>, &mut Tick),
    ) {
        steps
            .take("remove what was replaced", self.remove_superseded(deadline, tick))
            .await;
        steps.take("forget old probes", self.forget_probes(tick)).await;
        steps
            .take("forget old records", self.forget_history(deadline, tick))
            .await;
        steps.take("ask for a sweep", self.ask_for_sweep(tick)).await;
        steps.take("ask for a verification", self.prove(tick)).await;
        steps.take("ask for a purge", self.ask_for_purge(tick)).await;
        steps
            .take(
                "work on operations",
                self.work_on_operations(deadline, started, tick),
            )
            .await;
    }

    /// Before anything is deleted: a ledger that was restored shows by the archive's mark.
    async fn compare_numbers(&self) -> anyhow::Result<()> {
        Ok(self.numbering.note_used().await?)
    }

    /// Once for the whole tick. Where it fails, the environment decides for this one.
    async fn read_tuning(&self, tick: &mut Tick) -> anyhow::Result<()> {
        tick.tuning = self.ledger.tuning().await?;
        Ok(())
    }

    async fn send_pending(&self, deadline: Deadline, tick: &mut Tick) -> anyhow::Result<()> {
        let sending = send_unsent(&self.ledger, &self.handoff, deadline.stop()).await?;
        tick.sent += sending.sent;
        let is_hopeless = sending.is_hopeless();
        tick.queue_error = sending.error;
        if is_hopeless {
            return Ok(());
        }
        let resent = self.resend_lost(tick).await;
        if let Err(error) = &resent
            && let Some(of_queue) = error.downcast_ref::<HandoffError>()
        {
            tick.queue_error.get_or_insert_with(|| of_queue.clone());
        }
        resent
    }

    /// Takes back what dead workers held.
    async fn reap_all(&self, deadline: Deadline, tick: &mut Tick) -> anyhow::Result<()> {
        let retry = self.retry.tuned(&tick.tuning);
        while !deadline.is_near() {
            let reaped = self.ledger.reap_dead(retry.backoff, retry.attempts_max).await?;
            if reaped.batches.is_empty() {
                break;
            }
            tracing::warn!(batches = ?reaped.batches, "taken back from dead workers");
            tick.reaped += reaped.batches.len() as u64;
        }
        Ok(())
    }

    /// Gives failed batches that are due another attempt. They are sent by this tick.
    async fn retry_all(&self, deadline: Deadline, tick: &mut Tick) -> anyhow::Result<()> {
        while !deadline.is_near() {
            let retried = self.ledger.retry_failed().await?;
            if retried == 0 {
                break;
            }
            tick.retried += retried;
        }
        Ok(())
    }

    /// Ends the batches of cancelled migrations that the operator had no time for.
    async fn release_all(&self, deadline: Deadline, tick: &mut Tick) -> anyhow::Result<()> {
        let mut total = Cancelled::default();
        while !deadline.is_near() {
            let Some(released) = self.ledger.release_cancelled().await? else {
                break;
            };
            total += released;
        }
        tick.cancelled += total.batches;
        Ok(())
    }

    /// Completes draining migrations none of whose messages are open, whoever owns them.
    async fn complete_migrations(&self, tick: &mut Tick) -> anyhow::Result<()> {
        self.ledger.drain_harvested_migrations().await?;
        let completed = self.ledger.complete_drained(MIGRATIONS_PER_TICK_MAX).await?;
        tick.completed_migrations += completed.len() as u64;
        Ok(())
    }

    async fn measure_failures(&self, tick: &mut Tick) -> anyhow::Result<()> {
        tick.failure_rate = self.watch_failure_rate().await?;
        Ok(())
    }
}

/// The steps of one tick, one after the other.
struct Steps<'a> {
    ledger: &'a Ledger,
    is_ledger_away: bool,
    first_error: Option<anyhow::Error>,
}

impl<'a> Steps<'a> {
    fn of(ledger: &'a Ledger) -> Self {
        Self {
            ledger,
            is_ledger_away: false,
            first_error: None,
        }
    }

    /// Takes a step, unless the ledger was found to be away. After a step that failed it is asked for a sign of life.
    async fn take(&mut self, name: &'static str, step: impl Future<Output = anyhow::Result<()>>) {
        if self.is_ledger_away {
            return;
        }
        let Err(error) = step.await.context(name) else {
            return;
        };
        tracing::error!("{error:#}");
        self.first_error.get_or_insert(error);
        if let Err(away) = self.ledger.ping().await {
            tracing::error!("the other steps are left to the next tick: {away}");
            self.is_ledger_away = true;
        }
    }
}
