//! `granary pause` and `granary resume`.

use super::Session;
use crate::cli::Steer;
use crate::ending::Ending;
use crate::sheet::{Field, Kind, Sheet, items};
use crate::wish::Wish;
use serde_json::{Value, json};

const STAGES: &[Field] = &[
    Field("STAGE", "/stage", Kind::Text),
    Field("WAS", "/before", Kind::State),
    Field("IS", "/after", Kind::State),
];

pub(super) async fn run(session: &Session, path: &str, options: &Steer) -> anyhow::Result<Ending> {
    let body = Wish::new()
        .with_text("stage", options.stage.as_ref())
        .change(&options.change)
        .body();
    session.change(path, &body, described).await
}

fn described(answer: &Value) -> Sheet {
    let rows: Vec<Value> = items(&answer["stages"])
        .iter()
        .filter_map(Value::as_str)
        .map(|stage| {
            json!({ "stage": stage, "before": answer["before"][stage], "after": answer["after"][stage] })
        })
        .collect();
    Sheet::new().table(&rows, STAGES)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;

    #[test]
    fn each_stage_is_told_with_what_it_was() {
        let answer = json!({"dryRun": false, "action": "pause", "stages": ["export"], "before": {"export": "running"},
            "after": {"export": "paused"}});
        insta::assert_snapshot!(described(&answer).render(Format::People), @r"
        STAGE   WAS      IS
        export  running  paused
        ");
    }
}
