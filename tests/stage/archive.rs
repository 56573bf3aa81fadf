//! The archive: a bucket, and what is in it.

use super::{PREFIX, SOURCE_NAME};
use aws_config::SdkConfig;
use aws_sdk_s3::Client;
use granary_archive::Archive;
use granary_domain::{LEDGER, Layout, ObjectKey, QUARANTINE};
use serde_json::Value;
use serde_json::value::RawValue;
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::time::Duration;

const POLL_INTERVAL: Duration = Duration::from_millis(20);
const POLLS_MAX: u32 = 1_500;

/// One line of an object on S3.
#[derive(Debug, Clone)]
pub(crate) struct ExportedLine {
    pub(crate) key: ObjectKey,
    pub(crate) message_id: String,
    /// The bytes of `message`: the document's `_source`.
    pub(crate) message: String,
    fields: BTreeMap<String, Box<RawValue>>,
}

impl ExportedLine {
    /// The bytes of a field; `None`: the line doesn't have it.
    pub(crate) fn raw(&self, field: &str) -> Option<&str> {
        self.fields.get(field).map(|value| value.get())
    }

    pub(crate) fn field(&self, field: &str) -> Value {
        serde_json::from_str(self.raw(field).expect("the line has the field")).unwrap()
    }
}

pub(crate) struct Bucket {
    pub(crate) name: String,
    pub(crate) archive: Archive,
    pub(crate) s3: Client,
}

impl Bucket {
    pub(crate) async fn new(aws: &SdkConfig, id: &str) -> Self {
        let bucket = Self::connected(aws, format!("granary-{id}"));
        bucket
            .s3
            .create_bucket()
            .bucket(&bucket.name)
            .send()
            .await
            .unwrap();
        bucket
    }

    fn connected(aws: &SdkConfig, name: String) -> Self {
        let settings = aws_sdk_s3::config::Builder::from(aws)
            .force_path_style(true)
            .build();
        let archive = Archive::new(aws, &name, Layout::new(PREFIX, SOURCE_NAME));
        Self {
            name,
            archive,
            s3: Client::from_conf(settings),
        }
    }

    /// The same bucket, over connections of the runtime at hand.
    pub(crate) fn reconnected(&self, aws: &SdkConfig) -> Self {
        Self::connected(aws, self.name.clone())
    }

    /// Every key in the bucket, manifests and orphans too; the mark of batch numbers is no part of the archive's content.
    pub(crate) async fn keys(&self) -> Vec<String> {
        let pages = self
            .s3
            .list_objects_v2()
            .bucket(&self.name)
            .into_paginator()
            .send();
        let pages = pages.collect::<Result<Vec<_>, _>>().await.unwrap();
        let objects = pages
            .into_iter()
            .flat_map(|page| page.contents.unwrap_or_default());
        let keys = objects.filter_map(|object| object.key);
        keys.filter(|key| !key.contains(LEDGER)).collect()
    }

    /// The keys of data objects: what Athena would read.
    pub(crate) async fn objects(&self) -> Vec<ObjectKey> {
        let mut keys = self.keys().await;
        keys.retain(|key| !key.contains("/_manifests/") && !key.contains(QUARANTINE));
        keys.into_iter().map(ObjectKey::from_record).collect()
    }

    /// The keys of what is kept of messages that can't be exported.
    pub(crate) async fn quarantine(&self) -> Vec<String> {
        let mut keys = self.keys().await;
        keys.retain(|key| key.contains(QUARANTINE));
        keys
    }

    /// Waits until so many objects are there.
    pub(crate) async fn until_it_has(&self, objects: usize) {
        for _ in 0..POLLS_MAX {
            if self.objects().await.len() >= objects {
                return;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        panic!("there never were {objects} objects");
    }

    /// Every line of every object.
    pub(crate) async fn lines(&self) -> Vec<ExportedLine> {
        let mut lines = Vec::new();
        for key in self.objects().await {
            let read = self
                .archive
                .read_lines(&key, |id, line| lines.push(exported(&key, id.as_str(), line)));
            read.await.unwrap().expect("a listed object is there");
        }
        lines
    }

    pub(crate) async fn body(&self, key: &str) -> Vec<u8> {
        let object = self
            .s3
            .get_object()
            .bucket(&self.name)
            .key(key)
            .send()
            .await
            .unwrap();
        object.body.collect().await.unwrap().to_vec()
    }

    pub(crate) async fn put(&self, key: &str, body: Vec<u8>) {
        self.s3
            .put_object()
            .bucket(&self.name)
            .key(key)
            .body(body.into())
            .send()
            .await
            .unwrap();
    }

    /// The same, with the checksum noted on it.
    pub(crate) async fn put_as_a_worker(&self, key: &str, body: Vec<u8>) {
        let sha256: String = Sha256::digest(&body)
            .iter()
            .map(|byte| format!("{byte:02x}"))
            .collect();
        let put = self.s3.put_object().bucket(&self.name).key(key);
        put.metadata("sha256", sha256)
            .body(body.into())
            .send()
            .await
            .unwrap();
    }

    pub(crate) async fn delete(&self, key: &str) {
        self.s3
            .delete_object()
            .bucket(&self.name)
            .key(key)
            .send()
            .await
            .unwrap();
    }

    pub(crate) async fn remove(&self) {
        for upload in self.archive.unfinished_uploads().await.unwrap() {
            self.archive
                .abort_upload(&upload.key, &upload.upload_id)
                .await
                .unwrap();
        }
        for key in self.keys().await {
            self.delete(&key).await;
        }
        self.delete(self.archive.layout().number_mark().as_str()).await;
        self.s3.delete_bucket().bucket(&self.name).send().await.unwrap();
    }
}

fn exported(key: &ObjectKey, message_id: &str, line: &[u8]) -> ExportedLine {
    let fields: BTreeMap<String, Box<RawValue>> = serde_json::from_slice(line).unwrap();
    ExportedLine {
        key: key.clone(),
        message_id: message_id.to_owned(),
        message: fields["message"].get().to_owned(),
        fields,
    }
}
