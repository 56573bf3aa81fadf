//! Messages to archive: an hour of them each time, and a migration of that hour.

use crate::deployment::{Deployment, until};
use crate::in_flight;
use granary_archive::Archive;
use granary_domain::ObjectKey;
use reqwest::Method;
use serde_json::json;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::time::{Duration, Instant};

/// With the stack's batch size they are a thousand batches, which take two exporters a minute.
const MESSAGES: usize = 20_000;
const BULK_MESSAGES: usize = 5_000;
const PREFIX: &str = "upgrade-";
const DATE: &str = "2026-03-01";
/// A worker that a deployment has ended holds its batch until its lease is over; the message of one that had not begun is resent after
/// two minutes.
const ARCHIVED_WITHIN: Duration = Duration::from_secs(900);
const POLL: Duration = Duration::from_secs(5);

pub(crate) struct Load<'a> {
    deployment: &'a Deployment,
    /// One for each hour of the day, from midnight on.
    migrations: Vec<String>,
}

impl<'a> Load<'a> {
    pub(crate) fn new(deployment: &'a Deployment) -> Self {
        Self {
            deployment,
            migrations: Vec::new(),
        }
    }

    /// Writes an hour of messages, asks for its migration, and waits until at least so many batches are in flight.
    pub(crate) async fn add(&mut self, batches: u64) {
        let hour = self.migrations.len();
        for first in (0..MESSAGES).step_by(BULK_MESSAGES) {
            self.write(hour, first).await;
        }
        let range = json!({
            "from": format!("{DATE}T{hour:02}:00:00Z"),
            "to": format!("{DATE}T{:02}:00:00Z", hour + 1),
        });
        let asked = self.deployment.post("/migrate", Some(range)).await;
        let migration = asked["migrationId"].as_str().expect("a migration has an id");
        self.migrations.push(migration.to_owned());
        until("its batches are in flight", async || {
            self.deployment.invoke("harvester", &json!({})).await;
            (in_flight(self.deployment).await >= batches).then_some(())
        })
        .await;
    }

    async fn write(&self, hour: usize, first: usize) {
        let mut bulk = String::new();
        for number in first..first + BULK_MESSAGES {
            let id = format!("{PREFIX}{hour:02}-{number:06}");
            let (minute, second) = (number / 60 % 60, number % 60);
            let message = json!({
                &self.deployment.id_field: id,
                &self.deployment.time_field: format!("{DATE}T{hour:02}:{minute:02}:{second:02}Z"),
            });
            writeln!(bulk, "{}\n{message}", json!({ "index": { "_id": id } })).unwrap();
        }
        let path = format!("/{}/_bulk?refresh=true", self.deployment.index);
        let answer = self.deployment.elasticsearch(Method::POST, &path, bulk).await;
        assert_eq!(answer.body["errors"], false, "{answer:?}");
    }

    pub(crate) async fn until_it_is_archived(&self) {
        let deadline = Instant::now() + ARCHIVED_WITHIN;
        for migration in &self.migrations {
            let path = format!("/migrate/status/{migration}");
            loop {
                let status = self.deployment.get(&path).await;
                if status["nothingOpen"] == true {
                    let progress = &status["progress"];
                    let all = json!(MESSAGES);
                    assert_eq!(
                        (&progress["known"], &progress["success"]),
                        (&all, &all),
                        "{status}"
                    );
                    break;
                }
                assert!(Instant::now() < deadline, "{status}");
                tokio::time::sleep(POLL).await;
            }
        }
    }

    pub(crate) async fn assert_complete(&self) {
        for migration in &self.migrations {
            let asked = json!({ "migrationId": migration });
            let report = self.deployment.operate("/verify", asked).await;
            assert_eq!(report["verdict"], "COMPLETE", "{report}");
        }
    }

    /// Each message is one line of one object, of all that are in the bucket.
    pub(crate) async fn assert_each_once(&self) {
        let deployment = self.deployment;
        let archive = Archive::new(&deployment.aws, &deployment.bucket, deployment.layout.clone());
        let mut lines = BTreeMap::<String, u32>::new();
        for key in self.objects().await {
            let read = archive.read_lines(&key, |id, _line| {
                *lines.entry(id.as_str().to_owned()).or_default() += 1;
            });
            assert!(read.await.unwrap().is_some(), "{key} is listed and not there");
        }
        assert_eq!(lines.len(), MESSAGES * self.migrations.len());
        let twice: Vec<_> = lines.iter().filter(|(_, count)| **count > 1).collect();
        assert!(twice.is_empty(), "{twice:?}");
    }

    async fn objects(&self) -> Vec<ObjectKey> {
        let prefix = format!("{}dt={DATE}/", self.deployment.layout.root());
        let s3 = self.deployment.s3();
        let listing = s3
            .list_objects_v2()
            .bucket(&self.deployment.bucket)
            .prefix(prefix);
        let pages = listing.into_paginator().send();
        let pages = pages.collect::<Result<Vec<_>, _>>().await.unwrap();
        let objects = pages.into_iter().filter_map(|page| page.contents).flatten();
        let keys = objects.filter_map(|object| object.key);
        keys.map(ObjectKey::from_record).collect()
    }
}
