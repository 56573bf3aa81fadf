//! `granary proof`: how far the archive is proven, and whether the source can be deleted.

use super::Session;
use crate::cli::Proof;
use crate::ending::Ending;
use crate::sheet::{Field, Kind, Sheet, items};
use crate::wish::Wish;
use serde_json::Value;

const PROOF: &[Field] = &[
    Field("safe to delete", "/safeToDelete", Kind::State),
    Field("before", "/before", Kind::Time),
    Field("proven to", "/provenTo", Kind::Time),
    Field("final to", "/finalTo", Kind::Time),
    Field("as of", "/asOf", Kind::Time),
    Field("outside", "/outside", Kind::Count),
    Field("filtered out", "/filteredOut", Kind::Count),
];
const GAPS: &[Field] = &[
    Field("NEVER HARVESTED FROM", "/from", Kind::Time),
    Field("TO", "/to", Kind::Time),
];
const FAILING: &[Field] = &[
    Field("FAILING WINDOW", "/window", Kind::Number),
    Field("FROM", "/from", Kind::Time),
    Field("TO", "/to", Kind::Time),
    Field("VERIFIED", "/asOf", Kind::Time),
];

const CHANGES: &[Field] = &[
    Field("SETTING CHANGED", "/setting", Kind::Text),
    Field("AT", "/changedAt", Kind::Time),
    Field("FROM", "/before", Kind::Text),
    Field("TO", "/after", Kind::Text),
];

pub(super) async fn run(session: &Session, options: &Proof) -> anyhow::Result<Ending> {
    let path = Wish::new()
        .with_text("before", options.before.as_ref())
        .of_path("/proof");
    let answer = session.api.get(&path).await?;
    session.show(&answer, described)?;
    if answer["safeToDelete"] == true {
        Ok(Ending::Done)
    } else {
        Ok(Ending::Unproven)
    }
}

fn described(answer: &Value) -> Sheet {
    let line = answer["line"].as_str().unwrap_or_default();
    let mut sheet = Sheet::new()
        .line(format!(" {line}"))
        .values(answer, PROOF)
        .table(items(&answer["gaps"]), GAPS)
        .table(items(&answer["failing"]), FAILING)
        .table(items(&answer["settingChanges"]), CHANGES);
    for todo in items(&answer["todo"]).iter().filter_map(Value::as_str) {
        sheet = sheet.line(format!("  - {todo}"));
    }
    sheet
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Format;
    use serde_json::json;

    #[test]
    fn what_keeps_the_source_from_being_deleted_is_listed() {
        let answer = json!({
            "line": "Proven complete through 2026-11-22T10:00:00Z. 2 hours archived, 0 waiting, 0 failing.",
            "safeToDelete": false, "before": "2026-11-22T10:00:00Z", "provenTo": "2026-11-22T10:00:00Z", "finalTo": null,
            "asOf": "2026-11-22T11:00:00Z", "outside": 0, "gaps": [], "failing": [],
            "settingChanges": [{"setting": "index", "before": "messages-a", "after": "messages-b",
                                "changedAt": "2026-11-21T10:00:00Z"}],
            "todo": ["Set index.blocks.write on messages, verify again, then delete the index."],
        });
        let shown = described(&answer).render(Format::People);
        assert!(
            shown.contains("Proven complete through 2026-11-22T10:00:00Z"),
            "{shown}"
        );
        assert!(shown.contains("- Set index.blocks.write on messages"), "{shown}");
        assert!(
            shown.contains("messages-a") && shown.contains("messages-b"),
            "{shown}"
        );
    }
}
