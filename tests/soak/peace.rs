//! What goes on in every round: the clock ticks, and queue messages are delivered.

use super::round::Play;
use crate::stage::{EXPORTER_TIMEOUT, Function, HARVESTER_TIMEOUT, Queue, REAPER_TIMEOUT, sqs_event};
use aws_sdk_sqs::types::Message;
use serde_json::Value;
use std::sync::atomic::Ordering;
use std::time::Duration;

const TICK: Duration = Duration::from_secs(2);
const POLL_INTERVAL: Duration = Duration::from_millis(50);

impl Play<'_> {
    /// The schedules, until nothing is left to do. A tick that fails or dies is followed by the next one.
    pub(super) async fn tick(&self) {
        let tick: Value = serde_json::from_str(include_str!("../../events/harvester.tick.json")).unwrap();
        let harvest = async {
            while !self.is_over() {
                // It may be killed, and Elasticsearch or the ledger's server may be down: the next tick goes on.
                let _next_tick_goes_on = self.stage.harvester.invoke(tick.clone(), HARVESTER_TIMEOUT).await;
                tokio::time::sleep(TICK).await;
            }
        };
        let reap = async {
            while !self.is_over() {
                let _next_tick_goes_on = self.stage.reaper.invoke(tick.clone(), REAPER_TIMEOUT).await;
                if self.is_quiet().await {
                    self.is_over.store(true, Ordering::Relaxed);
                }
                tokio::time::sleep(TICK).await;
            }
        };
        tokio::join!(harvest, reap);
    }

    /// One poller of the queues, with an exporter of its own.
    pub(super) async fn deliver(&self, number: usize) {
        while !self.is_over() {
            let Some((queue, message)) = self.stage.queues.receive().await else {
                tokio::time::sleep(POLL_INTERVAL).await;
                continue;
            };
            let exporter = self.stage.exporter(number);
            let acknowledged = if self.is_under_fire {
                self.deliver_twice(exporter, (number, queue), &message).await
            } else {
                self.deliver_once(exporter, queue, &message).await
            };
            if acknowledged {
                self.stage.queues.delete(queue, &message).await;
            } else {
                self.stage.queues.make_visible(queue, &message).await;
            }
        }
    }

    /// Twice: to another exporter at the same time, or to the same one after the first delivery ended, however it did.
    async fn deliver_twice(
        &self,
        exporter: &Function,
        (number, queue): (usize, &Queue),
        message: &Message,
    ) -> bool {
        if self.dice.below(2) == 0 {
            let other = (number + 1) % self.exporters;
            let other = self.stage.exporter(other);
            let both = tokio::join!(
                self.deliver_once(exporter, queue, message),
                self.deliver_once(other, queue, message)
            );
            both.0 && both.1
        } else {
            let first = self.deliver_once(exporter, queue, message).await;
            let second = self.deliver_once(exporter, queue, message).await;
            first && second
        }
    }

    /// Whether the message was acknowledged.
    async fn deliver_once(&self, exporter: &Function, queue: &Queue, message: &Message) -> bool {
        self.deliveries.fetch_add(1, Ordering::Relaxed);
        let answer = exporter
            .invoke(sqs_event(&[(queue, message)]), EXPORTER_TIMEOUT)
            .await;
        answer.is_ok_and(|answer| crate::stage::failed_items(&answer).is_empty())
    }
}
