//! One slice of an operation: step after step, each written down, under a lease that is kept alive.

use crate::purge::{self, PurgeStep};
use crate::{Desk, Job, Outcome, adopt, anew, bulk, objects};
use futures::FutureExt;
use granary_domain::{Cause, Failure};
use granary_ledger::export::Fenced;
use granary_ledger::jobs::OperationSlice;
use granary_ledger::{Ledger, LedgerError};
use granary_seeding::{ClearStep, SeedError, SeedStep, Seeder};
use granary_sweep::{SweepError, SweepStep, Sweeper};
use granary_verify::{RebuildArguments, RebuildStep, Step, VerifyError};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

pub(crate) const LEASE: Duration = Duration::from_secs(90);
const HEARTBEAT: Duration = Duration::from_secs(20);
/// A lease that could not be renewed for so long counts as lost, before it is over.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// How much a slice may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budget {
    /// No step begins after it. One that has begun goes on to its end.
    pub until: Instant,
    /// No step begins that would have to look at more messages.
    pub messages_max: u64,
}

impl Budget {
    /// The same for one slice of several.
    pub(crate) fn of_a_slice(&self, longest: Duration) -> Self {
        Self {
            until: self.until.min(Instant::now() + longest),
            ..*self
        }
    }

    pub(crate) fn is_used_up(&self) -> bool {
        Instant::now() >= self.until
    }
}

/// What one step left behind.
enum Turn {
    More(Value),
    /// There is more to do, and nothing more in this tick.
    Pause(Value),
    TooLarge {
        messages: u64,
    },
    Done(Value),
}

/// What one step of a job came to that has no name of its own for it.
pub(crate) enum Turned<P, R> {
    /// There is more to do, from here on.
    More(P),
    /// The end.
    Done(R),
}

impl Desk {
    /// Works on a slice until its operation ends, its budget is used up or its lease is gone.
    pub(crate) async fn work_on(
        &self,
        slice: &OperationSlice,
        budget: &Budget,
    ) -> Result<Outcome, LedgerError> {
        let job = match Job::parse(&slice.kind, slice.arguments.clone()) {
            Ok(job) => job,
            Err(text) => return self.give_up(slice, text).await,
        };
        let mut progress = slice.progress.clone();
        while !budget.is_used_up() {
            let turn = tokio::select! {
                turn = self.guarded_turn(&job, progress.take(), budget) => turn,
                () = lease_lost(&self.ledger, slice) => return Ok(Outcome::TakenOver),
            };
            match turn {
                Ok(Turn::More(value)) => {
                    if self.ledger.save_progress(slice, &value, LEASE).await? == Fenced::Refused {
                        return Ok(Outcome::TakenOver);
                    }
                    progress = Some(value);
                }
                Ok(Turn::Pause(value)) => {
                    if self.ledger.save_progress(slice, &value, LEASE).await? == Fenced::Refused {
                        return Ok(Outcome::TakenOver);
                    }
                    return unless_refused(self.ledger.release_operation(slice).await?, Outcome::Paused);
                }
                Ok(Turn::TooLarge { messages }) => {
                    let outcome = Outcome::TooLarge { messages };
                    return unless_refused(self.ledger.release_operation(slice).await?, outcome);
                }
                Ok(Turn::Done(result)) => {
                    return unless_refused(
                        self.ledger.finish_operation(slice, &result).await?,
                        Outcome::Finished { result },
                    );
                }
                Err(failure) if failure.cause.is_platforms() => {
                    let error = failure.text;
                    let failed = self.ledger.fail_slice(slice, &error).await?;
                    return unless_refused(failed, Outcome::ToBeTriedAgain { error });
                }
                Err(failure) => return self.give_up(slice, failure.text).await,
            }
        }
        unless_refused(self.ledger.release_operation(slice).await?, Outcome::OutOfTime)
    }

    async fn give_up(&self, slice: &OperationSlice, error: String) -> Result<Outcome, LedgerError> {
        let failed = self.ledger.fail_operation(slice, &error).await?;
        unless_refused(failed, Outcome::Failed { error })
    }

    /// A step that panics ends its operation: it would panic again at every tick.
    async fn guarded_turn(
        &self,
        job: &Job,
        progress: Option<Value>,
        budget: &Budget,
    ) -> Result<Turn, Failure> {
        match AssertUnwindSafe(self.turn(job, progress, budget))
            .catch_unwind()
            .await
        {
            Ok(turn) => turn,
            Err(_) => Err(unexpected(
                "a defect: the work panicked, the function's log says where".to_owned(),
            )),
        }
    }

