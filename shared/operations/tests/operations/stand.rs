//! What a test stands on: indices, a database and a bucket of its own, and verbs: what harvesters, exporters and
//! accidents do to them.

use crate::database::{database, ledger_in};
use bytes::Bytes;
use granary_archive::{Archive, Line, PutOutcome, PutSettings, Spool};
use granary_domain::{
    BatchId, Compression, Format, Layout, Manifest, MessageId, MetadataSource, MigrationId, MigrationKind,
    ObjectKey, Outcome, Priority, TimeRange,
};
use granary_environment::Environment;
use granary_ledger::Ledger;
use granary_ledger::export::{Claim, ClaimedBatch, Exception, Fenced, Settlement};
use granary_ledger::harvest::{LeasedWindow, NewMigration, PageOfMessages, Recorded, SeenMessage};
use granary_numbering::Numbering;
use granary_operations::Desk;
use granary_seeding::{SeedArguments, SeedStep, Seeder, SeedingSection, SeedingTarget};
use granary_source::{DocId, IndexWriter, PageRequest, Position, Source, SourceSettings};
use granary_verify::{Report, Step, Verifier, VerifyArguments, VerifyProgress, Visibility};
use jiff::Timestamp;
use serde_json::{Value, json};
use std::time::Duration;
use tempfile::TempDir;
use uuid::Uuid;

pub(crate) const VISIBILITY: Visibility = Visibility {
    lag: Duration::ZERO,
    horizon: Duration::from_secs(7 * 86_400),
};
pub(crate) const LEASE: Duration = Duration::from_secs(90);
const FORM: (Format, Compression) = (Format::Ndjson, Compression::Zstd);

/// Where all seeded event times end: on the hour, long ago.
pub(crate) fn base() -> Timestamp {
    "2026-03-01T12:00:00Z".parse().unwrap()
}

pub(crate) struct Stand {
    prefix: String,
    pub(crate) index: String,
    pub(crate) writer: IndexWriter,
    pub(crate) ledger: Ledger,
    pub(crate) source: Source,
    pub(crate) archive: Archive,
    pub(crate) verifier: Verifier,
    pub(crate) seeder: Seeder,
    pub(crate) desk: Desk,
    client: aws_sdk_s3::Client,
    bucket: String,
    temp: TempDir,
    /// Dropped with the stand.
    _database: granary_test_database::Database,
}

fn es_url() -> String {
    std::env::var("ES_URL")
        .expect("ES_URL must name a running Elasticsearch: start the local stack, then `. .local/env`")
}

fn writer() -> IndexWriter {
    IndexWriter::new(
        &es_url().parse().unwrap(),
        None,
        None,
        SourceSettings::REQUEST_TIMEOUT,
    )
    .unwrap()
}

impl Stand {
    pub(crate) async fn new() -> Self {
        let prefix = format!("test-{}", Uuid::now_v7().simple());
        let database = database().await;
        let ledger = ledger_in(&database).await;
        let index = format!("{prefix}-messages");
        let source = Source::new(SourceSettings {
            url: es_url().parse().unwrap(),
            credentials: None,
            ca: None,
            index: index.clone(),
            id_field: "message_id".to_owned(),
            doc_id_is_message_id: DocId::IsItsOwn,
            time_field: "created_at".to_owned(),
            filter: None,
            request_timeout: SourceSettings::REQUEST_TIMEOUT,
        });
        let source = source.unwrap();
        let (client, archive) = bucket(&prefix).await;
        Numbering::new(ledger.clone(), archive.clone())
            .reserve(1)
            .await
            .unwrap();
        let verifier = Verifier::new(ledger.clone(), source.clone(), archive.clone(), VISIBILITY);
        let seeder = seeder(&prefix, &index, &ledger, &archive).await;
        let desk = Desk::new(ledger.clone(), verifier.clone(), Some(seeder.clone()));
        Self {
            bucket: prefix.clone(),
            prefix,
            index,
            writer: writer(),
            ledger,
            source,
            archive,
            verifier,
            seeder,
            desk,
            client,
            temp: tempfile::tempdir().unwrap(),
            _database: database,
        }
    }

