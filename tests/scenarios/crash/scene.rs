//! What leads to a step: a small world in which the function that is to be interrupted comes to it next.

use super::network::Network;
use super::{desk, exporting, harvesting, migrating, operating, reaping};
use crate::stage::{Addresses, Document, REAPER_TIMEOUT, Stage};
use serde_json::{Value, json};
use std::time::Duration;

pub(super) const FROM: &str = "2026-03-01T10:00:00Z";
pub(super) const TO: &str = "2026-03-01T20:00:00Z";
/// Nobody listens there.
pub(super) const NOWHERE: &str = "http://127.0.0.1:9";

/// What leads to a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    /// Nobody has made the tables yet.
    NewDatabase,
    /// The schema is not migrated, and an operator asks for it.
    MigrationOfSchemaAskedFor,
    /// Two hours are due.
    Due,
    /// A harvester died at the end of a window, and the point in time that its bookmark names is closed.
    LostView,
    /// A window is open whose messages Elasticsearch refuses to look for.
    RefusedWindow,
    /// No window can be opened, since Elasticsearch refuses to look for the first message.
    RefusedMigration,
    /// Elasticsearch takes longer to answer than a harvester's lease is renewed.
    SlowSource,
    /// A message became visible after its hour was archived, and a night has passed.
    LateMessage,
    /// A batch is recorded, and nobody sent it.
    Unsent,
    /// A batch was sent long ago, and its message is gone.
    LostMessage,
    /// A worker received a batch's message and died before its claim, two minutes ago.
    HiddenMessage,
    /// A batch waits in the queue.
    HandedOff,
    /// It isn't due yet.
    TooEarly,
    /// Somebody else writes to the queue.
    UnreadableMessage,
    /// One of its messages is gone at the source.
    GoneMessage,
    /// One of its messages is no JSON.
    Poison,
    /// It has failed twice: its messages are fetched one by one.
    CarefulBatch,
    /// Its object is written in parts.
    LargeBatch,
    /// S3 refuses one of the parts.
    RefusedPart,
    /// Somebody else's object stands at its key.
    ForeignObject,
    /// The exporter may not read its messages in the ledger: the attempt fails.
    RefusedObject,
    /// Elasticsearch is down.
    SourceDown,
    /// Elasticsearch doesn't answer before the function's time is over.
    NoTimeLeft,
    /// S3 doesn't take its object before the function's time is over, and didn't once before.
    TooLarge,
    /// A worker died with a batch in its hands.
    DeadWorker,
    /// A batch failed, and has attempts left.
    FailedBatch,
    /// A batch failed, and has none left.
    ParkedBatch,
    /// One of two migrations over the same messages is cancelled.
    CancelledMigration,
    /// Everything is exported, and nobody said so yet.
    Archived,
    /// More batches than one inspection looks at.
    ManyBatches,
    /// The deployment is a day old.
    ADayOld,
    /// It is, and an object that no row names lies in the bucket.
    Orphan,
    /// A batch was exported again, and its old object still lies there.
    ReplacedObject,
    /// Too many attempts failed.
    Storm,
    /// They no longer do.
    StormIsOver,
    /// Somebody wants a verdict.
    VerificationAskedFor,
    /// Somebody wants a verdict on everything.
    VerificationOfEverything,
    /// Somebody wants repaired that a message was left out.
    LeftOutMessage,
    /// Somebody wants repaired that an object is gone.
    LostObject,
    /// Somebody wants repaired that a message was gone when its batch was exported, and is at the source again.
    ExceptionIsBack,
    /// Somebody retries such a message.
    RecallAskedFor,
    /// Elasticsearch is down while there is something to verify.
    VerificationWithoutSource,
    /// Elasticsearch doesn't answer the verification.
    VerificationWithoutAnswer,
    /// The verification takes longer than the function's time.
    VerificationWithoutTime,
    /// Somebody wants what this version can't do.
    UnknownOperation,
    /// Test messages that were exported are to be cleared away.
    SeededAndExported,
    /// Test messages that nobody owns any more are to be cleared away.
    SeededAndReleased,
    /// Somebody wants verified hours taken out of the ledger.
    PurgeAskedFor,
    /// Somebody wants a purged hour exported again.
    ReExportAskedFor,
    /// Somebody cancels one of two migrations over the same messages.
    CancellationAskedFor,
    /// Somebody cancels a long job that waits.
    JobCancellationAskedFor,
    /// Somebody asks the operator for a verdict.
    VerificationOrdered,
    /// Somebody pauses the export while batches wait.
    PauseAskedFor,
    /// Somebody resumes it.
    ResumeAskedFor,
    /// Somebody has a parked batch tried again.
    RetryAskedFor,
    /// Somebody switches the harvester's schedule off.
    SchedulerStopAskedFor,
    /// Somebody restarts the consumers.
    RestartAskedFor,
    /// Somebody empties the queue in which a batch waits.
    EmptyingAskedFor,
    /// Somebody did, and died before what was in it was put back.
    QueueEmptied,
    /// Somebody moves back what came to the dead-letter queue.
    RedriveAskedFor,
    /// Somebody sends a probe.
    ProbeAskedFor,
    /// A probe waits in the queue.
    ProbeHandedOff,
    /// A probe was sent two days ago.
    OldProbe,
    /// Somebody has attempts counted anew.
    CounterResetAskedFor,
    /// Somebody changes a live setting while batches wait.
    TuningAskedFor,
    /// An operator accepts documents without a usable id.
    AcceptanceAskedFor,
    /// Somebody wants a history of jobs to look at.
    HistoryAskedFor,
    /// Somebody closes what is stuck, while a harvester died with a window in its hands.
    FixAskedFor,
    /// Somebody wants everything exported anew.
    ResetAskedFor,
    /// Somebody names a message that became visible late.
    BulkAskedFor,
    /// Somebody gives a batch to messages that nobody owns.
    AdoptionAskedFor,
    /// Somebody confirms that the ledger was restored.
    LedgerRestored,
    /// A batch waits in the queue, and the function has another source name than the ledger.
    ForeignLedger,
    /// The ledger has another bucket, and an operator adopts the one that is deployed.
    SettingAdopted,
    /// Somebody adopts an object whose messages no other object holds.
    ObjectAdopted,
    /// The database was dropped and created again, and an operator has the ledger rebuilt.
    RebuildAskedFor,
    /// Somebody has everything done that is due, while a worker died with a batch in its hands.
    EverythingAskedFor,
    /// Somebody has sent what is pending.
    PendingAskedFor,
}

