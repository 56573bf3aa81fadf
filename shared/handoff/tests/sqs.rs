//! The hand-off on real queues, those of the local stack. Each test has two of its own.

// Clippy knows only the test functions themselves for tests, not what they call.
#![allow(clippy::unwrap_used)]
#![allow(
    clippy::disallowed_methods,
    reason = "a test stands outside the product: it takes no steps"
)]

use aws_config::SdkConfig;
use aws_sdk_sqs::Client;
use aws_sdk_sqs::types::{Message, QueueAttributeName};
use granary_domain::{BatchId, MigrationId};
use granary_handoff::{
    HandOffMessage, Handoff, Lane, Message as Word, MoveStart, Outgoing, QueueUrls, Receipt,
};
use std::collections::BTreeSet;
use std::time::Duration;

/// A hand-off with queues of its own, and a plain client to look at them.
struct Queues {
    sqs: Client,
    urls: QueueUrls,
    handoff: Handoff,
}

impl Queues {
    async fn new() -> Self {
        assert!(
            std::env::var("AWS_ENDPOINT_URL").is_ok(),
            "AWS_ENDPOINT_URL is not set: start the local stack with `make up` and read .local/env"
        );
        let aws = granary_environment::aws::sdk_config().await;
        let sqs = Client::new(&aws);
        let unique = uuid::Uuid::now_v7();
        let urls = QueueUrls {
            normal: create(&sqs, &format!("handoff-test-{unique}")).await,
            priority: create(&sqs, &format!("handoff-test-{unique}-priority")).await,
        };
        Self {
            handoff: Handoff::new(&aws, urls.clone()),
            sqs,
            urls,
        }
    }

    /// Everything that waits in a queue.
    async fn received(&self, url: &str) -> Vec<Message> {
        let mut messages = Vec::new();
        loop {
            let request = self
                .sqs
                .receive_message()
                .queue_url(url)
                .max_number_of_messages(10);
            let page = request.send().await.unwrap().messages.unwrap_or_default();
            if page.is_empty() {
                return messages;
            }
            messages.extend(page);
        }
    }

    async fn arn(&self, url: &str) -> String {
        let name = QueueAttributeName::QueueArn;
        let request = self
            .sqs
            .get_queue_attributes()
            .queue_url(url)
            .attribute_names(name.clone());
        request
            .send()
            .await
            .unwrap()
            .attributes
            .unwrap()
            .remove(&name)
            .unwrap()
    }

    async fn delete(self) {
        for url in [&self.urls.normal, &self.urls.priority] {
            self.sqs.delete_queue().queue_url(url).send().await.unwrap();
        }
    }
}

async fn create(sqs: &Client, name: &str) -> String {
    let request = sqs
        .create_queue()
        .queue_name(name)
        .attributes(QueueAttributeName::VisibilityTimeout, "600");
    request.send().await.unwrap().queue_url.unwrap()
}

fn outgoing(numbers: std::ops::RangeInclusive<u64>, lane: Lane) -> Vec<Outgoing> {
    let migration_id = MigrationId::new();
    numbers
        .map(|number| Outgoing {
            batch_id: BatchId(number),
            migration_id,
            lane,
        })
        .collect()
}

fn ids(messages: &[Message]) -> BTreeSet<BatchId> {
    messages
        .iter()
        .map(|message| HandOffMessage::parse(message.body().unwrap()).unwrap().batch_id)
        .collect()
}

#[tokio::test]
async fn every_batch_arrives_once_and_in_its_own_lane() {
    let queues = Queues::new().await;
    let batches = [
        outgoing(1..=25, Lane::Normal),
        outgoing(101..=103, Lane::Priority),
    ]
    .concat();
    let outcome = queues.handoff.send(&batches).await;
    let sent: BTreeSet<BatchId> = outcome.sent.iter().copied().collect();
    assert_eq!(sent, batches.iter().map(|batch| batch.batch_id).collect());
    assert_eq!(outcome.error, None);

    let normal = queues.received(&queues.urls.normal).await;
    assert_eq!(
        (normal.len(), ids(&normal)),
        (25, (1..=25).map(BatchId).collect())
    );
    let priority = queues.received(&queues.urls.priority).await;
    assert_eq!(
        (priority.len(), ids(&priority)),
        (3, (101..=103).map(BatchId).collect())
    );
    queues.delete().await;
}

