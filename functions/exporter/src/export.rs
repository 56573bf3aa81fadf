//! One batch: claim, fetch, archive, settle.
//!
//! A batch is exported if and only if its claim was won and its settlement was accepted under the same fence. On the ledger of
//! another deployment nothing is claimed. How an attempt ends is decided in [`Exporter::end`]: an outage and a refusal are
//! deferred and don't count, what the batch
//! is too large for neither, and the ledger splits it the second time, what is
//! the batch's own fault fails and may be retried by the reaper, a lost lease ends in silence where the batch
//! is somebody else's. A ledger that is away at that moment is waited for as long as the batch is this worker's: an attempt
//! whose end nobody wrote down is reaped, and counts.
//!
//! Dying anywhere is safe: the lease runs out, the reaper takes the batch back, and the next attempt finds and adopts
//! whatever object was written.

use crate::careful;
use crate::config::Config;
use crate::deferral::DeferralDelay;
use crate::draft::Fetched;
use crate::failure::{handed_back, ledger_failure};
use crate::fetch::{BatchFetch, Fetcher};
use crate::identity::Ownership;
use crate::lease::Heartbeat;
use crate::progress::Progress;
use crate::request_size::RequestSize;
use crate::shutdown::Shutdown;
use crate::writer::Writer;
use granary_archive::{Archive, sweep_leftovers};
use granary_domain::{BatchId, Cause, Failure};
use granary_environment::{Deadline, LeaseSection, RetrySection, aws, identity_of};
use granary_handoff::{Handoff, QueueUrls};
use granary_ledger::export::{Claim, ClaimedBatch, Fenced, NotClaimed, OwnedMessage, Settlement};
use granary_ledger::{Ledger, LedgerError, LedgerSettings};
use granary_source::Source;
use granary_telemetry::{Metric, record};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// Between two tries to write down how an attempt ended. Each try is several requests over some seconds.
const BEFORE_ENDING_AGAIN: Duration = Duration::from_secs(2);
/// One for the work, one for the heartbeat.
const CONNECTIONS_MAX: usize = 2;

/// What the exporter works with. Made once at cold start.
pub(crate) struct Exporter {
    pub(crate) ledger: Ledger,
    ownership: Ownership,
    pub(crate) handoff: Handoff,
    fetcher: Fetcher,
    pub(crate) writer: Writer,
    lease: LeaseSection,
    deferral_delay: Arc<DeferralDelay>,
    retry: RetrySection,
    shutdown: Shutdown,
}

/// An attempt that is over, as far as its worker knows.
struct Attempt {
    started: Instant,
    deadline: Deadline,
    ended: Result<Settlement, Failure>,
    /// Messages that were fetched.
    fetched: usize,
}

/// Milliseconds by phase, for the attempt's row and the log.
#[derive(Debug, Default, serde::Serialize)]
struct Timings {
    ledger: u64,
    fetch: u64,
    archive: u64,
}

impl Timings {
    /// A phase that an adopted object made unnecessary took no time, and isn't measured.
    fn measure(&self) {
        record(Metric::LedgerDuration, self.ledger);
        if self.fetch > 0 || self.archive > 0 {
            record(Metric::FetchDuration, self.fetch);
            record(Metric::UploadDuration, self.archive);
        }
    }
}

impl Exporter {
    /// Reads the settings. The ledger, Elasticsearch and S3 are met with the first batch: a process that can't start while
    /// the ledger is away would leave its message hidden for the whole visibility timeout.
    pub(crate) async fn start(shutdown: Shutdown) -> anyhow::Result<Self> {
        let aws = aws::sdk_config().await;
        let config = Config::read(&aws).await?;
        let identity = identity_of(&config.archive, &config.source, &config.queues, &aws);
        let settings = LedgerSettings {
            url: config.ledger.url,
            connections_max: CONNECTIONS_MAX,
        };
        let urls = QueueUrls {
            normal: config.queues.queue_url,
            priority: config.queues.priority_queue_url,
        };
        let temp_dir = std::env::temp_dir();
        let leftovers = sweep_leftovers(&temp_dir)?;
        if leftovers > 0 {
            tracing::info!(leftovers, "spools of an earlier process were removed");
        }
        let ledger = Ledger::new(&settings)?;
        let archive = Archive::new(&aws, config.archive.bucket, config.archive.layout);
        let deferral_delay = Arc::new(DeferralDelay::default());
        Ok(Self {
            ownership: Ownership::new(identity),
            handoff: Handoff::new(&aws, urls),
            fetcher: Fetcher {
                source: Source::new(config.source.into())?,
                metadata: config.metadata.sources,
                archive: archive.clone(),
                size: RequestSize::default(),
                deferral_delay: Arc::clone(&deferral_delay),
            },
            writer: Writer {
                archive,
                ledger: ledger.clone(),
                source_name: config.archive.source_name,
                form: (config.archive.format, config.archive.compression),
                temp_dir,
                lease: config.lease,
            },
            ledger,
            lease: config.lease,
            deferral_delay,
            retry: config.retry,
            shutdown,
        })
    }