    /// The same with an index whose times have this type.
    pub(crate) async fn with_times(kind: &str) -> Self {
        let stand = Self::new().await;
        let fields = json!({"message_id": {"type": "keyword"}, "created_at": {"type": kind}});
        let mapping = json!({"mappings": {"properties": fields}});
        stand.writer.create_index(&stand.index, &mapping).await.unwrap();
        stand
    }

    /// The same with so many seeded messages, all of them exported by one migration.
    pub(crate) async fn with_exported(count: u64, hours: u32) -> (Self, MigrationId) {
        let stand = Self::new().await;
        stand.seed(&arguments(count, hours)).await;
        let migration = stand.harvest(None).await;
        stand.export_all().await;
        (stand, migration)
    }

    pub(crate) async fn seed(&self, arguments: &SeedArguments) {
        let mut progress = None;
        while let SeedStep::More(more) = self.seeder.seed_step(arguments, progress).await.unwrap() {
            progress = Some(more);
        }
    }

    pub(crate) fn name(&self, suffix: &str) -> String {
        format!("{}-{suffix}", self.prefix)
    }

    /// Writes a document that wasn't seeded.
    pub(crate) async fn write(&self, doc_id: &str, message_id: &str, time: Timestamp) {
        let action = json!({"index": {"_index": self.index, "_id": doc_id}});
        let document = json!({"message_id": message_id, "created_at": time.to_string()});
        let summary = self
            .writer
            .bulk(Bytes::from(format!("{action}\n{document}\n")))
            .await
            .unwrap();
        assert_eq!(summary.indexed, 1, "{:?}", summary.failed);
        self.writer.refresh(&[&self.index]).await.unwrap();
    }

    pub(crate) async fn delete_document(&self, id: &str) {
        self.writer.delete_ids(&self.index, &[id]).await.unwrap();
        self.writer.refresh(&[&self.index]).await.unwrap();
    }

    /// Records everything in the 24 hours before the base, in batches of 10.
    pub(crate) async fn harvest(&self, filter: Option<Value>) -> MigrationId {
        self.harvest_in(10, filter).await
    }

    /// The same in other batches.
    pub(crate) async fn harvest_in(&self, batch_size: u32, filter: Option<Value>) -> MigrationId {
        let range = TimeRange::new(base() - jiff::SignedDuration::from_hours(24), base()).unwrap();
        let migration = NewMigration {
            id: MigrationId::new(),
            kind: MigrationKind::Backfill,
            priority: Priority::NORMAL,
            batch_size,
            filter,
            from: range.from(),
            to: Some(range.to()),
            requested_by: "test".into(),
        };
        self.ledger.make_migration(&migration).await.unwrap();
        assert!(self.ledger.open_window(migration.id, range).await.unwrap());
        let holder = Uuid::now_v7().to_string();
        let window = self.ledger.claim_window(&holder, LEASE).await.unwrap();
        self.record(window.expect("a window waits")).await;
        migration.id
    }

    /// One page is enough for all tests here.
    async fn record(&self, window: LeasedWindow) {
        let pit = self.source.open_pit().await.unwrap();
        let request = PageRequest {
            pit: &pit,
            range: window.range,
            filter: window.filter.as_ref(),
            position: &Position::Start,
            size: 10_000,
        };
        let hits = self.source.page(&request).await.unwrap().hits;
        let messages: Vec<SeenMessage> = hits
            .into_iter()
            .map(|hit| SeenMessage {
                message_id: hit.message_id.expect("every document has an id"),
                doc_id: hit.doc_id,
                index: hit.index,
                routing: hit.routing,
                event_time: hit.event_time,
            })
            .collect();
        let page = PageOfMessages {
            messages: &messages,
            without_id: 0,
            tally_before: window.tally,
            bookmark: "the end",
        };
        let recorded = self.ledger.record_page(&window, &page, LEASE).await.unwrap();
        assert!(matches!(recorded, Recorded::Done { .. }));
        self.ledger.finish_window(&window).await.unwrap();
    }

    pub(crate) async fn export_all(&self) {
        for batch in self.ledger.unsent(None, 1_000).await.unwrap() {
            self.export(batch.batch_id, &[]).await;
        }
    }

