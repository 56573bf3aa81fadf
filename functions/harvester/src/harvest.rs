//! One tick of the harvester: open the windows that are due, read them, hand their batches off.
//!
//! It decides which ranges are read and in which order; how one window is read is `window.rs`. It never reads a
//! message and never waits for an export.
//!
//! A tick may die anywhere: each page is one transaction that moves the window's bookmark with it, and a batch that
//! was recorded but not sent is sent by the next tick. Two ticks at once are harmless: one wins a window, the
//! other takes another one or leaves.

use crate::config::Config;
use crate::identity;
use crate::page_size::PageSize;
use crate::rescan::{Rescan, Rescans};
use crate::survey::Told;
use crate::window::WindowEnd;
use granary_archive::Archive;
use granary_domain::{Failure, Identity, MigrationId, MigrationKind, Priority, Tally, TimeRange};
use granary_environment::{
    Deadline, HarvestSection, LeaseSection, RescanSection, aws, identity_of, source_settings_of,
};
use granary_handoff::{Handoff, QueueUrls, Sending};
use granary_ledger::harvest::{Lateness, LeasedWindow, Migration, NewMigration, OutsideCounts};
use granary_ledger::{Ledger, LedgerSettings};
use granary_numbering::Numbering;
use granary_source::{Source, SourceError};
use granary_telemetry::{Metric, record, record_tick};
use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use std::time::Instant;

const CONNECTIONS_MAX: usize = 2;

/// What the harvester works with. Made once at cold start.
pub(crate) struct Harvester {
    pub(crate) ledger: Ledger,
    pub(crate) identity: Identity,
    pub(crate) numbering: Numbering,
    pub(crate) source: Source,
    pub(crate) told: Told,
    pub(crate) handoff: Handoff,
    pub(crate) lease: LeaseSection,
    pub(crate) page_size: PageSize,
    pub(crate) settings: HarvestSection,
    pub(crate) rescan: RescanSection,
}

/// What a tick came to.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Tick {
    /// Windows whose every hit is accounted for.
    pub(crate) windows_recorded: u32,
    /// Windows that are left for the next tick.
    pub(crate) windows_unfinished: u32,
    /// What became of the hits.
    pub(crate) tally: Tally,
    /// Batches that were sent.
    pub(crate) batches_sent: u64,
    /// How that went so far.
    #[serde(skip)]
    pub(crate) sending: Sending,
    /// Windows that were recorded before and were looked at again.
    pub(crate) windows_rescanned: u32,
    /// Messages that were found then, and that no reading before has seen.
    pub(crate) late: u64,
    /// What re-scans of the last seven days have found, where this tick was one of them.
    pub(crate) lateness: Option<Lateness>,
    /// The lag that would have been enough for it.
    pub(crate) recommended_lag_seconds: Option<u64>,
    /// Documents that are in no window, where they were counted.
    pub(crate) outside: Option<OutsideCounts>,
}

/// What is to be read next.
enum Next {
    New(LeasedWindow),
    Again(Rescan),
    /// A window was opened: there may be one to claim now.
    Opened,
    Nothing,
}

impl Tick {
    fn measure(&self, worked: &anyhow::Result<()>, started: Instant) {
        record_tick(worked.is_ok(), started);
        record(Metric::MessagesHarvested, self.tally.recorded);
        record(Metric::WindowsRecorded, u64::from(self.windows_recorded));
        record(Metric::MessagesLate, self.late);
        if let Some(lateness) = self.lateness {
            record(Metric::Lateness, lateness.at_most_seconds);
        }
    }
}

impl Harvester {
    /// Connects, and refuses to start where the ledger is another deployment's, or the source isn't fit to be harvested: all
    /// problems at once.
    pub(crate) async fn start() -> anyhow::Result<Self> {
        let aws = aws::sdk_config().await;
        let config = Config::read(&aws).await?;
        let identity = identity_of(&config.archive, &config.source, &config.queues, &aws);
        let of_source = source_settings_of(&config.source, &config.metadata);
        let source = Source::new(config.source.into())?;
        let settings = LedgerSettings {
            url: config.ledger.url,
            connections_max: CONNECTIONS_MAX,
        };
        let ledger = Ledger::connect(&settings).await?;
        identity::compare(&ledger, &identity).await?;
        let told = Told::first(&source, &ledger, config.metadata.sources).await?;
        identity::record(&ledger, &identity, &of_source).await?;
        let urls = QueueUrls {
            normal: config.queues.queue_url,
            priority: config.queues.priority_queue_url,
        };
        let archive = Archive::new(&aws, config.archive.bucket, config.archive.layout);
        let harvester = Self {
            numbering: Numbering::new(ledger.clone(), archive),
            ledger,
            identity,
            source,
            told,
            handoff: Handoff::new(&aws, urls),
            lease: config.lease,
            page_size: PageSize::default(),
            settings: config.harvest,
            rescan: config.rescan,
        };
        harvester.make_continuous_migration().await?;
        Ok(harvester)
    }