/// A prepared scene.
pub(super) struct Prepared {
    /// What has to be in the archive in the end.
    pub(super) messages: Vec<Document>,
    /// What the interrupted function is told besides.
    pub(super) told: Vec<(&'static str, String)>,
    pub(super) network: Network,
    /// The event of its invocation, unless it comes from the queue.
    pub(super) request: Value,
}

impl Prepared {
    pub(super) fn of(messages: Vec<Document>) -> Self {
        Self {
            messages,
            told: Vec::new(),
            network: Network::Plain,
            request: json!({}),
        }
    }

    pub(super) fn told(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.told.push((name, value.into()));
        self
    }

    /// The interrupted function reaches one of its services through this network.
    pub(super) fn behind(mut self, network: Network, variable: &'static str) -> Self {
        self.told.push((variable, network.url()));
        self.network = network;
        self
    }

    pub(super) fn asked(mut self, request: Value) -> Self {
        self.request = request;
        self
    }
}

impl Scene {
    /// What all functions of the stage are told.
    pub(super) fn settings(self) -> Vec<(&'static str, String)> {
        if matches!(self, Self::LargeBatch | Self::RefusedPart) {
            return vec![("GRANARY_COMPRESSION", "none".into())];
        }
        if matches!(
            self,
            Self::SeededAndExported | Self::SeededAndReleased | Self::HistoryAskedFor
        ) {
            let elasticsearch = Addresses::from_environment().elasticsearch.to_string();
            return vec![
                ("GRANARY_ALLOW_SEEDING", "true".into()),
                ("GRANARY_SEED_ES_URL", elasticsearch),
            ];
        }
        if self == Self::Orphan {
            return vec![("GRANARY_SWEEP_AGE_SECONDS", "0".into())];
        }
        vec![("GRANARY_BATCH_SIZE", "10".into())]
    }

    /// How long the interrupted invocation may take.
    pub(super) fn time(self) -> Duration {
        if self == Self::NoTimeLeft {
            return Duration::from_secs(2);
        }
        if self == Self::TooLarge {
            return Duration::from_secs(4);
        }
        if self == Self::VerificationWithoutTime {
            return Duration::from_secs(9);
        }
        REAPER_TIMEOUT
    }