    /// Exports a batch without the messages that are exceptions.
    pub(crate) async fn export(&self, batch: BatchId, exceptions: &[Exception]) {
        let batch = self.claim(batch).await;
        let (key, manifest) = self.put_object(&batch, exceptions).await;
        let done = self.ledger.record_exceptions(&batch, exceptions).await.unwrap();
        assert_eq!(done, Fenced::Done);
        let layout = self.archive.layout();
        let manifest_key = layout.manifest(batch.hour, batch.id, batch.generation);
        self.archive.put_manifest(&manifest_key, &manifest).await.unwrap();
        let of = |outcome| {
            exceptions
                .iter()
                .filter(|exception| exception.outcome == outcome)
                .count() as u32
        };
        let settlement = Settlement {
            object: Some(key),
            sha256: manifest.sha256.as_deref().map(from_hex),
            bytes_raw: manifest.bytes_raw,
            bytes_stored: manifest.bytes_stored,
            exported: batch.message_count - exceptions.len() as u32,
            missing: of(Outcome::Missing),
            quarantined: of(Outcome::Quarantined),
            timings: "{}".into(),
        };
        assert_eq!(
            self.ledger.settle(&batch, &settlement).await.unwrap(),
            Fenced::Done
        );
    }

    pub(crate) async fn claim(&self, batch: BatchId) -> ClaimedBatch {
        match self.ledger.claim(batch, "worker", LEASE).await.unwrap() {
            Claim::Won(claimed) => *claimed,
            Claim::Lost(why) => panic!("batch {batch} was not claimed: {why:?}"),
        }
    }

    /// Puts a batch's object, and says what its manifest has to be.
    pub(crate) async fn put_object(
        &self,
        batch: &ClaimedBatch,
        exceptions: &[Exception],
    ) -> (ObjectKey, Manifest) {
        let mut spool = Spool::create(self.temp.path(), FORM.0, FORM.1).unwrap();
        for message in self.ledger.messages_of(batch.id).await.unwrap() {
            if exceptions
                .iter()
                .all(|exception| exception.message_id != message.message_id)
            {
                let line = Line {
                    message_id: &message.message_id,
                    doc_id: message.doc_id.as_deref().unwrap_or(message.message_id.as_str()),
                    index: &message.index,
                    routing: message.routing.as_deref(),
                    version: 1,
                    // No document was ever in this state: its content isn't compared.
                    seq_no: u64::MAX,
                    primary_term: 0,
                    message: b"{}",
                    metadata: &[],
                };
                spool.write(&line).unwrap();
            }
        }
        let sealed = spool.seal().unwrap();
        let key = self
            .archive
            .layout()
            .object(batch.hour, batch.id, batch.generation, FORM);
        let put = self
            .archive
            .put(&key, batch.id, &sealed, PutSettings::default())
            .await
            .unwrap();
        assert_eq!(put, PutOutcome::Written);
        let contents = &sealed.contents;
        let exceptions = exceptions
            .iter()
            .map(|exception| granary_domain::ManifestException {
                message_id: exception.message_id.clone(),
                outcome: exception.outcome,
                reason: exception.reason.clone(),
            });
        let manifest = Manifest {
            v: 1,
            source: "messages".into(),
            batch_id: batch.id,
            generation: batch.generation,
            migration_id: batch.migration_id,
            window_id: batch.window_id,
            hour: batch.hour,
            attempt: batch.fence.0,
            object: Some(key.clone()),
            messages: u64::from(batch.message_count),
            exported: contents.exported,
            exceptions: exceptions.collect(),
            first_id: contents.first_id.clone(),
            last_id: contents.last_id.clone(),
            id_digest: contents.id_digest,
            metadata: contents.metadata.clone(),
            sha256: Some(contents.sha256.to_string()),
            bytes_raw: contents.bytes_raw,
            bytes_stored: contents.bytes_stored,
        };
        (key, manifest)
    }

