//! Why nothing comes out of the pipe though something waits, or is paused: what people read, and what they can do.

use crate::migration::named;

named! {
    /// The cause of an alert that the export is stalled.
    Stall, "stall", {
        /// SQS refuses or doesn't answer what is asked of a queue.
        QueueFails = "queue_fails",
        /// The trigger by which a queue starts exporters is off, or isn't there.
        TriggerOff = "trigger_off",
        /// No exporter may run: none is reserved.
        ExporterThrottled = "exporter_throttled",
        /// Exporters are started, or so it looks, and claim nothing.
        Unclaimed = "unclaimed",
        /// Others are exported, and new batches wait behind them.
        Backlog = "backlog",
        /// An operator paused the harvest long ago.
        HarvestPaused = "harvest_paused",
        /// An operator paused the export long ago.
        ExportPaused = "export_paused",
    }
}

impl Stall {
    /// What people can do about it.
    pub fn remedy(self) -> &'static str {
        match self {
            Self::QueueFails => {
                "the reason above has SQS's own code. AccessDenied or a KMS code: let the functions' roles send to the queue and \
                 use its key (policy of the queue, of the key, of a VPC endpoint). NonExistentQueue: deploy the stack again. \
                 No answer: check that the network reaches SQS. Batches stay unsent meanwhile, and are sent by themselves."
            }
            Self::TriggerOff => {
                "switch it on: granary queue consumers start. If it is gone, deploy the stack again. Batches wait in their \
                 queue, and nothing is lost."
            }
            Self::ExporterThrottled => {
                "the exporter's reserved concurrency is 0: remove it (aws lambda delete-function-concurrency), or raise it above \
                 twice ExporterConcurrency. Its triggers limit it already."
            }
            Self::Unclaimed => {
                "check the exporter's log (does it start, does it reach the ledger?), then Lambda's throttles (the account's \
                 concurrency) and the dead-letter queues (granary queue monitoring). granary doctor checks the settings; granary \
                 queue probe shows whether a message arrives."
            }
            Self::Backlog => {
                "new batches wait behind a backfill: run more exporters (ExporterConcurrency), or wait. Start the next backfill \
                 with a priority of 5 or more: its batches take the other queue. Nothing is lost as long as the source keeps \
                 its documents."
            }
            Self::HarvestPaused => {
                "resume it if it was forgotten: granary resume harvest. Nothing is lost as long as the source keeps its documents."
            }
            Self::ExportPaused => {
                "resume it if it was forgotten: granary resume export. Nothing is lost as long as the source keeps its documents."
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn each_cause_has_a_remedy_of_its_own() {
        let causes = [
            Stall::QueueFails,
            Stall::TriggerOff,
            Stall::ExporterThrottled,
            Stall::Unclaimed,
            Stall::Backlog,
            Stall::HarvestPaused,
            Stall::ExportPaused,
        ];
        let remedies: BTreeSet<&str> = causes.map(Stall::remedy).into();
        assert_eq!(remedies.len(), causes.len());
    }
}
