//! The table of steps.

/// Gives the table below to another macro: what has to exist for every step is made from it, so that nothing can be
/// forgotten for a new one. Each line says what has happened once the step is done, then its variant, its name (which
/// logs, `GRANARY_FAULT` and tests use) and what it does as a verb phrase (which errors show).
#[macro_export]
macro_rules! for_each_step {
    ($made:ident) => {
        $made! {
            /// The schema is what this program needs.
            MigrateSchema migrate_schema "migrate its schema",
            /// The migrator was asked to bring the schema up to date.
            AskForMigration ask_for_migration "have the migrator invoked",

            /// It is on record whose ledger it is.
            RecordIdentity record_identity "record whose ledger it is",
            /// It is on record which source a harvester reads, and since when.
            RecordSettings record_settings "record the settings of the source",
            /// It is on record that a function has another setting than the ledger.
            NoteMismatch note_mismatch "note that a setting isn't the ledger's",

            /// A migration exists, open; or it existed already.
            MakeMigration make_migration "make a migration",
            /// A migration's next window exists, and the migration counts its range as harvested.
            OpenWindow open_window "open a window",
            /// A window is this harvester's until its lease is over.
            ClaimWindow claim_window "claim a window",
            /// A window that was recorded is this harvester's once more, to be read again.
            ClaimRescan claim_rescan "claim a window to read it again",
            /// Batch numbers are given out, once and for all.
            TakeNumbers take_numbers "take batch numbers",
            /// The ledger says which block of batch numbers is to be reserved, and whether it was restored.
            IntendNumbers intend_numbers "note which batch numbers are to be reserved",
            /// The archive has on record how far batch numbers are reserved and used.
            RaiseNumberMark raise_number_mark "raise the mark of batch numbers",
            /// A reserved block of batch numbers is open.
            OpenNumbers open_numbers "open a block of batch numbers",
            /// A ledger that is behind the archive's mark says so.
            CompareNumbers compare_numbers "compare its batch numbers with the archive's mark",
            /// A harvester's lease of its window begins anew.
            RenewWindow renew_window "renew a window's lease",
            /// A page's messages are accounted for, their batches wait to be sent, the bookmark stands behind the page.
            RecordPage record_page "record a page",
            /// A window's account is empty, and its reading begins anew.
            RestartWindow restart_window "restart a window",
            /// A window can be claimed again, and goes on from its bookmark.
            ReleaseWindow release_window "release a window",
            /// A migration's next window can't be opened, and the ledger says since when and why.
            DeferHarvest defer_harvest "defer a migration's harvest",
            /// Every hit of a window is accounted for.
            FinishWindow finish_window "finish a window",
            /// What was counted at the source is on record.
            RecordMeasurement record_measurement "record what was counted",

            /// Up to ten batches' messages are in their queue.
            SendMessages send_messages "send messages",
            /// The ledger takes batches for sent.
            MarkSent mark_sent "mark batches as sent",
            /// A batch waits to be sent again.
            MarkUnsent mark_unsent "mark a batch as unsent",
            /// It is on record since when a queue has shown no visible message.
            ObserveQueue observe_queue "observe a queue",
            /// It is on record since when batches of a queue have waited without a claim.
            ObserveWaiting observe_waiting "observe what waits in a queue",
            /// A message that is returned as failed comes back soon.
            PostponeMessage postpone_message "postpone a message",

            /// A batch is this worker's until its lease is over, and its attempt counts.
            ClaimBatch claim_batch "claim a batch",
            /// A worker's lease begins anew.
            RenewLease renew_lease "renew a lease",
            /// The ledger names the message that a careful worker has in hand.
            NameSuspect name_suspect "name the message in hand",
            /// The raw bytes of a message that can't be exported are kept.
            PutQuarantined put_quarantined "keep the raw bytes of a quarantined message at",
            /// The ledger knows that a careful worker has no message in hand.
            ClearSuspect clear_suspect "name no message as in hand",
            /// The ledger names the messages that are not in their batch's object.
            RecordExceptions record_exceptions "record exceptions",
            /// A batch's object stands at its key.
            PutObject put_object "put the object",
            /// S3 waits for the parts of an object.
            BeginUpload begin_upload "begin the upload of",
            /// One part of an object is with S3, unseen.
            PutPart put_part "put a part of",
            /// The parts are an object that stands at its key.
            CompleteUpload complete_upload "complete the upload of",
            /// An upload's parts are freed.
            AbortUpload abort_upload "abort the upload of",
            /// A batch is to be exported to the key of its next generation.
            NextGeneration next_generation "move a batch to its next generation",
            /// An object's manifest stands beside it.
            PutManifest put_manifest "put the manifest",
            /// A batch's object is on record.
            SettleBatch settle_batch "settle a batch",
            /// An attempt has failed; its batch is tried again later, or parked.
            FailBatch fail_batch "fail a batch",
            /// An attempt that the platform broke off doesn't count; its batch is sent again later.
            DeferBatch defer_batch "defer a batch",
            /// An attempt that ran out of time doesn't count; its batch is sent again at once.
            HandBackBatch hand_back_batch "hand a batch back",

            /// An attempt that its batch was too large for doesn't count; the second one leaves two batches.
            SplitBatch split_batch "give back a batch that is too large",

            /// What dead workers held has failed, and their fences are stale.
            ReapDead reap_dead "reap dead workers",
            /// Failed batches that are due are pending, to be sent.
            RetryFailed retry_failed "retry failed batches",
            /// Up to twenty batches of a cancelled migration are cancelled, their messages are released, and whoever
            /// relied on them reads again.
            ReleaseCancelled release_cancelled "release a cancelled batch",
            /// Migrations whose whole range is recorded are draining.
            DrainMigrations drain_migrations "move migrations to draining",
            /// A migration is completed.
            CompleteMigration complete_migration "complete a migration",

            /// An alert stands in the ledger, to be published.
            RaiseAlert raise_alert "raise an alert",
            /// A condition lasts, and an alert says so.
            BeginCondition begin_condition "begin a condition",
            /// A condition is over, and an alert says so.
            EndCondition end_condition "end a condition",
            /// Subscribers are told.
            PublishAlert publish_alert "publish an alert",
            /// The ledger knows that people were told.
            MarkPublished mark_published "mark alerts as published",

            /// A migration is cancelled, and a harvester at work for it is fenced off.
            CancelMigration cancel_migration "cancel a migration",
            /// Windows that dead harvesters held are open.
            HandBackWindows hand_back_windows "hand windows back",
            /// A stage is paused.
            PauseStage pause_stage "pause a stage",
            /// A stage is no longer paused.
            ResumeStage resume_stage "resume a stage",
            /// Live settings are what an operator wants them to be.
            TuneSettings tune_settings "tune settings",
            /// An operator accepts that some messages are not archived, or no longer does.
            AcceptExceptions accept_exceptions "accept exceptions",
            /// The ledger has the setting that an operator's deployment has.
            AdoptSetting adopt_setting "adopt a setting",
            /// An operator knows that the ledger was restored.
            ConfirmRestored confirm_restored "confirm that it was restored",
            /// What an operator did is on record.
            RecordAudit record_audit "record an audit entry",

            /// The clock starts a function, or no longer does.
            SwitchSchedule switch_schedule "switch a schedule",
            /// A queue starts exporters, or no longer does.
            SwitchConsumer switch_consumer "switch a consumer",
            /// It is on record that a queue is purged: what was sent to it has to be sent again.
            NotePurge note_purge "note that a queue is purged",
            /// A queue is empty, or will be soon.
            PurgeQueue purge_queue "purge a queue",
            /// Batches whose messages were purged wait to be sent.
            PutBack put_back "put purged batches back",
            /// What a purge took with it is made good, and nothing is left to do for it.
            ForgetPurge forget_purge "forget a purge that was made good",
            /// SQS moves the messages of a dead-letter queue back by itself.
            MoveDeadLetters move_dead_letters "have dead letters moved back",
            /// Dead letters are in the queue that they came from.
            SendDeadLetters send_dead_letters "send dead letters again",
            /// Dead letters that were sent again are gone from the dead-letter queue.
            DeleteDeadLetters delete_dead_letters "delete dead letters",
            /// Probes are expected.
            ExpectProbes expect_probes "expect probes",
            /// Probes are in their queue.
            SendProbes send_probes "send probes",
            /// A probe has arrived.
            ReceiveProbe receive_probe "receive a probe",
            /// Probes of long ago are forgotten.
            ForgetProbes forget_probes "forget old probes",
            /// Attempts are counted from now on.
            ResetCounter reset_counter "reset the counter of attempts",

            /// A long job exists, waiting.
            MakeOperation make_operation "make an operation",
            /// An operation is this worker's until its lease is over.
            ClaimOperation claim_operation "claim an operation",
            /// An operation goes on from here, whoever works on it next.
            SaveProgress save_progress "save an operation's progress",
            /// The lease of an operation's worker begins anew.
            RenewOperation renew_operation "renew an operation's lease",
            /// An operation can be claimed again.
            ReleaseOperation release_operation "release an operation",
            /// An operation has its result.
            FinishOperation finish_operation "finish an operation",
            /// A slice of an operation has failed; it is tried again later, or given up.
            FailSlice fail_slice "write down why a slice failed",
            /// An operation is given up.
            FailOperation fail_operation "give an operation up",
            /// No worker continues an operation.
            CancelOperation cancel_operation "cancel an operation",
            /// A migration has a verdict; its windows are verified where it is COMPLETE.
            RecordVerdict record_verdict "record a verdict",

            /// Messages that a verification found to be nobody's are in batches that wait to be sent.
            RecordFound record_found "record what was missing",
            /// Messages of an object that a person adopted are in batches that wait to be sent.
            RecordCopied record_copied "record what an adopted object holds",
            /// A batch of the archive is on record in a ledger that is rebuilt.
            RebuildBatch rebuild_batch "rebuild a batch",
            /// A batch waits to be sent, under its next generation.
            ReExportBatch re_export_batch "export a batch again",
            /// Exceptions of a completed batch are in a batch of their own that waits to be sent.
            RecallExceptions recall_exceptions "recall exceptions",
            /// Parked batches wait to be sent, with all their attempts.
            UnparkBatches unpark_batches "unpark batches",
            /// A superseded object isn't looked for any more.
            ForgetSuperseded forget_superseded "forget a superseded object",

            /// An object or a manifest is gone.
            DeleteObject delete_object "delete",
            /// An object or a manifest that nobody recorded is gone, if it still was the one that was looked at.
            SweepObject sweep_object "sweep",
            /// The round of inspections goes on from here.
            MoveInspection move_inspection "write down how far an inspection is",
            /// A seeded batch is gone from the ledger, with its messages and attempts.
            ForgetBatch forget_batch "forget a seeded batch",
            /// Seeded messages that nobody owned are gone from the ledger.
            ForgetUnowned forget_unowned "forget seeded messages",
            /// Alerts, audit entries and operations of long ago are gone from the ledger.
            ForgetOldRecords forget_old_records "forget old alerts, audit entries and operations",
            /// Synthetic jobs stand in the ledger, finished.
            MakeHistory make_history "make synthetic jobs",
            /// Synthetic jobs are gone from the ledger.
            ForgetHistory forget_history "forget synthetic jobs",

            /// The exceptions of an hour are on record.
            CountExceptions count_exceptions "record how many exceptions an hour has",
            /// The time line shows in which hours source and archive differ.
            RecordDifference record_difference "record that an hour differs",
            /// The windows in a range that was verified as a whole are verified.
            MarkVerified mark_verified "mark windows as verified",
            /// What a verification says that wasn't COMPLETE stands with its hours and windows.
            KeepDifferences keep_differences "record which hours differ",
            /// The schedule asks for a verification of some windows.
            NoteProofAsked note_proof_asked "note that windows are to be verified",
            /// An hour's counts and digest stand in one row: its rows may be taken away, and nobody records in it again.
            SealHour seal_hour "seal an hour",
            /// Some batches of a sealed hour are gone from the ledger, with their messages and attempts.
            PurgeBatches purge_batches "purge batches",
            /// A migration may record messages of sealed hours again.
            AllowReExport allow_re_export "allow a migration to export sealed hours again",
        }
    };
}

macro_rules! make_steps {
    ($($(#[$done:meta])+ $step:ident $name:ident $operation:literal,)+) => {
        /// A side effect. Its documentation says what has happened once it is done.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Step {
            $($(#[$done])+ $step,)+
        }

        impl Step {
            /// All steps, in the order in which a message meets them.
            pub const ALL: &[Self] = &[$(Self::$step,)+];

            /// Its name, as in `settle_batch`.
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$step => stringify!($name),)+
                }
            }

            /// What it does, as a verb phrase: "settle a batch".
            pub const fn operation(self) -> &'static str {
                match self {
                    $(Self::$step => $operation,)+
                }
            }
        }
    };
}

for_each_step!(make_steps);

impl Step {
    /// The step of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|step| step.name() == name)
    }
}

impl std::fmt::Display for Step {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;

    #[test]
    fn a_name_means_one_step() {
        let names: HashSet<&str> = Step::ALL.iter().map(|step| step.name()).collect();
        assert_eq!(names.len(), Step::ALL.len());
        assert!(
            Step::ALL
                .iter()
                .all(|step| Step::named(step.name()) == Some(*step))
        );
    }
}
