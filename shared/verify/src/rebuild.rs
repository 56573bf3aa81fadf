//! Rebuilding a lost ledger from the archive: manifest by manifest, each sound batch goes on record as completed.
//!
//! Three rounds over the listing: manifests are counted, then read, and at last the objects that no batch on record names are
//! counted. Of a batch, the newest generation whose object is what its manifest says counts. Whatever contradicts that is
//! counted and named, and nothing is guessed: an object without a manifest, a manifest without its object, a message in two
//! objects. Nothing in S3 is changed.
//!
//! Each step may be repeated: what is on record already is counted and not read again. A step begins only while harvest and
//! export are paused and the ledger has no batch of any other origin.
//!
//! Not responsible for what the archive doesn't hold: messages that were not exported and exceptions are harvested again
//! afterwards, and a verification proves the result. See decision 18.

mod batch;
mod report;

pub use report::{Contradiction, RebuildReport};

use crate::{Verifier, VerifyError};
use batch::{Generations, Read};
use futures::future::try_join_all;
use granary_domain::{BatchId, ObjectKey, Place};
use granary_ledger::integrity::{RebuildMigration, Rebuilt, RebuiltBatch};
use serde::{Deserialize, Serialize};
use std::collections::HashMap;

const MANIFESTS: &str = "_manifests/";
const OBJECTS: &str = "dt=";
/// Listings that one step counts.
const PAGES_PER_STEP_MAX: u32 = 20;
/// Batches that one step reads. What a step did before its process died is found on record.
const BATCHES_PER_STEP_MAX: usize = 32;
const PARALLEL_READS: usize = 4;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RebuildArguments {
    /// Only look: manifests are read, objects are looked at, and nothing is recorded.
    pub dry_run: bool,
    /// Messages in a batch at most, for the rebuild's migration.
    pub batch_size: u32,
    /// Why.
    pub reason: Option<String>,
    /// Who asked.
    pub requested_by: String,
}

/// How far a rebuild is: all that a later step needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct RebuildProgress {
    /// What comes next.
    pub next: Round,
    /// Manifests in the archive, as far as they are counted.
    pub total: u64,
    /// 0 to 100, by manifests.
    pub percent: u8,
    /// What was found so far.
    pub report: RebuildReport,
}

/// Which round, and the key that it has come to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Round {
    /// Manifests are counted.
    Count(Option<ObjectKey>),
    /// Batches are put on record.
    Batches(Option<ObjectKey>),
    /// Objects that no batch on record names are looked for.
    Objects(Option<ObjectKey>),
}

impl Default for Round {
    fn default() -> Self {
        Self::Count(None)
    }
}

/// What one step led to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RebuildStep {
    /// There is more to do.
    More(Box<RebuildProgress>),
    /// The end.
    Done(Box<RebuildReport>),
    /// It can't continue: why, for people.
    Refused(String),
}

/// Why a rebuild is broken off.
enum BrokenOff {
    Cancelled,
    Error(VerifyError),
}

impl<E: Into<VerifyError>> From<E> for BrokenOff {
    fn from(error: E) -> Self {
        Self::Error(error.into())
    }
}

impl Verifier {
    /// Counts some manifests, or reads some batches.
    pub async fn rebuild_step(
        &self,
        arguments: &RebuildArguments,
        progress: Option<RebuildProgress>,
    ) -> Result<RebuildStep, VerifyError> {
        let obstacle = self.ledger.rebuild_obstacle().await?;
        let obstacle = obstacle.map(|obstacle| format!("a rebuild is not possible: {obstacle}"));
        match obstacle {
            Some(text) if !arguments.dry_run => return Ok(RebuildStep::Refused(text)),
            Some(_) | None => {}
        }
        let mut progress = progress.unwrap_or_default();
        progress.report.dry_run = arguments.dry_run;
        progress.report.obstacle = obstacle;
        let stepped = match progress.next.clone() {
            Round::Count(after) => self.count_manifests(&mut progress, after).await,
            Round::Batches(after) => self.rebuild_some(arguments, &mut progress, after).await,
            Round::Objects(after) => self.look_at_objects(&mut progress, after).await,
        };
        match stepped {
            Ok(Some(next)) => {
                progress.move_to(next);
                Ok(RebuildStep::More(Box::new(progress)))
            }
            Ok(None) => Ok(RebuildStep::Done(Box::new(progress.report))),
            Err(BrokenOff::Cancelled) => Ok(RebuildStep::Refused(
                "its migration was cancelled; begin again with an empty database".to_owned(),
            )),
            Err(BrokenOff::Error(error)) => Err(error),
        }
    }

    async fn count_manifests(
        &self,
        progress: &mut RebuildProgress,
        mut after: Option<ObjectKey>,
    ) -> Result<Option<Round>, BrokenOff> {
        for _ in 0..PAGES_PER_STEP_MAX {
            let page = self.archive.list(MANIFESTS, after.as_ref()).await?;
            progress.total += page.objects.len() as u64;
            match page.next {
                Some(next) => after = Some(next),
                None => return Ok(Some(Round::Batches(None))),
            }
        }
        Ok(Some(Round::Count(after)))
    }