    async fn turn(&self, job: &Job, progress: Option<Value>, budget: &Budget) -> Result<Turn, Failure> {
        match job {
            Job::Verify(arguments) => {
                let step = self
                    .verifier
                    .step(arguments, read(progress)?, budget.messages_max)
                    .await;
                match step.map_err(|error| failure_of(&error, VerifyError::cause))? {
                    Step::More(progress) => written(&progress).map(Turn::More),
                    Step::TooLarge { messages } => Ok(Turn::TooLarge { messages }),
                    Step::Done(report) => written(&report).map(Turn::Done),
                }
            }
            Job::Sweep(arguments) => {
                let step = self.sweeper()?.step(arguments, read(progress)?).await;
                match step.map_err(|error| failure_of(&error, SweepError::cause))? {
                    SweepStep::More(progress) => written(&progress).map(Turn::More),
                    SweepStep::Pause(progress) => written(&progress).map(Turn::Pause),
                    SweepStep::Done(report) => written(&report).map(Turn::Done),
                }
            }
            Job::Purge(arguments) => {
                let step = purge::step((&self.ledger, &self.verifier), arguments, read(progress)?).await;
                match step.map_err(|error| failure_of(&error, VerifyError::cause))? {
                    PurgeStep::More(progress) => written(&progress).map(Turn::More),
                    PurgeStep::Done(report) => written(&report).map(Turn::Done),
                }
            }
            Job::ReExport(arguments) => {
                turn_of(anew::step((&self.ledger, &self.verifier), arguments, read(progress)?).await)
            }
            Job::Bulk(arguments) => {
                turn_of(bulk::step((&self.ledger, &self.verifier), arguments, read(progress)?).await)
            }
            Job::Adopt(arguments) => {
                turn_of(adopt::step((&self.ledger, &self.verifier), arguments, read(progress)?).await)
            }
            Job::AdoptObject(arguments) => {
                let place = self.sweeper()?.place_of(&arguments.key);
                match objects::adopt(&self.verifier, place, arguments, read(progress)?).await? {
                    Turned::More(progress) => written(&progress).map(Turn::More),
                    Turned::Done(report) => written(&report).map(Turn::Done),
                }
            }
            Job::DiscardObject(arguments) => match objects::discard(self.sweeper()?, arguments).await? {
                Some(report) => written(&report).map(Turn::Done),
                None => Ok(Turn::Pause(Value::Null)),
            },
            Job::Rebuild(arguments) => self.rebuild_turn(arguments, progress).await,
            Job::Seed(arguments) => {
                let step = self.seeder()?.seed_step(arguments, read(progress)?).await;
                match step.map_err(|error| failure_of(&error, SeedError::cause))? {
                    SeedStep::More(progress) => written(&progress).map(Turn::More),
                    SeedStep::Done(report) => written(&report).map(Turn::Done),
                }
            }
            Job::Clear => {
                let step = self.seeder()?.clear_step(read(progress)?).await;
                match step.map_err(|error| failure_of(&error, SeedError::cause))? {
                    ClearStep::More(progress) => written(&progress).map(Turn::More),
                    ClearStep::Done(report) => written(&report).map(Turn::Done),
                }
            }
        }
    }

    async fn rebuild_turn(
        &self,
        arguments: &RebuildArguments,
        progress: Option<Value>,
    ) -> Result<Turn, Failure> {
        let step = self.verifier.rebuild_step(arguments, read(progress)?).await;
        match step.map_err(|error| failure_of(&error, VerifyError::cause))? {
            RebuildStep::More(progress) => written(&progress).map(Turn::More),
            RebuildStep::Done(report) => written(&report).map(Turn::Done),
            RebuildStep::Refused(text) => Err(unexpected(text)),
        }
    }

    fn sweeper(&self) -> Result<&Sweeper, Failure> {
        let none = || unexpected("nothing is swept here".to_owned());
        self.sweeper.as_ref().ok_or_else(none)
    }

    fn seeder(&self) -> Result<&Seeder, Failure> {
        let off = || unexpected("seeding is off here (GRANARY_ALLOW_SEEDING)".to_owned());
        self.seeder.as_ref().ok_or_else(off)
    }
}

/// Ends when the lease is somebody else's, or may be. It runs beside the work, on a connection of its own.
async fn lease_lost(ledger: &Ledger, slice: &OperationSlice) {
    let mut renewed = Instant::now();
    loop {
        tokio::time::sleep(HEARTBEAT).await;
        match ledger.renew_operation(slice, LEASE).await {
            Ok(Fenced::Done) => renewed = Instant::now(),
            Ok(Fenced::Refused) => return,
            Err(_) if renewed.elapsed() < SILENCE_MAX => {}
            Err(error) => {
                tracing::warn!(%error, operation = %slice.id, "a lease could not be renewed");
                return;
            }
        }
    }
}

fn unless_refused(fenced: Fenced, outcome: Outcome) -> Result<Outcome, LedgerError> {
    Ok(match fenced {
        Fenced::Done => outcome,
        Fenced::Refused => Outcome::TakenOver,
    })
}

fn turn_of<P: Serialize, R: Serialize>(step: Result<Turned<P, R>, VerifyError>) -> Result<Turn, Failure> {
    match step.map_err(|error| failure_of(&error, VerifyError::cause))? {
        Turned::More(progress) => written(&progress).map(Turn::More),
        Turned::Done(report) => written(&report).map(Turn::Done),
    }
}

fn failure_of<E: std::error::Error>(error: &E, cause: impl FnOnce(&E) -> Cause) -> Failure {
    Failure::new(cause(error), error)
}

fn unexpected(text: String) -> Failure {
    Failure {
        cause: Cause::Unexpected,
        text,
    }
}

fn read<T: DeserializeOwned>(progress: Option<Value>) -> Result<Option<T>, Failure> {
    let read = progress.map(serde_json::from_value).transpose();
    read.map_err(|error| unexpected(format!("the progress of this operation can't be read: {error}")))
}

fn written(value: &impl Serialize) -> Result<Value, Failure> {
    serde_json::to_value(value).map_err(|error| Failure::new(Cause::Unexpected, &error))
}
