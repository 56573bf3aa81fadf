//! What the functions answer to whoever invokes them by hand.

use super::deployment::clock_alone;
use super::{Deployment, until};
use serde_json::{Value, json};

#[tokio::test]
async fn the_harvester_and_the_reaper_say_what_they_did() {
    let deployment = Deployment::of_environment().await;
    deployment.make_source().await;
    let _not_while_the_clock_is_alone = clock_alone().await;
    // Their event says nothing that they need: a schedule's, or none.
    for (function, event, numbers) in [
        (
            "harvester",
            include_str!("../../events/harvester.tick.json"),
            vec![
                "/windows_recorded",
                "/windows_unfinished",
                "/batches_sent",
                "/tally/found",
            ],
        ),
        (
            "reaper",
            include_str!("../../events/reaper.tick.json"),
            vec![
                "/sent",
                "/resent",
                "/reaped",
                "/retried",
                "/published",
                "/failure_rate",
            ],
        ),
    ] {
        for event in [serde_json::from_str(event).unwrap(), json!({})] {
            let what = format!("the {function} has time");
            let answer = until(&what, async || deployment.invoke(function, &event).await).await;
            for number in &numbers {
                let value = answer.pointer(number);
                assert!(
                    value.is_some_and(Value::is_number),
                    "{function}, {number}: {answer}"
                );
            }
        }
    }
}