#[tokio::test]
async fn the_depth_tells_what_waits_from_what_is_out() {
    let queues = Queues::new().await;
    for batches in [outgoing(1..=12, Lane::Normal), outgoing(1..=2, Lane::Priority)] {
        assert_eq!(queues.handoff.send(&batches).await.error, None);
    }
    let out = queues.received(&queues.urls.priority).await;
    let depth = queues.handoff.depth().await.unwrap();
    assert_eq!((depth.normal.visible, depth.normal.in_flight), (12, 0));
    assert_eq!(
        (depth.priority.visible, depth.priority.in_flight),
        (0, out.len() as u64)
    );
    assert_eq!(depth.held(), 14);
    queues.delete().await;
}

#[tokio::test]
async fn a_postponed_message_comes_back_before_the_visibility_timeout() {
    let queues = Queues::new().await;
    queues.handoff.send(&outgoing(7..=7, Lane::Normal)).await;
    let messages = queues.received(&queues.urls.normal).await;
    let queue_arn = queues.arn(&queues.urls.normal).await;
    let receipt = Receipt {
        handle: messages[0].receipt_handle().unwrap(),
        queue_arn: &queue_arn,
    };
    queues.handoff.postpone(receipt, Duration::ZERO).await.unwrap();
    assert_eq!(
        ids(&queues.received(&queues.urls.normal).await),
        BTreeSet::from([BatchId(7)])
    );

    let elsewhere = Receipt {
        queue_arn: "arn:aws:sqs:us-east-1:1:another",
        ..receipt
    };
    let error = queues
        .handoff
        .postpone(elsewhere, Duration::ZERO)
        .await
        .unwrap_err();
    assert!(!error.is_platforms(), "{error}");
    queues.delete().await;
}

#[tokio::test]
async fn a_queue_that_is_not_there_is_refused_with_a_remedy_and_one_out_of_reach_is_the_platforms() {
    let queues = Queues::new().await;
    queues.handoff.check().await.unwrap();
    let aws = granary_environment::aws::sdk_config().await;
    let urls = QueueUrls {
        normal: format!("{}-absent", queues.urls.normal),
        ..queues.urls.clone()
    };
    let absent = Handoff::new(&aws, urls);
    let error = absent.check().await.unwrap_err();
    assert!(
        !error.is_platforms() && error.remedy().contains("GRANARY_QUEUE_URL"),
        "{error} {}",
        error.remedy()
    );
    let outcome = absent.send(&outgoing(1..=1, Lane::Normal)).await;
    assert!(outcome.sent.is_empty() && !outcome.error.expect("it is refused").is_platforms());

    let unreachable = out_of_reach(&aws);
    let error = Handoff::new(&unreachable, queues.urls.clone())
        .check()
        .await
        .unwrap_err();
    assert!(
        error.is_platforms() && error.to_string().contains("refused"),
        "{error}"
    );
    queues.delete().await;
}

#[tokio::test]
async fn q4_what_one_lane_refuses_does_not_hide_what_the_other_took() {
    let queues = Queues::new().await;
    let aws = granary_environment::aws::sdk_config().await;
    let urls = QueueUrls {
        priority: format!("{}-absent", queues.urls.priority),
        ..queues.urls.clone()
    };
    let batches = [
        outgoing(1..=11, Lane::Normal),
        outgoing(101..=102, Lane::Priority),
    ]
    .concat();
    let outcome = Handoff::new(&aws, urls).send(&batches).await;
    let sent: BTreeSet<BatchId> = outcome.sent.into_iter().collect();
    assert_eq!(sent, (1..=11).map(BatchId).collect());
    let error = outcome.error.expect("the other lane refuses").to_string();
    assert!(error.contains("-absent"), "{error}");
    queues.delete().await;
}

