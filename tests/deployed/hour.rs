//! An hour of event time that belongs to one test: nobody else has messages in it.

use super::deployment::{Deployment, Ticks};
use crate::stage::CANARY;
use granary_domain::Hour;
use jiff::{SignedDuration, Timestamp};
use reqwest::Method;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write;
use uuid::Uuid;

/// Old enough that no seeding reaches there.
const HOURS_AGO_MIN: u64 = 48;
const HOURS_AGO_MAX: u64 = 90 * 24;

/// An object as the bucket lists it: its ETag and when it was written.
pub(super) type Listed = (String, String);

pub(super) struct PrivateHour<'a> {
    deployment: &'a Deployment,
    hour: Hour,
    /// Part of every id, as of seeded messages.
    seed: u64,
    ids: Vec<String>,
}

impl<'a> PrivateHour<'a> {
    /// An hour with so many messages at the source. Nothing of them is on record yet.
    pub(super) async fn with_messages(deployment: &'a Deployment, count: usize) -> Self {
        deployment.make_source().await;
        let seed = Uuid::now_v7().as_u128() as u64 >> 1;
        let hour = free_hour(deployment, seed).await;
        let ids = (0..count).map(|number| format!("granary-seed-{seed}-{number:08}"));
        let private = Self {
            deployment,
            hour,
            seed,
            ids: ids.collect(),
        };
        private.write().await;
        private
    }

    /// The id of one of its messages.
    pub(super) fn id_of_one(&self) -> &str {
        &self.ids[self.ids.len() / 2]
    }

    /// Its range, as a request has it.
    pub(super) fn asked_for(&self) -> Value {
        let range = self.hour.range();
        json!({ "from": range.from(), "to": range.to() })
    }

    /// Writes its messages to the source: the same ones, each time.
    pub(super) async fn write(&self) {
        let mut bulk = String::new();
        for (second, id) in self.ids.iter().enumerate() {
            let time = self.hour.start() + SignedDuration::from_secs(second as i64);
            let message = json!({
                &self.deployment.id_field: id, &self.deployment.time_field: time,
                "granary_seed": self.seed, "kind": CANARY,
            });
            writeln!(bulk, "{}\n{message}", json!({ "index": { "_id": id } })).unwrap();
        }
        let path = format!("/{}/_bulk?refresh=true", self.deployment.index);
        let answer = self.deployment.elasticsearch(Method::POST, &path, bulk).await;
        assert_eq!(answer.body["errors"], false, "{answer:?}");
    }

    /// Asks for a migration of this hour, and waits until it has nothing open. Its id.
    pub(super) async fn migrate(&self) -> String {
        let asked = self.deployment.post("/migrate", Some(self.asked_for())).await;
        let id = asked["migrationId"]
            .as_str()
            .expect("a migration has an id")
            .to_owned();
        let status = self.deployment.finish(&id, Ticks::ByHand).await;
        let progress = &status["progress"];
        let count = self.ids.len();
        assert_eq!(
            (&progress["known"], &progress["success"]),
            (&json!(count), &json!(count)),
            "{status}"
        );
        id
    }

    /// What the archive has of this hour: data objects by key.
    pub(super) async fn objects(&self) -> BTreeMap<String, Listed> {
        let (date, hour) = (self.hour.date(), self.hour.hour_of_day());
        let prefix = format!("{}dt={date}/hour={hour}/", self.deployment.layout.root());
        let s3 = self.deployment.s3();
        let listed = s3
            .list_objects_v2()
            .bucket(&self.deployment.bucket)
            .prefix(prefix)
            .send();
        let objects = listed.await.unwrap().contents.unwrap_or_default().into_iter();
        objects
            .map(|object| {
                let written = object.last_modified.expect("it was written").to_string();
                (object.key.unwrap(), (object.e_tag.unwrap(), written))
            })
            .collect()
    }

    /// The batches that own its messages: number, migration, attempts and object.
    pub(super) async fn batches(&self) -> Vec<(u64, String, u32, String)> {
        let query = format!(
            "SELECT DISTINCT b.id, LOWER(HEX(b.migration_id)), b.attempts, b.object_key FROM message m \
             JOIN batch b ON b.id = m.batch_id WHERE m.message_id LIKE 'granary-seed-{}-%' ORDER BY b.id",
            self.seed
        );
        self.deployment.rows(&query).await
    }

    /// How a verification of a migration of this hour ends.
    pub(super) async fn verdict(&self, migration: &str) -> Value {
        self.deployment
            .operate("/verify", json!({ "migrationId": migration }))
            .await
    }
}

/// An hour in which neither the source nor the ledger has messages.
async fn free_hour(deployment: &Deployment, seed: u64) -> Hour {
    let span = HOURS_AGO_MAX - HOURS_AGO_MIN;
    for attempt in 0..span {
        let hours_ago = HOURS_AGO_MIN + (seed + attempt) % span;
        let hour = Hour::of(Timestamp::now() - SignedDuration::from_hours(hours_ago as i64));
        if messages_in(deployment, hour).await == 0 {
            return hour;
        }
    }
    panic!("no hour of three months is free: clear the seeded messages (`granary seed --clear`)")
}

async fn messages_in(deployment: &Deployment, hour: Hour) -> u64 {
    let range = hour.range();
    let query =
        json!({"query": {"range": {&deployment.time_field: {"gte": range.from(), "lt": range.to()}}}});
    let path = format!("/{}/_count", deployment.index);
    let counted = deployment
        .elasticsearch(Method::POST, &path, query.to_string())
        .await;
    let at_source = counted.body["count"]
        .as_u64()
        .unwrap_or_else(|| panic!("{counted:?}"));
    let sql = |instant: Timestamp| instant.strftime("%Y-%m-%d %H:%M:%S").to_string();
    let query = format!(
        "SELECT COUNT(*) FROM message WHERE event_time >= '{}' AND event_time < '{}'",
        sql(range.from()),
        sql(range.to())
    );
    let on_record: Vec<u64> = deployment.rows(&query).await;
    at_source + on_record[0]
}