    /// Exports a batch if it is to be had. An error means that the ledger doesn't know how it ended: only then is the
    /// message not to be acknowledged.
    pub(crate) async fn export(
        &self,
        id: BatchId,
        worker: &str,
        deadline: Deadline,
    ) -> Result<(), LedgerError> {
        self.shutdown
            .in_hand(self.export_batch(id, worker, deadline))
            .await
    }

    async fn export_batch(&self, id: BatchId, worker: &str, deadline: Deadline) -> Result<(), LedgerError> {
        let started = Instant::now();
        if self.ownership.is_foreign(&self.ledger).await? {
            return self.ledger.mark_unsent(id).await;
        }
        let mut batch = match self.ledger.claim(id, worker, self.lease.lease).await? {
            Claim::Won(batch) => *batch,
            Claim::Lost(reason) => return self.leave(id, reason).await,
        };
        let mut heartbeat = Heartbeat::start(self.ledger.clone(), &batch, self.lease);
        let progress = Progress::default();
        let ended = tokio::select! {
            ended = self.work(&mut batch, &progress) => ended,
            failure = heartbeat.lost() => Err(failure),
            () = tokio::time::sleep_until(deadline.stop().into()) => Err(handed_back(Cause::Deadline)),
            () = self.shutdown.ordered() => Err(handed_back(Cause::Shutdown)),
        };
        let attempt = Attempt {
            started,
            deadline,
            ended,
            fetched: progress.fetched(),
        };
        self.end_while_held(&batch, &attempt, heartbeat).await
    }

    /// The work on a claimed batch, up to the settlement. It may be dropped at any point.
    async fn work(&self, batch: &mut ClaimedBatch, progress: &Progress) -> Result<Settlement, Failure> {
        let mut timings = Timings::default();
        let clock = Instant::now();
        let messages = self.ledger.messages_of(batch.id).await.map_err(ledger_failure)?;
        if messages.len() != batch.message_count as usize {
            let text = format!(
                "the batch has {} messages on record, {} are there",
                batch.message_count,
                messages.len()
            );
            return Err(Failure {
                cause: Cause::Miscount,
                text,
            });
        }
        timings.ledger = millis(clock);
        let earlier = match batch.fence.0 {
            1 => None,
            _ => self.writer.find_earlier(batch, &messages).await?,
        };
        let stored = match earlier {
            Some(stored) => stored,
            None => {
                let clock = Instant::now();
                let fetched = self.fetch_or_copy(batch, &messages, progress).await?;
                self.confirm_absence(batch, &fetched.exceptions).await?;
                timings.fetch = millis(clock);
                let clock = Instant::now();
                let stored = self.writer.store_object(batch, &messages, fetched).await?;
                timings.archive = millis(clock);
                stored
            }
        };
        self.writer.write_manifest(batch, &stored).await?;
        timings.measure();
        let timings =
            serde_json::to_string(&timings).map_err(|error| Failure::new(Cause::Unexpected, &error))?;
        Ok(stored.settlement(timings))
    }

    /// Fetches all messages of a batch, a few requests at a time or, where it failed before, message by message.
    pub(crate) async fn fetch(
        &self,
        batch: &ClaimedBatch,
        messages: &[OwnedMessage],
        progress: &Progress,
    ) -> Result<Fetched, Failure> {
        let earlier = careful::record_of(&self.ledger, batch).await?;
        let draft = self.writer.draft()?;
        let mut fetch = BatchFetch::begin(&self.fetcher, batch, messages, draft, progress);
        if careful::is_called_for(batch, &earlier) {
            fetch.fetch_carefully(&self.ledger, &earlier).await?;
        } else {
            fetch.fetch(0..messages.len()).await?;
        }
        fetch.draft.seal()
    }

    /// Writes down how an attempt ended, and keeps the lease meanwhile. Where the ledger is away it is asked again until
    /// the lease is lost, time is over or the process is to end, and then a last time: a request is fenced and
    /// finds itself done, so it can do no harm, while an attempt without an end would count.
    async fn end_while_held(
        &self,
        batch: &ClaimedBatch,
        attempt: &Attempt,
        mut heartbeat: Heartbeat,
    ) -> Result<(), LedgerError> {
        let mut is_last = false;
        loop {
            let error = match self.end(batch, attempt).await {
                Ok(()) => return Ok(()),
                Err(error) => error,
            };
            if is_last || !error.is_platforms() || attempt.deadline.is_near() {
                return Err(error);
            }
            tracing::warn!(
                batch = batch.id.0,
                "the attempt's end is not on record yet, and is tried again: {error}"
            );
            tokio::select! {
                _ = heartbeat.lost() => is_last = true,
                () = self.shutdown.ordered() => is_last = true,
                () = tokio::time::sleep(BEFORE_ENDING_AGAIN) => {}
            }
        }
    }