#[tokio::test]
async fn probes_arrive_in_the_lane_that_they_were_sent_to() {
    let queues = Queues::new().await;
    let probes: Vec<uuid::Uuid> = (0..12).map(|_| uuid::Uuid::now_v7()).collect();
    let outcome = queues
        .handoff
        .send_probes(Lane::Priority, &probes, None)
        .await
        .unwrap();
    assert_eq!((&outcome.sent, outcome.failed.len()), (&probes, 0));
    let arrived = queues.received(&queues.urls.priority).await;
    let arrived: BTreeSet<uuid::Uuid> = arrived
        .iter()
        .map(|message| match Word::parse(message.body().unwrap()).unwrap() {
            Word::Probe(probe) => probe,
            Word::Batch(batch) => panic!("{batch:?}"),
        })
        .collect();
    assert_eq!(arrived, probes.into_iter().collect());
    assert!(queues.received(&queues.urls.normal).await.is_empty());
    queues.delete().await;
}

#[tokio::test]
async fn a_purged_queue_is_empty_and_may_be_purged_again() {
    let queues = Queues::new().await;
    queues.handoff.send(&outgoing(1..=12, Lane::Normal)).await;
    queues.handoff.send(&outgoing(13..=13, Lane::Priority)).await;
    for _ in 0..2 {
        queues.handoff.purge(Lane::Normal).await.unwrap();
    }
    let depth = queues.handoff.depth().await.unwrap();
    assert_eq!((depth.normal.held(), depth.priority.held()), (0, 1));
    queues.delete().await;
}

/// The emulator has no move tasks, as any service that isn't quite SQS.
#[tokio::test]
async fn dead_letters_are_moved_one_by_one_where_nobody_else_moves_them() {
    let (dead, queues) = (Queues::new().await, Queues::new().await);
    assert_eq!(
        dead.handoff.start_moving(Lane::Normal, 100).await.unwrap(),
        MoveStart::NotOffered
    );
    dead.handoff.send(&outgoing(1..=12, Lane::Normal)).await;
    dead.sqs
        .send_message()
        .queue_url(&dead.urls.normal)
        .message_body("nonsense, as it came")
        .send()
        .await
        .unwrap();
    let mut moved = 0;
    loop {
        let round = dead
            .handoff
            .move_some(&queues.handoff, Lane::Normal)
            .await
            .unwrap();
        assert_eq!((round.moved, &round.failure), (round.received, &None));
        if round.received == 0 {
            break;
        }
        moved += round.moved;
    }
    assert_eq!(moved, 13);
    assert_eq!(dead.handoff.depth().await.unwrap().held(), 0);
    let (ours, others): (Vec<Message>, Vec<Message>) = queues
        .received(&queues.urls.normal)
        .await
        .into_iter()
        .partition(|message| HandOffMessage::parse(message.body().unwrap()).is_ok());
    assert_eq!(ids(&ours), (1..=12).map(BatchId).collect());
    assert_eq!(others[0].body(), Some("nonsense, as it came"));
    dead.delete().await;
    queues.delete().await;
}

#[tokio::test]
async fn what_one_looks_into_stays_where_it_is() {
    let queues = Queues::new().await;
    queues.handoff.send(&outgoing(1..=3, Lane::Priority)).await;
    let bodies = queues.handoff.look_into(Lane::Priority).await.unwrap();
    assert!(!bodies.is_empty() && bodies.iter().all(|body| HandOffMessage::parse(body).is_ok()));
    assert_eq!(queues.handoff.depth().await.unwrap().priority.held(), 3);
    queues.delete().await;
}

/// The same client configuration for an address where nobody listens. Built from its parts, since an address from
/// the environment would win over one that is changed later.
fn out_of_reach(aws: &SdkConfig) -> SdkConfig {
    let mut builder = SdkConfig::builder();
    builder
        .set_behavior_version(aws.behavior_version())
        .set_http_client(aws.http_client())
        .set_sleep_impl(aws.sleep_impl())
        .set_credentials_provider(aws.credentials_provider())
        .set_region(aws.region().cloned())
        .set_endpoint_url(Some("http://127.0.0.1:9".to_owned()));
    builder.build()
}