    #[allow(
        clippy::too_many_lines,
        reason = "a table: nothing but one arm for each scene"
    )]
    pub(super) async fn prepare(self, stage: &Stage) -> Prepared {
        match self {
            Self::NewDatabase => harvesting::new_database(stage).await,
            Self::MigrationOfSchemaAskedFor => desk::migration_of_schema_asked_for(stage).await,
            Self::Due => harvesting::due(stage).await,
            Self::LostView => harvesting::lost_view(stage).await,
            Self::RefusedWindow => harvesting::refused_window(stage).await,
            Self::RefusedMigration => harvesting::refused_migration(stage).await,
            Self::SlowSource => harvesting::slow_source(stage).await,
            Self::LateMessage => harvesting::late_message(stage).await,
            Self::HandedOff => exporting::handed_off(stage).await,
            Self::TooEarly => exporting::too_early(stage).await,
            Self::UnreadableMessage => exporting::unreadable_message(stage).await,
            Self::GoneMessage => exporting::gone_message(stage).await,
            Self::Poison => exporting::poison(stage).await,
            Self::CarefulBatch => exporting::careful_batch(stage).await,
            Self::LargeBatch => exporting::large_batch(stage).await,
            Self::RefusedPart => exporting::refused_part(stage).await,
            Self::ForeignObject => exporting::foreign_object(stage).await,
            Self::RefusedObject => {
                let blind = stage.blind_ledger().await;
                exporting::handed_off(stage)
                    .await
                    .told("GRANARY_LEDGER_URL", blind)
            }
            Self::SourceDown => exporting::handed_off(stage).await.told("GRANARY_ES_URL", NOWHERE),
            Self::NoTimeLeft => exporting::no_time_left(stage).await,
            Self::TooLarge => exporting::too_large(stage).await,
            Self::Unsent => reaping::unsent(stage).await,
            Self::LostMessage => reaping::lost_message(stage).await,
            Self::HiddenMessage => reaping::hidden_message(stage).await,
            Self::DeadWorker => reaping::dead_worker(stage).await,
            Self::FailedBatch => reaping::failed_batch(stage).await,
            Self::ParkedBatch => reaping::parked_batch(stage).await,
            Self::CancelledMigration => reaping::cancelled_migration(stage).await,
            Self::Archived => reaping::archived(stage).await,
            Self::ManyBatches => reaping::many_batches(stage).await,
            Self::ADayOld => reaping::a_day_old(stage).await,
            Self::Orphan => reaping::orphan(stage).await,
            Self::ReplacedObject => reaping::replaced_object(stage).await,
            Self::Storm => reaping::storm(stage).await,
            Self::StormIsOver => reaping::storm_is_over(stage).await,
            Self::VerificationAskedFor => operating::verification_asked_for(stage).await,
            Self::VerificationOfEverything => operating::verification_of_everything(stage).await,
            Self::LeftOutMessage => operating::left_out_message(stage).await,
            Self::LostObject => operating::lost_object(stage).await,
            Self::ExceptionIsBack => operating::exception_is_back(stage).await,
            Self::RecallAskedFor => operating::recall_asked_for(stage).await,
            Self::VerificationWithoutSource => {
                let prepared = operating::verification_asked_for(stage).await;
                prepared.told("GRANARY_ES_URL", NOWHERE)
            }
            Self::VerificationWithoutAnswer => operating::verification_without_answer(stage).await,
            Self::VerificationWithoutTime => operating::verification_without_time(stage).await,
            Self::UnknownOperation => operating::unknown_operation(stage).await,
            Self::SeededAndExported => operating::seeded_and_exported(stage).await,
            Self::SeededAndReleased => operating::seeded_and_released(stage).await,
            Self::PurgeAskedFor => operating::purge_asked_for(stage).await,
            Self::ReExportAskedFor => operating::re_export_asked_for(stage).await,
            Self::CancellationAskedFor => operating::cancellation_asked_for(stage).await,
            Self::JobCancellationAskedFor => operating::job_cancellation_asked_for(stage).await,
            Self::VerificationOrdered => operating::verification_ordered(stage).await,
            Self::PauseAskedFor => operating::pause_asked_for(stage).await,
            Self::ResumeAskedFor => operating::resume_asked_for(stage).await,
            Self::RetryAskedFor => operating::retry_asked_for(stage).await,
            Self::SchedulerStopAskedFor => desk::scheduler_stop_asked_for(stage).await,
            Self::RestartAskedFor => desk::restart_asked_for(stage).await,
            Self::EmptyingAskedFor => desk::emptying_asked_for(stage).await,
            Self::QueueEmptied => desk::queue_emptied(stage).await,
            Self::RedriveAskedFor => desk::redrive_asked_for(stage).await,
            Self::ProbeAskedFor => desk::probe_asked_for(stage).await,
            Self::ProbeHandedOff => desk::probe_handed_off(stage).await,
            Self::OldProbe => desk::old_probe(stage).await,
            Self::CounterResetAskedFor => desk::counter_reset_asked_for(stage).await,
            Self::TuningAskedFor => operating::tuning_asked_for(stage).await,
            Self::AcceptanceAskedFor => operating::acceptance_asked_for(stage).await,
            Self::HistoryAskedFor => operating::history_asked_for(stage).await,
            Self::FixAskedFor => migrating::fix_asked_for(stage).await,
            Self::ResetAskedFor => migrating::reset_asked_for(stage).await,
            Self::BulkAskedFor => migrating::bulk_asked_for(stage).await,
            Self::AdoptionAskedFor => migrating::adoption_asked_for(stage).await,
            Self::LedgerRestored => migrating::ledger_restored(stage).await,
            Self::ForeignLedger => exporting::foreign_ledger(stage).await,
            Self::SettingAdopted => operating::setting_adopted(stage).await,
            Self::ObjectAdopted => migrating::object_adopted(stage).await,
            Self::RebuildAskedFor => operating::rebuild_asked_for(stage).await,
            Self::EverythingAskedFor => migrating::everything_asked_for(stage).await,
            Self::PendingAskedFor => migrating::pending_asked_for(stage).await,
        }
    }
}