    async fn rebuild_some(
        &self,
        arguments: &RebuildArguments,
        progress: &mut RebuildProgress,
        after: Option<ObjectKey>,
    ) -> Result<Option<Round>, BrokenOff> {
        let page = self.archive.list(MANIFESTS, after.as_ref()).await?;
        let is_last = page.next.is_none();
        let mut batches = Generations::of_page(self.archive.layout(), page.objects);
        if !is_last && batches.len() > 1 {
            // The next page may have more generations of the last batch.
            batches.pop();
        }
        let is_all = is_last && batches.len() <= BATCHES_PER_STEP_MAX;
        batches.truncate(BATCHES_PER_STEP_MAX);
        let reached = batches.last().and_then(Generations::last_key);
        let known = self
            .known(arguments, batches.iter().filter_map(Generations::batch))
            .await?;
        for some in batches.chunks(PARALLEL_READS) {
            let reading = some.iter().map(|batch| {
                let known = batch.batch().and_then(|id| known.get(&id).copied());
                self.read_batch(arguments, batch, known)
            });
            // All of them first: the ledger is asked once none of them is under way.
            for read in try_join_all(reading).await? {
                self.put_on_record(arguments, &mut progress.report, read).await?;
            }
        }
        let counted: usize = batches.iter().map(Generations::count).sum();
        progress.report.manifests += counted as u64;
        Ok(Some(if is_all {
            Round::Objects(None)
        } else {
            Round::Batches(reached)
        }))
    }

    async fn known(
        &self,
        arguments: &RebuildArguments,
        batches: impl Iterator<Item = BatchId>,
    ) -> Result<HashMap<BatchId, RebuiltBatch>, VerifyError> {
        if arguments.dry_run {
            return Ok(HashMap::new());
        }
        let batches: Vec<BatchId> = batches.collect();
        Ok(self.ledger.rebuilt_batches(&batches).await?)
    }

    async fn put_on_record(
        &self,
        arguments: &RebuildArguments,
        report: &mut RebuildReport,
        read: Read,
    ) -> Result<(), BrokenOff> {
        read.contradictions
            .into_iter()
            .for_each(|contradiction| report.contradicts(contradiction));
        let Some(sound) = read.sound else {
            return Ok(());
        };
        if arguments.dry_run {
            report.count(&sound, sound.exported);
            return Ok(());
        }
        if let Some(known) = sound.known {
            report.count(&sound, known.messages);
            report.left_out += sound.exported.saturating_sub(known.messages);
            return Ok(());
        }
        let (messages, without_time) = self.with_times(sound.batch.hour, &sound.lines).await?;
        let migration = RebuildMigration {
            batch_size: arguments.batch_size,
            requested_by: arguments.requested_by.clone(),
        };
        let rebuilt = self.ledger.rebuild_batch(&migration, &sound.batch, &messages);
        match rebuilt.await? {
            Rebuilt::Recorded { messages, elsewhere } => {
                report.count(&sound, messages);
                report.times_of_hour += without_time;
                report.leave_out(&sound, &elsewhere);
            }
            Rebuilt::AlreadyThere(known) => report.count(&sound, known.messages),
            Rebuilt::Redundant { elsewhere } => report.leave_out(&sound, &elsewhere),
            Rebuilt::Cancelled => return Err(BrokenOff::Cancelled),
        }
        Ok(())
    }

    async fn look_at_objects(
        &self,
        progress: &mut RebuildProgress,
        after: Option<ObjectKey>,
    ) -> Result<Option<Round>, BrokenOff> {
        let page = self.archive.list(OBJECTS, after.as_ref()).await?;
        let layout = self.archive.layout();
        let places = page.objects.iter().map(|object| layout.place_of(&object.key));
        let places: Vec<Option<Place>> = places.collect();
        let mut batches: Vec<BatchId> = places.iter().flatten().filter_map(Place::batch).collect();
        batches.sort_unstable();
        batches.dedup();
        let known = self.ledger.rebuilt_batches(&batches).await?;
        let report = &mut progress.report;
        for (object, place) in page.objects.iter().zip(places) {
            report.objects += 1;
            let Some(Place::Object {
                batch, generation, ..
            }) = place.filter(|_| !report.dry_run)
            else {
                continue;
            };
            match known.get(&batch) {
                Some(on_record) if on_record.generation == generation => {}
                Some(on_record) if generation < on_record.generation => {
                    report.older.add(&object.key, object.bytes)
                }
                Some(_) | None => report.without_batch.add(&object.key, object.bytes),
            }
        }
        Ok(page.next.map(|next| Round::Objects(Some(next))))
    }
}

impl RebuildProgress {
    fn move_to(&mut self, next: Round) {
        let percent = self.report.manifests.saturating_mul(100) / self.total.max(1);
        self.percent = match next {
            Round::Count(_) => 0,
            Round::Batches(_) | Round::Objects(_) => u8::try_from(percent).unwrap_or(99).min(99),
        };
        self.next = next;
    }
}
