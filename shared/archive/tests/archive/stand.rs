//! What a test stands on: a bucket of its own, a temp directory of its own, and verbs.

use aws_config::{BehaviorVersion, SdkConfig};
use aws_sdk_s3::primitives::ByteStream;
use aws_smithy_http_client::Builder;
use aws_smithy_http_client::tls::{Provider, rustls_provider::CryptoMode};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use granary_archive::{Archive, Line, MetadataValue, PutSettings, SealedSpool, Spool};
use granary_domain::{
    BatchId, Compression, Format, Generation, Hour, Layout, MessageId, MetadataName, ObjectKey,
};
use rand::Rng;
use tempfile::TempDir;

pub(crate) type Form = (Format, Compression);

pub(crate) const FORMS: [Form; 6] = [
    (Format::Ndjson, Compression::Zstd),
    (Format::Ndjson, Compression::Gzip),
    (Format::Ndjson, Compression::None),
    (Format::Json, Compression::Zstd),
    (Format::Json, Compression::Gzip),
    (Format::Json, Compression::None),
];

pub(crate) const BATCH: BatchId = BatchId(7);

/// Everything in parts of the smallest size.
pub(crate) const IN_PARTS: PutSettings = PutSettings {
    multipart_from_bytes: 0,
    part_bytes: 5 * 1024 * 1024,
    parallel_parts: 3,
};

/// Everything in one piece.
pub(crate) const WHOLE: PutSettings = PutSettings {
    multipart_from_bytes: u64::MAX,
    part_bytes: 5 * 1024 * 1024,
    parallel_parts: 3,
};

pub(crate) struct Stand {
    pub(crate) archive: Archive,
    pub(crate) client: aws_sdk_s3::Client,
    pub(crate) bucket: String,
    pub(crate) temp: TempDir,
}

pub(crate) fn endpoint() -> String {
    std::env::var("AWS_ENDPOINT_URL")
        .expect("AWS_ENDPOINT_URL names the S3 endpoint; start the local stack first")
}

pub(crate) async fn config_at(endpoint: &str) -> SdkConfig {
    let http = Builder::new()
        .tls_provider(Provider::Rustls(CryptoMode::Ring))
        .build_https();
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http)
        .endpoint_url(endpoint)
        .load()
        .await
}

fn client(config: &SdkConfig) -> aws_sdk_s3::Client {
    aws_sdk_s3::Client::from_conf(
        aws_sdk_s3::config::Builder::from(config)
            .force_path_style(true)
            .build(),
    )
}

/// Takes the bucket away, on a thread and a runtime of its own: the test's runtime is waiting for it meanwhile.
impl Drop for Stand {
    fn drop(&mut self) {
        let bucket = self.bucket.clone();
        let cleared = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread()
                .enable_all()
                .build()
                .unwrap();
            runtime.block_on(async {
                let client = client(&config_at(&endpoint()).await);
                let objects = client.list_objects_v2().bucket(&bucket).send().await.unwrap();
                for object in objects.contents() {
                    client
                        .delete_object()
                        .bucket(&bucket)
                        .set_key(object.key.clone())
                        .send()
                        .await
                        .unwrap();
                }
                client.delete_bucket().bucket(&bucket).send().await.unwrap();
            });
        });
        assert!(
            cleared.join().is_ok() || std::thread::panicking(),
            "a bucket is left behind"
        );
    }
}

impl Stand {
    pub(crate) async fn new() -> Self {
        let config = config_at(&endpoint()).await;
        let bucket = format!("archive-{}", uuid::Uuid::now_v7());
        let client = client(&config);
        client
            .create_bucket()
            .bucket(&bucket)
            .send()
            .await
            .expect("the endpoint makes a bucket");
        let archive = Archive::new(&config, &bucket, layout());
        Self {
            archive,
            client,
            bucket,
            temp: tempfile::tempdir().unwrap(),
        }
    }

    /// The same bucket, reached by another address.
    pub(crate) async fn archive_at(&self, endpoint: &str) -> Archive {
        Archive::new(&config_at(endpoint).await, &self.bucket, layout())
    }

    pub(crate) fn spool(&self, form: Form, messages: &[Message]) -> SealedSpool {
        let mut spool = Spool::create(self.temp.path(), form.0, form.1).unwrap();
        messages.iter().for_each(|message| message.write_to(&mut spool));
        spool.seal().unwrap()
    }

    /// Puts bytes that didn't come from a spool.
    pub(crate) async fn put_foreign(&self, key: &ObjectKey, bytes: impl Into<ByteStream>) {
        self.client
            .put_object()
            .bucket(&self.bucket)
            .key(key.as_str())
            .body(bytes.into())
            .send()
            .await
            .unwrap();
    }

    pub(crate) async fn has_no_unfinished_upload(&self) -> bool {
        self.archive.unfinished_uploads().await.unwrap().is_empty()
    }
}

fn layout() -> Layout {
    Layout::new("archive", "messages")
}

pub(crate) fn key(form: Form, generation: u32) -> ObjectKey {
    let hour = Hour::of("2026-11-22T06:30:00Z".parse().unwrap());
    layout().object(hour, BATCH, Generation(generation), form)
}

/// A message with a history.
pub(crate) struct Message {
    pub(crate) id: MessageId,
    pub(crate) body: String,
}

impl Message {
    pub(crate) fn new(id: &str, body: impl Into<String>) -> Self {
        Self {
            id: MessageId::try_from(id.to_owned()).unwrap(),
            body: body.into(),
        }
    }

    pub(crate) fn write_to(&self, spool: &mut Spool) {
        let history = MetadataName::try_from("history".to_owned()).unwrap();
        let documents: &[&[u8]] = &[b"{\"at\":1}", b"{\"at\":2}"];
        let metadata = [(&history, MetadataValue::Many(documents))];
        let line = Line {
            message_id: &self.id,
            doc_id: self.id.as_str(),
            index: "messages-1",
            routing: None,
            version: 3,
            seq_no: 5,
            primary_term: 1,
            message: self.body.as_bytes(),
            metadata: &metadata,
        };
        spool.write(&line).unwrap();
    }
}

/// Messages whose bytes don't compress: `count` of them, of `bytes` each.
pub(crate) fn incompressible(count: usize, bytes: usize) -> Vec<Message> {
    let message = |number| {
        let mut noise = vec![0; bytes * 3 / 4];
        rand::rng().fill_bytes(&mut noise);
        Message::new(&format!("m-{number}"), format!("\"{}\"", STANDARD.encode(noise)))
    };
    (0..count).map(message).collect()
}