    /// Verifies to the end. The progress goes through JSON after every step, as it does in the ledger.
    pub(crate) async fn verify(&self, arguments: &VerifyArguments) -> Report {
        let mut progress: Option<VerifyProgress> = None;
        loop {
            match self.verifier.step(arguments, progress, u64::MAX).await.unwrap() {
                Step::More(more) => {
                    let text = serde_json::to_string(&more).unwrap();
                    progress = Some(serde_json::from_str(&text).unwrap());
                }
                Step::TooLarge { messages } => panic!("{messages} messages are too many"),
                Step::Done(report) => {
                    let text = serde_json::to_string(&report).unwrap();
                    assert_eq!(serde_json::from_str::<Report>(&text).unwrap(), *report);
                    return *report;
                }
            }
        }
    }

    pub(crate) async fn verify_all(&self) -> Report {
        self.verify(&VerifyArguments::default()).await
    }

    /// The keys under the source's root that begin with `under`.
    pub(crate) async fn keys(&self, under: &str) -> Vec<ObjectKey> {
        let page = self.archive.list(under, None).await.unwrap();
        page.objects.into_iter().map(|object| object.key).collect()
    }

    pub(crate) async fn read(&self, key: &ObjectKey) -> Vec<u8> {
        let get = self.client.get_object().bucket(&self.bucket).key(key.as_str());
        get.send().await.unwrap().body.collect().await.unwrap().to_vec()
    }

    /// Puts bytes over whatever stands at a key.
    pub(crate) async fn overwrite(&self, key: &ObjectKey, bytes: Vec<u8>) {
        let put = self.client.put_object().bucket(&self.bucket).key(key.as_str());
        put.body(bytes.into()).send().await.unwrap();
    }
}

impl Drop for Stand {
    /// Also where a test panics; the database does the same for itself.
    fn drop(&mut self) {
        let names = ["messages", "status", "history", "processing"].map(|suffix| self.name(suffix));
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                for name in &names {
                    drop(writer().delete_index(name).await);
                }
            });
        });
        drop(dropping.join());
    }
}

async fn bucket(name: &str) -> (aws_sdk_s3::Client, Archive) {
    assert!(
        std::env::var("AWS_ENDPOINT_URL").is_ok(),
        "AWS_ENDPOINT_URL must name the S3 endpoint: start the local stack, then `. .local/env`"
    );
    let config = granary_environment::aws::sdk_config().await;
    let path_style = aws_sdk_s3::config::Builder::from(&config).force_path_style(true);
    let client = aws_sdk_s3::Client::from_conf(path_style.build());
    client.create_bucket().bucket(name).send().await.unwrap();
    let archive = Archive::new(&config, name, Layout::new("archive", "messages"));
    (client, archive)
}

async fn seeder(prefix: &str, index: &str, ledger: &Ledger, archive: &Archive) -> Seeder {
    let url = es_url();
    let mut env = Environment::from_variables([
        ("GRANARY_ALLOW_SEEDING", "true"),
        ("GRANARY_SEED_ES_URL", url.as_str()),
    ]);
    let aws = granary_environment::aws::sdk_config().await;
    let section = SeedingSection::read(&mut env, &aws).await.ok().flatten();
    let target = SeedingTarget {
        index: index.to_owned(),
        id_field: "message_id".to_owned(),
        time_field: "created_at".to_owned(),
        metadata: metadata(prefix),
        lag: Duration::ZERO,
        request_timeout: SourceSettings::REQUEST_TIMEOUT,
    };
    let section = section.expect("the environment allows it");
    Seeder::new(section, target, ledger.clone(), archive.clone()).unwrap()
}

fn metadata(prefix: &str) -> Vec<MetadataSource> {
    let source = |name: &str, many: bool| json!({"name": name, "index": format!("{prefix}-{name}"), "key": "message_id", "many": many, "sort": "at"});
    let sources = json!([
        source("status", false),
        source("history", true),
        source("processing", true)
    ]);
    serde_json::from_value(sources).unwrap()
}

pub(crate) fn arguments(count: u64, hours: u32) -> SeedArguments {
    SeedArguments {
        count,
        seed: 7,
        base: base(),
        hours,
        batch_size: None,
    }
}

pub(crate) fn seeded_id(number: u64) -> MessageId {
    MessageId::try_from(format!("granary-seed-7-{number:08}")).unwrap()
}

fn from_hex(text: &str) -> [u8; 32] {
    let digits = |at: usize| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap();
    std::array::from_fn(digits)
}