    /// Works until nothing is due or the deadline is near. What was done is measured, however it ends.
    pub(crate) async fn tick(&self, request_id: &str, deadline: Deadline) -> anyhow::Result<Tick> {
        let started = Instant::now();
        let mut tick = Tick::default();
        let worked = self.work(request_id, deadline, started, &mut tick).await;
        tick.measure(&worked, started);
        worked.map(|()| tick)
    }

    async fn work(
        &self,
        request_id: &str,
        deadline: Deadline,
        started: Instant,
        tick: &mut Tick,
    ) -> anyhow::Result<()> {
        self.compare_identity().await?;
        self.source.look_anew().await;
        self.send_unsent(deadline, &mut tick.sending).await?;
        let worked = self.harvest_windows(request_id, deadline, tick).await;
        self.send_unsent(deadline, &mut tick.sending).await?;
        tick.batches_sent = tick.sending.sent;
        let watched = self.watch_source(deadline, tick).await;
        let drained = self.ledger.drain_harvested_migrations().await?;
        tracing::info!(
            windows_recorded = tick.windows_recorded,
            windows_unfinished = tick.windows_unfinished,
            found = tick.tally.found,
            recorded = tick.tally.recorded,
            adopted = tick.tally.adopted,
            owned_elsewhere = tick.tally.owned_elsewhere,
            duplicate = tick.tally.duplicate,
            without_id = tick.tally.without_id,
            batches_sent = tick.batches_sent,
            windows_rescanned = tick.windows_rescanned,
            late = tick.late,
            late_secs_at_most = tick.lateness.map(|lateness| lateness.at_most_seconds),
            recommended_lag_secs = tick.recommended_lag_seconds,
            without_time = tick.outside.map(|outside| outside.without_time),
            before_first_window = tick.outside.map(|outside| outside.before_first_window),
            in_future = tick.outside.map(|outside| outside.in_future),
            migrations_drained = drained,
            millis = started.elapsed().as_millis() as u64,
            "harvested"
        );
        worked.and(watched)
    }

    /// One window or migration that can't be harvested doesn't keep the others from it: the first error is the tick's in
    /// the end. Elasticsearch being down is no error, and no other window is worth trying then.
    async fn harvest_windows(
        &self,
        request_id: &str,
        deadline: Deadline,
        tick: &mut Tick,
    ) -> anyhow::Result<()> {
        let mut first_error = None;
        let mut rescans = Rescans::until(deadline);
        let of_new = rescans.deadline_of_new();
        for number in 0u32.. {
            if deadline.is_near() {
                break;
            }
            let holder = format!("{request_id}.{number}");
            let (id, range, end) = match self.next(&holder, of_new, &mut rescans, &mut first_error).await? {
                Next::New(window) => {
                    let (id, range) = (window.id, window.range);
                    (id, range, self.harvest_window(window, of_new, tick).await)
                }
                Next::Again(rescan) => (rescan.id(), rescan.range(), self.read_again(rescan, tick).await),
                Next::Opened => continue,
                Next::Nothing => break,
            };
            match end {
                Ok(WindowEnd::Recorded) => {}
                Ok(WindowEnd::Unfinished) => tick.windows_unfinished += 1,
                Ok(WindowEnd::Lost) => {}
                Ok(WindowEnd::SourceUnavailable) => {
                    tick.windows_unfinished += 1;
                    break;
                }
                Err(error) => {
                    let error = error.context(format!("window {id} {range}"));
                    tracing::error!("{error:#}");
                    first_error.get_or_insert(error);
                }
            }
        }
        first_error.map_or(Ok(()), Err)
    }

    /// What is new comes first, but for the end of a tick, which is for what was recorded before.
    async fn next(
        &self,
        holder: &str,
        of_new: Deadline,
        rescans: &mut Rescans,
        first_error: &mut Option<anyhow::Error>,
    ) -> anyhow::Result<Next> {
        if !of_new.is_near() {
            if let Some(window) = self.ledger.claim_window(holder, self.lease.lease).await? {
                return Ok(Next::New(window));
            }
            if self.open_due_window(first_error).await? {
                return Ok(Next::Opened);
            }
        }
        let rescan = self.next_rescan(holder, rescans).await?;
        Ok(rescan.map_or(Next::Nothing, Next::Again))
    }

