//! `granary queue purge`: a queue, emptied; its batches are sent again.

use super::{Session, confirm_by_name};
use crate::cli::Change;
use crate::ending::Ending;
use crate::sheet::{Cell, Field, Kind, Sheet, items};
use crate::wish::Wish;
use serde_json::Value;

const ALL: &str = "purge-all";
const PURGED: &[Field] = &[
    Field("QUEUE", "/queue", Kind::Text),
    Field("HELD", "/held", Kind::Count),
    Field("BATCHES SENT AGAIN", "/batchesPutBack", Kind::Count),
];

/// One queue, or all of them where none is named.
pub(super) async fn run(
    session: &Session,
    queue: Option<String>,
    change: &Change,
    is_confirmed: bool,
) -> anyhow::Result<Ending> {
    let (path, name, what) = match queue {
        Some(queue) => (format!("/queue/purge/{queue}"), queue.clone(), queue),
        None => (
            "/queue/purge-all".to_owned(),
            ALL.to_owned(),
            "all four queues".to_owned(),
        ),
    };
    confirm_by_name(&format!("Empty {what}?"), &name, change, is_confirmed)?;
    let body = Wish::new().with("confirm", Some(name)).change(change).body();
    let answer = session.api.post(&path, &body).await?;
    session.say_what_became(&answer);
    session.show(&answer, purged)
}

fn purged(answer: &Value) -> Sheet {
    Sheet::new().table(items(&answer["purged"]), PURGED).pairs(vec![(
        "batches sent again",
        Cell::of(&answer["batchesPutBack"], Kind::Count),
    )])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    #[test]
    fn what_was_in_a_queue_is_told() {
        let answer = json!({"dryRun": false, "purged": [{"queue": "batches", "held": 12, "batchesPutBack": 12}],
            "batchesPutBack": 12, "isComplete": true});
        insta::assert_snapshot!(purged(&answer).render(Format::People), @r"
        QUEUE    HELD  BATCHES SENT AGAIN
        batches    12                  12

         batches sent again  12
        ");
    }
}
