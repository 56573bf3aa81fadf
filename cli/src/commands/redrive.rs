//! `granary redrive`: dead letters, moved back.

use super::Session;
use crate::cli::Redrive;
use crate::ending::Ending;
use crate::progress::say;
use crate::sheet::{Field, Kind, Sheet, items};
use crate::wish::Wish;
use serde_json::Value;

const TOTALS: &[Field] = &[
    Field("found", "/found", Kind::Count),
    Field("moved", "/moved", Kind::Count),
];
const QUEUES: &[Field] = &[
    Field("FROM", "/queue", Kind::Text),
    Field("TO", "/to", Kind::Text),
    Field("FOUND", "/found", Kind::Count),
    Field("MOVED", "/moved", Kind::Count),
    Field("LEFT", "/left", Kind::Count),
    Field("BY", "/method", Kind::Text),
    Field("FAILURE", "/failure", Kind::Text),
];

pub(super) async fn run(session: &Session, options: &Redrive) -> anyhow::Result<Ending> {
    let body = Wish::new()
        .with_text("queue", options.queue.as_ref())
        .with("ratePerSecond", options.rate)
        .change(&options.change)
        .body();
    let answer = session.api.post("/queue/retry-dlq", &body).await?;
    session.say_what_became(&answer);
    if answer["isComplete"] == false && !options.change.dry_run {
        say("there are more, or SQS is still moving them: ask again");
    }
    session.show(&answer, described)
}

fn described(answer: &Value) -> Sheet {
    Sheet::new()
        .values(answer, TOTALS)
        .table(items(&answer["queues"]), QUEUES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    #[test]
    fn what_was_moved_is_told_for_each_queue() {
        let answer = json!({"dryRun": false, "found": 3, "moved": 3, "isComplete": true, "queues": [{"queue": "dead-letters",
            "to": "batches", "found": 3, "moved": 3, "left": 0, "method": "one by one", "failure": null}]});
        insta::assert_snapshot!(described(&answer).render(Format::People), @r"
         found  3
         moved  3

        FROM          TO       FOUND  MOVED  LEFT  BY          FAILURE
        dead-letters  batches      3      3     0  one by one  -
        ");
    }
}
