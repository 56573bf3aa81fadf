//! Who takes a step, and what leads there. A new step has to be added here: the match has no default.

use super::Scene;
use granary_steps::Step;

/// The function that is interrupted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Who {
    Harvester,
    Exporter,
    Reaper,
    Operator,
    Migrator,
}

impl Who {
    pub(super) fn function(self) -> &'static str {
        match self {
            Self::Harvester => "harvester",
            Self::Exporter => "exporter",
            Self::Reaper => "reaper",
            Self::Operator => "operator",
            Self::Migrator => "migrator",
        }
    }
}

/// One way to come to a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Plot {
    pub(super) who: Who,
    pub(super) scene: Scene,
}

fn harvester(scene: Scene) -> Plot {
    Plot {
        who: Who::Harvester,
        scene,
    }
}

fn exporter(scene: Scene) -> Plot {
    Plot {
        who: Who::Exporter,
        scene,
    }
}

fn reaper(scene: Scene) -> Plot {
    Plot {
        who: Who::Reaper,
        scene,
    }
}

fn operator(scene: Scene) -> Plot {
    Plot {
        who: Who::Operator,
        scene,
    }
}

fn migrator(scene: Scene) -> Plot {
    Plot {
        who: Who::Migrator,
        scene,
    }
}

/// All the ways to come to a step that differ in what may go wrong.
#[expect(clippy::too_many_lines, reason = "a table: nothing but one arm for each step")]
pub(super) fn plots(step: Step) -> Vec<Plot> {
    let plot = match step {
        Step::MigrateSchema => migrator(Scene::NewDatabase),
        Step::AskForMigration => operator(Scene::MigrationOfSchemaAskedFor),
        Step::RecordIdentity | Step::RecordSettings => harvester(Scene::Due),
        Step::NoteMismatch => {
            return vec![exporter(Scene::ForeignLedger), reaper(Scene::ForeignLedger)];
        }
        Step::AdoptSetting => operator(Scene::SettingAdopted),
        Step::MakeMigration
        | Step::OpenWindow
        | Step::ClaimWindow
        | Step::RecordPage
        | Step::FinishWindow
        | Step::RecordMeasurement
        | Step::DrainMigrations => harvester(Scene::Due),
        Step::TakeNumbers | Step::IntendNumbers | Step::RaiseNumberMark | Step::OpenNumbers => {
            harvester(Scene::Due)
        }
        Step::CompareNumbers => reaper(Scene::Archived),
        Step::ConfirmRestored => operator(Scene::LedgerRestored),
        Step::RestartWindow => harvester(Scene::LostView),
        Step::ReleaseWindow => harvester(Scene::RefusedWindow),
        Step::DeferHarvest => harvester(Scene::RefusedMigration),
        Step::ClaimRescan => harvester(Scene::LateMessage),
        Step::RenewWindow => harvester(Scene::SlowSource),
        Step::SendMessages | Step::MarkSent => {
            return vec![
                harvester(Scene::Due),
                reaper(Scene::Unsent),
                reaper(Scene::LostMessage),
                operator(Scene::PendingAskedFor),
            ];
        }
        Step::MarkUnsent => exporter(Scene::TooEarly),
        Step::ObserveQueue => reaper(Scene::HiddenMessage),
        Step::ObserveWaiting => reaper(Scene::HandedOff),
        Step::PostponeMessage => exporter(Scene::UnreadableMessage),
        Step::RaiseAlert => {
            return vec![exporter(Scene::UnreadableMessage), exporter(Scene::ForeignObject)];
        }
        Step::ClaimBatch | Step::RenewLease | Step::PutObject | Step::PutManifest | Step::SettleBatch => {
            exporter(Scene::HandedOff)
        }
        Step::RecordExceptions => exporter(Scene::GoneMessage),
        Step::PutQuarantined => exporter(Scene::Poison),
        Step::NameSuspect | Step::ClearSuspect => exporter(Scene::CarefulBatch),
        Step::BeginUpload | Step::PutPart | Step::CompleteUpload => exporter(Scene::LargeBatch),
        Step::AbortUpload => exporter(Scene::RefusedPart),
        Step::NextGeneration => exporter(Scene::ForeignObject),
        Step::FailBatch => exporter(Scene::RefusedObject),
        Step::DeferBatch => exporter(Scene::SourceDown),
        Step::SplitBatch => exporter(Scene::TooLarge),
        Step::HandBackBatch => exporter(Scene::NoTimeLeft),
        Step::ReapDead => return vec![reaper(Scene::DeadWorker), operator(Scene::EverythingAskedFor)],
        Step::RetryFailed => return vec![reaper(Scene::FailedBatch), operator(Scene::EverythingAskedFor)],
        Step::ReleaseCancelled => reaper(Scene::CancelledMigration),
        Step::CompleteMigration => reaper(Scene::Archived),
        Step::PublishAlert | Step::MarkPublished => reaper(Scene::ParkedBatch),
        Step::BeginCondition => reaper(Scene::Storm),
        Step::EndCondition => reaper(Scene::StormIsOver),
        Step::ClaimOperation | Step::SaveProgress | Step::FinishOperation | Step::RecordVerdict => {
            reaper(Scene::VerificationAskedFor)
        }
        Step::FailSlice => reaper(Scene::VerificationWithoutSource),
        Step::RenewOperation => reaper(Scene::VerificationWithoutAnswer),
        Step::ReleaseOperation => reaper(Scene::VerificationWithoutTime),
        Step::FailOperation => reaper(Scene::UnknownOperation),
        Step::CancelOperation => operator(Scene::JobCancellationAskedFor),
        Step::MoveInspection => reaper(Scene::ManyBatches),
        Step::SweepObject => reaper(Scene::Orphan),
        Step::MarkVerified | Step::CountExceptions => reaper(Scene::VerificationOfEverything),
        Step::RecordDifference | Step::KeepDifferences => reaper(Scene::LostObject),
        Step::NoteProofAsked => reaper(Scene::ADayOld),
        Step::RecordFound => {
            return vec![
                reaper(Scene::LeftOutMessage),
                operator(Scene::BulkAskedFor),
                operator(Scene::AdoptionAskedFor),
            ];
        }
        Step::RecordCopied => operator(Scene::ObjectAdopted),
        Step::RebuildBatch => reaper(Scene::RebuildAskedFor),
        Step::ReExportBatch => return vec![reaper(Scene::LostObject), operator(Scene::ResetAskedFor)],
        Step::RecallExceptions => {
            return vec![reaper(Scene::ExceptionIsBack), operator(Scene::RecallAskedFor)];
        }
        Step::ForgetSuperseded => reaper(Scene::ReplacedObject),
        Step::DeleteObject => {
            return vec![reaper(Scene::ReplacedObject), reaper(Scene::SeededAndExported)];
        }
        Step::ForgetBatch | Step::ForgetHistory => reaper(Scene::SeededAndExported),
        Step::MakeHistory => operator(Scene::HistoryAskedFor),
        Step::TuneSettings => operator(Scene::TuningAskedFor),
        Step::AcceptExceptions => operator(Scene::AcceptanceAskedFor),
        Step::ForgetUnowned => reaper(Scene::SeededAndReleased),
        Step::CancelMigration => operator(Scene::CancellationAskedFor),
        Step::HandBackWindows => operator(Scene::FixAskedFor),
        Step::RecordAudit => {
            return vec![
                operator(Scene::CancellationAskedFor),
                operator(Scene::VerificationOrdered),
            ];
        }
        Step::MakeOperation => {
            return vec![operator(Scene::VerificationOrdered), reaper(Scene::ADayOld)];
        }
        Step::SealHour | Step::PurgeBatches => reaper(Scene::PurgeAskedFor),
        Step::AllowReExport => operator(Scene::ReExportAskedFor),
        Step::PauseStage => operator(Scene::PauseAskedFor),
        Step::ResumeStage => operator(Scene::ResumeAskedFor),
        Step::UnparkBatches => operator(Scene::RetryAskedFor),
        Step::SwitchSchedule => operator(Scene::SchedulerStopAskedFor),
        Step::SwitchConsumer => operator(Scene::RestartAskedFor),
        Step::NotePurge | Step::PurgeQueue => operator(Scene::EmptyingAskedFor),
        Step::PutBack => {
            return vec![operator(Scene::EmptyingAskedFor), reaper(Scene::QueueEmptied)];
        }
        Step::ForgetPurge => reaper(Scene::QueueEmptied),
        Step::MoveDeadLetters | Step::SendDeadLetters | Step::DeleteDeadLetters => {
            operator(Scene::RedriveAskedFor)
        }
        Step::ExpectProbes | Step::SendProbes => operator(Scene::ProbeAskedFor),
        Step::ReceiveProbe => exporter(Scene::ProbeHandedOff),
        Step::ForgetProbes => reaper(Scene::OldProbe),
        Step::ForgetOldRecords => reaper(Scene::Archived),
        Step::ResetCounter => operator(Scene::CounterResetAskedFor),
    };
    vec![plot]
}
