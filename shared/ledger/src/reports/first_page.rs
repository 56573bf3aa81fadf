//! All that the first page of the desk asks of the ledger, side by side: one call, so that what is measured is what is asked.
//!
//! What each part means stands with its own question. **When it fails**, nothing was changed.

use crate::export::Deferral;
use crate::harvest::{Migration, MigrationFilter};
use crate::jobs::{AlertEntry, AlertFilter, OperationBrief, OperationFilter, OperationState, VerdictBrief};
use crate::reports::{OldestOpen, PausedStage, StatusCount, Throughput};
use crate::settings::Stage;
use crate::{Ledger, LedgerError};
use granary_domain::MigrationKind;
use std::time::Duration;

const BUCKETS_OF_A_DAY: u32 = 96;
const ALERTS_MAX: u32 = 10;
const OPERATIONS_MAX: u32 = 20;
const VERDICTS_MAX: u32 = 5;

/// How everything stands.
#[derive(Debug, Clone)]
pub struct FirstPage {
    /// All batches, by status.
    pub counts: Vec<StatusCount>,
    /// What was settled in a day, by the quarter of an hour.
    pub throughput: Throughput,
    /// What has waited longest.
    pub oldest: Option<OldestOpen>,
    /// What the platform broke off, by cause.
    pub deferrals: Vec<Deferral>,
    /// The continuous migration.
    pub continuous: Option<Migration>,
    /// Since when the harvest is paused.
    pub harvest_paused: Option<PausedStage>,
    /// Since when the export is paused.
    pub export_paused: Option<PausedStage>,
    /// The 10 newest alerts.
    pub alerts: Vec<AlertEntry>,
    /// How many tell of what lasts.
    pub open_alerts: u64,
    /// The 20 newest long jobs that aren't over.
    pub operations: Vec<OperationBrief>,
    /// The 5 newest verdicts.
    pub verdicts: Vec<VerdictBrief>,
}

impl FirstPage {
    /// The length of one of [`Throughput::buckets`].
    pub const BUCKET: Duration = Duration::from_secs(900);
}

impl Ledger {
    /// Asks for everything that the first page shows. `verify` is the kind of the operations that verify.
    pub async fn first_page(&self, verify: &str) -> Result<FirstPage, LedgerError> {
        let newest_continuous = MigrationFilter {
            kind: Some(MigrationKind::Continuous),
            limit: 1,
            ..MigrationFilter::default()
        };
        let newest_alerts = AlertFilter {
            limit: ALERTS_MAX,
            ..AlertFilter::default()
        };
        let under_way = OperationFilter {
            states: vec![OperationState::Waiting, OperationState::Running],
            limit: OPERATIONS_MAX,
            ..OperationFilter::default()
        };
        let (work, people) = tokio::try_join!(
            async {
                tokio::try_join!(
                    self.batches_by_status(),
                    self.throughput(FirstPage::BUCKET, BUCKETS_OF_A_DAY),
                    self.oldest_open(),
                    self.deferrals(),
                    self.migrations(newest_continuous),
                )
            },
            async {
                tokio::try_join!(
                    self.pause_of(Stage::Harvest),
                    self.pause_of(Stage::Export),
                    self.alerts(&newest_alerts),
                    self.open_alerts(),
                    self.operations_by(&under_way),
                    self.verdicts(verify, VERDICTS_MAX),
                )
            },
        )?;
        let (counts, throughput, oldest, deferrals, continuous) = work;
        let (harvest_paused, export_paused, alerts, open_alerts, operations, verdicts) = people;
        Ok(FirstPage {
            counts,
            throughput,
            oldest,
            deferrals,
            continuous: continuous.into_iter().next(),
            harvest_paused,
            export_paused,
            alerts,
            open_alerts,
            operations,
            verdicts,
        })
    }
}
