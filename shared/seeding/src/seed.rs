//! Writing test messages, some thousand a step.

use crate::bulk::Bodies;
use crate::message::{Message, quoted};
use crate::{SeedError, Seeder, metadata};
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::Instant;

const MESSAGES_PER_STEP: u64 = 2_000;
const COUNT_MAX: u64 = 10_000_000;
const HOURS_MAX: u64 = 24 * 366;
const HOURS: u32 = 6;
/// How far event times stay behind the harvest's lag.
const MARGIN: SignedDuration = SignedDuration::from_secs(60);

/// What is to be seeded. The same arguments make the same documents, whenever a step is taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct SeedArguments {
    /// Messages.
    pub count: u64,
    /// The seed number: part of every id, and the value of the field `granary_seed`.
    pub seed: u64,
    /// Event times end before it.
    pub base: Timestamp,
    /// Hours before it that event times are spread over.
    pub hours: u32,
    /// Messages in one bulk request at most; `None`: as many as fit into its bytes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch_size: Option<u32>,
}

/// How far the seeding is.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeedProgress {
    /// Messages written.
    pub next: u64,
    /// 0 to 100.
    pub percent: u8,
    /// Documents written, by index.
    pub documents: BTreeMap<String, u64>,
    /// Bytes sent.
    pub bytes: u64,
    /// Milliseconds of work, over all steps.
    pub worked_ms: u64,
}

/// What was seeded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SeedReport {
    /// What was asked for.
    #[serde(flatten)]
    pub arguments: SeedArguments,
    /// Documents written, by index.
    pub documents: BTreeMap<String, u64>,
    /// Bytes sent.
    pub bytes: u64,
    /// The id of the first message; the others differ in the number at its end.
    pub first_id: String,
    /// Milliseconds of work, over all steps.
    pub worked_ms: u64,
}

/// What one step came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SeedStep {
    /// Some messages were written.
    More(SeedProgress),
    /// All are written, and can be searched.
    Done(SeedReport),
}

impl Seeder {
    /// Fixes what is to be seeded: by default over the last 6 hours that the harvest sees at once, under a seed number
    /// that nobody used before (the time in milliseconds).
    pub async fn arguments(
        &self,
        count: u64,
        seed: Option<u64>,
        hours: Option<u32>,
    ) -> Result<SeedArguments, SeedError> {
        let now = self.ledger.now().await?;
        let lag = SignedDuration::try_from(self.target.lag).unwrap_or(SignedDuration::ZERO);
        let arguments = SeedArguments {
            count,
            seed: seed.unwrap_or(u64::try_from(now.as_millisecond()).unwrap_or_default()),
            base: now - lag - MARGIN,
            hours: hours.unwrap_or(HOURS),
            batch_size: None,
        };
        arguments.check()?;
        Ok(arguments)
    }

    /// Writes the next messages with their metadata, each under its own `_id`: a step that is repeated writes the same.
    pub async fn seed_step(
        &self,
        arguments: &SeedArguments,
        progress: Option<SeedProgress>,
    ) -> Result<SeedStep, SeedError> {
        let began = Instant::now();
        let mut progress = match progress {
            Some(progress) => progress,
            None => {
                arguments.check()?;
                self.make_indices().await?;
                SeedProgress::default()
            }
        };
        if progress.next >= arguments.count {
            return self.finish_seeding(arguments, progress).await.map(SeedStep::Done);
        }
        let end = arguments.count.min(progress.next + MESSAGES_PER_STEP);
        let bodies = self.bodies(arguments, progress.next..end, &mut progress.documents)?;
        progress.bytes += self.send(bodies).await?;
        progress.next = end;
        progress.percent = u8::try_from(end * 100 / arguments.count.max(1)).unwrap_or(100);
        progress.worked_ms += u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
        Ok(SeedStep::More(progress))
    }

    /// The messages in some bodies, their metadata in others: so they go up side by side.
    fn bodies(
        &self,
        arguments: &SeedArguments,
        numbers: std::ops::Range<u64>,
        documents: &mut BTreeMap<String, u64>,
    ) -> Result<Vec<Bodies>, SeedError> {
        let (mut messages, mut related) = (Bodies::default(), Bodies::default());
        let index = quoted(&self.target.index);
        *documents.entry(self.target.index.clone()).or_default() += numbers.end - numbers.start;
        let first = numbers.start;
        for number in numbers {
            let is_full = |size| number > first && (number - first).is_multiple_of(u64::from(size));
            if arguments.batch_size.is_some_and(is_full) {
                messages.close();
                related.close();
            }
            let mut message = Message::new(arguments, number);
            let out = messages.open();
            writeln!(
                out,
                "{{\"index\":{{\"_index\":{index},\"_id\":\"{}\"}}}}",
                message.id
            )?;
            message.write_to(out, &self.target)?;
            out.push('\n');
            for source in &self.target.metadata {
                let written = metadata::write_documents(&mut message, source, related.open())?;
                match documents.get_mut(&source.index) {
                    Some(count) => *count += written,
                    None => drop(documents.insert(source.index.clone(), written)),
                }
            }
        }
        Ok(vec![messages, related])
    }

    async fn finish_seeding(
        &self,
        arguments: &SeedArguments,
        progress: SeedProgress,
    ) -> Result<SeedReport, SeedError> {
        self.writer.refresh(&self.indices()).await?;
        Ok(SeedReport {
            arguments: arguments.clone(),
            documents: progress.documents,
            bytes: progress.bytes,
            first_id: Message::new(arguments, 0).id,
            worked_ms: progress.worked_ms,
        })
    }
}

impl SeedArguments {
    fn check(&self) -> Result<(), SeedError> {
        let limits = [
            ("the count of messages", self.count, COUNT_MAX),
            ("the number of hours", u64::from(self.hours), HOURS_MAX),
            ("the seed number", self.seed.max(1), i64::MAX.unsigned_abs()),
        ];
        match limits
            .into_iter()
            .find(|(_, found, most)| !(1..=*most).contains(found))
        {
            Some((what, found, most)) => Err(SeedError::OutOfRange { what, found, most }),
            None => Ok(()),
        }
    }
}
