//! The queues and what takes from them.

use super::Template;
use super::document::attribute;
use serde_json::{Value, json};
use std::collections::BTreeSet;

/// What Lambda asks for: a message must not come back while somebody may still be at work on it.
const VISIBILITY_BY_TIMEOUT_MIN: u64 = 6;
const RECEIVES_MAX: u64 = 5;
/// The longest that SQS knows.
const RETENTION_SECS: u64 = 14 * 24 * 3_600;
/// Lambda takes no less, and cfn-lint lets 1 pass.
const CONCURRENCY_MIN: u64 = 2;
/// The lane that each queue is, and its dead-letter queue.
const LANES: [(&str, &str); 2] = [
    ("Batches", "BatchesDeadLetters"),
    ("BatchesPriority", "BatchesPriorityDeadLetters"),
];

fn triggers(template: &Template) -> Vec<&Value> {
    let events = template.resource("Exporter")["Events"]
        .as_object()
        .expect("it has events");
    events
        .values()
        .filter(|event| event["Type"] == "SQS")
        .map(|event| &event["Properties"])
        .collect()
}

#[test]
fn each_queue_triggers_the_exporter_with_one_message_that_may_fail_alone() {
    let template = Template::read();
    let triggers = triggers(&template);
    for (queue, _) in LANES {
        let queue_arn = attribute(queue, "Arn");
        let mut of_queue = triggers.iter().filter(|trigger| trigger["Queue"] == queue_arn);
        let trigger = of_queue
            .next()
            .unwrap_or_else(|| panic!("{queue} triggers nothing"));
        assert!(of_queue.next().is_none(), "{queue} has two triggers");
        assert_eq!(
            trigger["FunctionResponseTypes"],
            json!(["ReportBatchItemFailures"]),
            "{queue}: without it, an answer that names a failed message acknowledges it"
        );
        assert_eq!(trigger["BatchSize"], 1, "{queue}");
        let concurrency = &trigger["ScalingConfig"]["MaximumConcurrency"];
        assert!(template.number(concurrency) >= CONCURRENCY_MIN, "{queue}");
    }
    assert_eq!(triggers.len(), LANES.len());
}

#[test]
fn no_parameter_can_set_the_exporters_concurrency_below_what_lambda_takes() {
    let template = Template::read();
    for trigger in triggers(&template) {
        let parameter = trigger["ScalingConfig"]["MaximumConcurrency"]["Ref"]
            .as_str()
            .unwrap();
        let least = template.at(&format!("/Parameters/{parameter}/MinValue"));
        assert!(least.as_u64().is_some_and(|least| least >= CONCURRENCY_MIN));
    }
    // Reserved below what the pollers hand over, it would burn receives and fill the dead-letter queues.
    assert!(template.resource("Exporter")["ReservedConcurrentExecutions"].is_null());
}

#[test]
fn a_message_stays_invisible_for_six_timeouts_of_the_exporter() {
    let template = Template::read();
    let timeout = template.number(&template.resource("Exporter")["Timeout"]);
    for (queue, _) in LANES {
        let visibility = template.number(&template.resource(queue)["VisibilityTimeout"]);
        assert!(
            visibility >= VISIBILITY_BY_TIMEOUT_MIN * timeout,
            "{queue}: {visibility}"
        );
    }
}

#[test]
fn each_queue_has_a_dead_letter_queue_of_its_own_and_both_keep_messages_as_long_as_sqs_can() {
    let template = Template::read();
    for (queue, dead_letters) in LANES {
        let redrive = &template.resource(queue)["RedrivePolicy"];
        assert_eq!(redrive["deadLetterTargetArn"], attribute(dead_letters, "Arn"));
        assert_eq!(redrive["maxReceiveCount"], RECEIVES_MAX, "{queue}");
        assert!(
            template.resource(dead_letters)["RedrivePolicy"].is_null(),
            "{dead_letters}: the end of the road"
        );
        for each in [queue, dead_letters] {
            let properties = template.resource(each);
            assert_eq!(
                template.number(&properties["MessageRetentionPeriod"]),
                RETENTION_SECS,
                "{each}"
            );
        }
    }
    let known: BTreeSet<&str> = LANES
        .iter()
        .flat_map(|(queue, dead_letters)| [*queue, *dead_letters])
        .collect();
    let there: BTreeSet<&str> = template
        .resources_of("AWS::SQS::Queue")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(there, known);
}