    /// Writes down how an attempt ended, once. It doesn't fail over a lost lease: so nobody waits a second time for a
    /// heartbeat that has ended.
    async fn end(&self, batch: &ClaimedBatch, attempt: &Attempt) -> Result<(), LedgerError> {
        let fenced = match &attempt.ended {
            Ok(settlement) => self.ledger.settle(batch, settlement).await?,
            Err(failure) if failure.cause == Cause::LeaseLost => self.let_go(batch, failure).await,
            Err(failure) if failure.cause == Cause::Shutdown => self.ledger.hand_back(batch, failure).await?,
            Err(failure) if !failure.cause.uses_up_an_attempt() => {
                let delay = self
                    .deferral_delay
                    .of(failure.cause, batch.deferrals, rand::random());
                // Where nothing was fetched in all that time, it isn't the size: a service doesn't answer.
                let is_slow = failure.cause == Cause::Deadline && attempt.fetched > 0;
                if is_slow || failure.cause == Cause::Spool {
                    let object = self.writer.object_key(batch);
                    self.ledger
                        .defer_too_large(batch, failure, delay, &object)
                        .await?
                } else if failure.cause == Cause::Deadline {
                    self.ledger.defer_unfinished(batch, failure, delay).await?
                } else {
                    self.ledger.defer(batch, failure, delay).await?
                }
            }
            Err(failure) => {
                // Only here, where they matter: what an operator tuned is asked for once in an invocation that failed.
                let retry = self.retry.tuned(&self.ledger.tuning().await?);
                let delay = retry.backoff.delay(batch.attempts, rand::random());
                self.ledger
                    .fail(batch, failure, delay, retry.attempts_max)
                    .await?
            }
        };
        log_end(batch, &attempt.ended, fenced, attempt.started);
        measure_end(batch, attempt, fenced);
        Ok(())
    }

    /// Leaves a batch whose lease was lost, or could not be renewed in time. In the second case it may still be this
    /// worker's, and the attempt isn't to count: the fence decides. Where the ledger says nothing for the rest of the
    /// lease, the reaper takes the batch.
    async fn let_go(&self, batch: &ClaimedBatch, failure: &Failure) -> Fenced {
        let unavailable = Failure {
            cause: Cause::LedgerUnavailable,
            text: failure.text.clone(),
        };
        let delay = self
            .deferral_delay
            .of(unavailable.cause, batch.deferrals, rand::random());
        let leaving = async {
            match self.ledger.defer(batch, &unavailable, delay).await {
                Ok(Fenced::Done) => return Fenced::Done,
                Ok(Fenced::Refused) => {}
                Err(error) => tracing::warn!(batch = batch.id.0, "the batch was not given back: {error}"),
            }
            careful::withdraw_suspicion(&self.ledger, batch).await;
            Fenced::Refused
        };
        let rest = self.lease.lease.saturating_sub(self.lease.silence_max());
        tokio::time::timeout(rest, leaving)
            .await
            .unwrap_or(Fenced::Refused)
    }

    /// Acknowledges a batch that was not claimed. One that is pending but not due will have to be sent again.
    async fn leave(&self, id: BatchId, reason: NotClaimed) -> Result<(), LedgerError> {
        if reason == NotClaimed::NotDue {
            self.ledger.mark_unsent(id).await?;
        }
        tracing::info!(batch = id.0, ?reason, "batch not claimed");
        Ok(())
    }
}

fn log_end(batch: &ClaimedBatch, ended: &Result<Settlement, Failure>, fenced: Fenced, started: Instant) {
    let (id, migration, attempt, millis) = (batch.id.0, batch.migration_id, batch.attempts, millis(started));
    match ended {
        Ok(settlement) if fenced == Fenced::Done => tracing::info!(
            batch = id,
            %migration,
            attempt,
            exported = settlement.exported,
            missing = settlement.missing,
            quarantined = settlement.quarantined,
            bytes_raw = settlement.bytes_raw,
            bytes_stored = settlement.bytes_stored,
            millis,
            timings = settlement.timings,
            "exported"
        ),
        Ok(_) => tracing::warn!(batch = id, %migration, attempt, millis, "settled by another worker"),
        Err(failure) => {
            let cause = failure.cause.as_str();
            tracing::warn!(batch = id, %migration, attempt, millis, cause, reason = failure.text, "not exported");
        }
    }
}

/// An end that was refused is another worker's, and is counted there.
fn measure_end(batch: &ClaimedBatch, attempt: &Attempt, fenced: Fenced) {
    record(Metric::BatchDuration, millis(attempt.started));
    if fenced == Fenced::Refused {
        return;
    }
    match &attempt.ended {
        Ok(settlement) => {
            record(Metric::BatchesExported, 1);
            record(Metric::MessagesExported, u64::from(settlement.exported));
            let excepted = u64::from(settlement.missing) + u64::from(settlement.quarantined);
            record(Metric::MessagesExcepted, excepted);
            record(Metric::BytesStored, settlement.bytes_stored);
            record(Metric::Attempts, u64::from(batch.attempts));
        }
        Err(failure) if failure.cause == Cause::LeaseLost || !failure.cause.uses_up_an_attempt() => {
            record(Metric::BatchesDeferred, 1);
        }
        Err(_) => record(Metric::BatchesFailed, 1),
    }
}

fn millis(since: Instant) -> u64 {
    u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX)
}
