//! One look at an hour: what it is about, and where what is found goes.

use crate::report::{Finding, Remedy};
use crate::{Account, Limits, Repair, Scope};
use granary_domain::{Hour, TimeRange};
use granary_ledger::integrity::RepairMigration;

/// A step's look at an hour, or at the part of it that is in the scope.
pub(crate) struct Look<'a> {
    pub(crate) scope: &'a Scope,
    /// The event times.
    pub(crate) range: TimeRange,
    /// Under which what was left out is harvested.
    pub(crate) heir: RepairMigration,
    /// What was found. After an error it must not be used.
    pub(crate) account: &'a mut Account,
    allowance: Allowance,
}

/// What this step may still repair.
#[derive(Debug, Clone, Copy)]
struct Allowance {
    messages: u64,
    batches: u64,
}

impl<'a> Look<'a> {
    pub(crate) fn new(
        scope: &'a Scope,
        range: TimeRange,
        heir: RepairMigration,
        account: &'a mut Account,
        limits: &Limits,
    ) -> Self {
        let allowance = Allowance {
            messages: limits.step_harvested_max,
            batches: limits.step_re_exported_max,
        };
        Self {
            scope,
            range,
            heir,
            account,
            allowance,
        }
    }

    pub(crate) fn hour(&self) -> Hour {
        Hour::of(self.range.from())
    }

    pub(crate) fn repair(&self) -> Repair {
        self.scope.repair
    }

    /// How many of so many messages may still be harvested again by this step; the others are left to another run.
    pub(crate) fn allow_messages(&mut self, wanted: u64) -> u64 {
        let allowed = wanted.min(self.allowance.messages);
        self.allowance.messages -= allowed;
        self.account.repairs.left_messages += wanted - allowed;
        allowed
    }

    /// Whether this step may have one batch more exported again.
    pub(crate) fn allow_batch(&mut self) -> bool {
        let is_allowed = self.allowance.batches > 0;
        self.allowance.batches = self.allowance.batches.saturating_sub(1);
        self.account.repairs.left_batches += u64::from(!is_allowed);
        is_allowed
    }

    pub(crate) fn find(&mut self, finding: Finding) {
        self.account.find(finding);
    }

    pub(crate) fn count(&mut self, remedy: Remedy, count: u64) {
        let repairs = &mut self.account.repairs;
        match remedy {
            Remedy::Harvest => repairs.harvested += count,
            Remedy::ReExport => repairs.re_exported += count,
            Remedy::UnderWay => repairs.under_way += count,
            Remedy::Later => {}
        }
    }
}
