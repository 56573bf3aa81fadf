//! The desk: where operations are asked for and taken up.

use crate::slice::LEASE;
use crate::{Budget, Job};
use granary_ledger::jobs::{NewOperation, OperationSlice};
use granary_ledger::{Ledger, LedgerError};
use granary_seeding::Seeder;
use granary_sweep::Sweeper;
use granary_verify::{Verifier, VerifyError};
use serde_json::Value;
use std::time::{Duration, Instant};
use uuid::Uuid;

/// How long an operation is worked on before the next one has its turn.
const SLICE_MAX: Duration = Duration::from_secs(10);
/// After so many that can't go on a round ends.
const LEFT_MAX: usize = 100;

/// Where operations wait, with everything that is needed to work on them.
#[derive(Clone)]
pub struct Desk {
    pub(crate) ledger: Ledger,
    pub(crate) verifier: Verifier,
    pub(crate) sweeper: Option<Sweeper>,
    pub(crate) seeder: Option<Seeder>,
}

/// Why an operation was not made.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// The ledger gave no answer.
    #[error(transparent)]
    Ledger(#[from] LedgerError),
    /// Test messages may not be written here.
    #[error("seeding is off here; it needs GRANARY_ALLOW_SEEDING=true, and is never possible in production")]
    SeedingOff,
    /// The job can't be written down: a defect.
    #[error("the job can't be written down")]
    Unwritable(#[from] serde_json::Error),
}

/// A slice that was worked on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Advanced {
    /// The operation.
    pub id: Uuid,
    /// Which job.
    pub kind: String,
    /// How the slice ended.
    pub outcome: Outcome,
}

/// How a slice ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The operation is over, and has a result.
    Finished {
        /// It.
        result: Value,
    },
    /// The budget's time is over; the next slice goes on.
    OutOfTime,
    /// There is more to do, and nothing more in this tick.
    Paused,
    /// The next step has more messages than the budget allows; it is left to whoever has more time.
    TooLarge {
        /// Messages in it.
        messages: u64,
    },
    /// The platform was at fault; the next tick tries again.
    ToBeTriedAgain {
        /// Why, for people.
        error: String,
    },
    /// The operation is over, without a result.
    Failed {
        /// Why, for people.
        error: String,
    },
    /// Somebody else has the operation now.
    TakenOver,
}

impl Outcome {
    /// Its name in logs.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Finished { .. } => "finished",
            Self::OutOfTime => "out_of_time",
            Self::Paused => "paused",
            Self::TooLarge { .. } => "too_large",
            Self::ToBeTriedAgain { .. } => "to_be_tried_again",
            Self::Failed { .. } => "failed",
            Self::TakenOver => "taken_over",
        }
    }

    /// Whether the operation can't go on in this round.
    fn ends_its_turn(&self) -> bool {
        match self {
            Self::Finished { .. } | Self::Failed { .. } | Self::OutOfTime => false,
            Self::Paused | Self::TooLarge { .. } | Self::ToBeTriedAgain { .. } | Self::TakenOver => true,
        }
    }
}

impl Desk {
    /// A desk; without a seeder it takes no jobs that write test messages or clear them.
    pub fn new(ledger: Ledger, verifier: Verifier, seeder: Option<Seeder>) -> Self {
        Self {
            ledger,
            verifier,
            sweeper: None,
            seeder,
        }
    }

    /// The same desk, which takes sweeps as well.
    pub fn with_sweeper(self, sweeper: Sweeper) -> Self {
        Self {
            sweeper: Some(sweeper.sharing(self.verifier.allowance())),
            ..self
        }
    }

    /// A tick begins: so many objects may be deleted in it, by sweeps and by the removal of what was replaced together.
    pub fn begin_tick(&self) {
        self.verifier.allowance().refill();
    }

    /// Removes the objects of exports that were replaced, until none is left or the time is over. Says how many.
    pub async fn remove_superseded(&self, until: Instant) -> Result<u64, VerifyError> {
        self.verifier.remove_superseded(until).await
    }

    /// What writes test messages, where that is allowed.
    pub fn seeding(&self) -> Option<&Seeder> {
        self.seeder.as_ref()
    }

    /// Puts a job on record. Nothing is done yet.
    pub async fn ask(&self, job: &Job, requested_by: &str) -> Result<Uuid, AskError> {
        let id = Uuid::now_v7();
        self.ask_as(id, job, requested_by).await?;
        Ok(id)
    }

    /// Puts a job on record under a number of the caller's choice, who may have written it down elsewhere before.
    pub async fn ask_as(&self, id: Uuid, job: &Job, requested_by: &str) -> Result<(), AskError> {
        if matches!(job, Job::Seed(_) | Job::Clear) && self.seeder.is_none() {
            return Err(AskError::SeedingOff);
        }
        let operation = NewOperation {
            id,
            kind: job.kind().to_owned(),
            arguments: job.arguments()?,
            requested_by: requested_by.to_owned(),
        };
        self.ledger.make_operation(&operation).await?;
        Ok(())
    }

    /// Works on an operation that no worker holds: the given one, or the one that was worked on longest ago. `None`: there is
    /// none.
    pub async fn advance(&self, id: Option<Uuid>, budget: &Budget) -> Result<Option<Advanced>, LedgerError> {
        match self.ledger.claim_operation(id, LEASE).await? {
            Some(slice) => self.go_on_with(slice, budget).await.map(Some),
            None => Ok(None),
        }
    }

    async fn go_on_with(&self, slice: OperationSlice, budget: &Budget) -> Result<Advanced, LedgerError> {
        let outcome = self.work_on(&slice, budget).await?;
        tracing::info!(operation = %slice.id, kind = slice.kind, outcome = outcome.name(), "a slice of an operation");
        Ok(Advanced {
            id: slice.id,
            kind: slice.kind,
            outcome,
        })
    }

    /// Works on operations in turn, a slice of some seconds each, until none is left or the budget is used up. One that
    /// can't go on now is left for the next tick, and the others go on.
    pub async fn work(&self, budget: &Budget) -> Result<Vec<Advanced>, LedgerError> {
        self.work_besides(&[], budget).await
    }

    /// The same without some operations, which rest.
    pub async fn work_besides(
        &self,
        resting: &[Uuid],
        budget: &Budget,
    ) -> Result<Vec<Advanced>, LedgerError> {
        let (mut round, mut left) = (Vec::new(), resting.to_vec());
        while !budget.is_used_up() && left.len() < LEFT_MAX {
            let Some(slice) = self.ledger.claim_next_operation(&left, LEASE).await? else {
                break;
            };
            let advanced = self.go_on_with(slice, &budget.of_a_slice(SLICE_MAX)).await?;
            if advanced.outcome.ends_its_turn() {
                left.push(advanced.id);
            }
            round.push(advanced);
        }
        Ok(round)
    }
}