    /// Opens the next window of the most urgent migration that has one due. Says whether there may be one to read now.
    async fn open_due_window(&self, first_error: &mut Option<anyhow::Error>) -> anyhow::Result<bool> {
        let migrations = self.ledger.migrations_to_harvest().await?;
        if migrations.is_empty() {
            return Ok(false);
        }
        let settled = self.ledger.settled_up_to(self.settings.lag).await?;
        for migration in &migrations {
            let Some(due) = self.due_range(migration, settled) else {
                continue;
            };
            let first = match self.unfitness().await? {
                Some(error) => Err(error),
                None => self.source.first_event(due, migration.filter.as_ref()).await,
            };
            match first {
                Ok(first) => {
                    self.ledger
                        .open_window(migration.id, next_window(due, first, self.settings))
                        .await?;
                    return Ok(true);
                }
                Err(error) if error.is_platforms() => {
                    tracing::warn!("no window was opened: {error}");
                    self.defer_harvest(migration, &error).await?;
                    return Ok(false);
                }
                Err(error) => {
                    tracing::error!(migration = %migration.id, "no window was opened: {error}");
                    self.defer_harvest(migration, &error).await?;
                    first_error.get_or_insert_with(|| {
                        anyhow::Error::new(error).context(format!("migration {}", migration.id))
                    });
                }
            }
        }
        Ok(false)
    }

    /// Puts on record that a migration's next window can't be opened: else nobody would learn of an outage at a time
    /// when everything so far is read and exported.
    async fn defer_harvest(&self, migration: &Migration, error: &SourceError) -> anyhow::Result<()> {
        let failure = Failure::new(error.cause(), error);
        Ok(self
            .ledger
            .defer_harvest(migration.id, migration.harvested_to, &failure)
            .await?)
    }

    /// What of a migration's range is not in a window and may be: up to where it ends, or, as long as it has not come to
    /// its end, whole intervals up to what counts as settled. That moves with the clock: following it closely would open
    /// a window of milliseconds after the other.
    fn due_range(&self, migration: &Migration, settled: Timestamp) -> Option<TimeRange> {
        let end = match migration.to {
            Some(to) if to <= settled => to,
            Some(_) | None => floor(settled, self.settings),
        };
        TimeRange::new(migration.harvested_to, end).ok()
    }

    /// The migration that the schedule itself asks for. It begins with the deployment's first hour; what is older is
    /// for a backfill.
    async fn make_continuous_migration(&self) -> anyhow::Result<()> {
        let continuous = NewMigration {
            id: MigrationId::new(),
            kind: MigrationKind::Continuous,
            priority: Priority::NORMAL,
            batch_size: self.settings.batch_size,
            filter: None,
            from: floor(self.ledger.now().await?, self.settings),
            to: None,
            requested_by: "schedule".to_owned(),
        };
        Ok(self.ledger.make_migration(&continuous).await?)
    }

    /// Sends what is recorded but not sent. SQS being down costs one try: the next tick sends.
    pub(crate) async fn send_unsent(&self, deadline: Deadline, sending: &mut Sending) -> anyhow::Result<()> {
        if !sending.is_hopeless() {
            *sending += granary_handoff::send_unsent(&self.ledger, &self.handoff, deadline.stop()).await?;
        }
        Ok(())
    }
}

/// The window at the beginning of `due`: up to the end of the interval that holds its first event. So a stretch
/// without events is one window, and none is left out.
fn next_window(due: TimeRange, first_event: Option<Timestamp>, settings: HarvestSection) -> TimeRange {
    let Some(first_event) = first_event else {
        return due;
    };
    let end = floor(first_event, settings) + SignedDuration::from_secs(settings.interval.as_secs() as i64);
    TimeRange::new(due.from(), end.min(due.to())).unwrap_or(due)
}

/// The start of the interval that an instant lies in.
fn floor(instant: Timestamp, settings: HarvestSection) -> Timestamp {
    let interval = settings.interval.as_secs() as i64;
    let seconds = instant.as_nanosecond().div_euclid(1_000_000_000) as i64;
    Timestamp::from_second(seconds - seconds.rem_euclid(interval)).unwrap_or(instant)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    const HOURLY: HarvestSection = HarvestSection {
        interval: Duration::from_secs(3_600),
        lag: Duration::ZERO,
        batch_size: 1_000,
    };

    fn range(from: &str, to: &str) -> TimeRange {
        TimeRange::new(from.parse().unwrap(), to.parse().unwrap()).unwrap()
    }

    #[test]
    fn a_stretch_without_events_is_one_window_together_with_the_first_hour_that_has_some() {
        let due = range("2026-01-01T00:00:00Z", "2026-01-03T12:30:00Z");
        let first = "2026-01-02T07:15:00Z".parse().unwrap();
        assert_eq!(
            next_window(due, Some(first), HOURLY),
            range("2026-01-01T00:00:00Z", "2026-01-02T08:00:00Z")
        );
        assert_eq!(next_window(due, None, HOURLY), due);
    }

    #[test]
    fn the_last_window_ends_where_the_range_does() {
        let due = range("2026-01-01T00:00:00Z", "2026-01-01T00:10:00Z");
        assert_eq!(next_window(due, Some(due.from()), HOURLY), due);
    }
}
