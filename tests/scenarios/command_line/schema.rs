//! The schema: shown, and brought up to date by the migrator.

use super::reasons;
use crate::stage::Stage;
use granary_ledger::db::needed_schema;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_schema_is_shown_and_migrated() {
    let stage = Stage::new("cli-schema").await;
    stage.empty_database().await;
    let migrator = stage.deploy("migrator", &[], 1).await;
    let operator = stage
        .listen(&[("GRANARY_MIGRATOR_FUNCTION", migrator.name())])
        .await;
    let needed = needed_schema();
    let shown = operator.done("schema status --plain").await;
    for line in [
        "status\tolder",
        "the ledger has\t0",
        &format!("this version needs\t{needed}"),
    ] {
        assert!(shown.out.contains(line), "{shown:?}");
    }
    let foretold = operator.done("schema migrate --dry-run").await;
    assert!(foretold.err.contains("would be applied"), "{foretold:?}");
    let migrated = operator.done("schema migrate --reason moved").await;
    assert!(
        migrated
            .err
            .contains(&format!("had schema 0, and has {needed} now")),
        "{migrated:?}"
    );
    assert_eq!(
        reasons(&stage, "schema.migrate").await,
        [Some("moved".to_owned())]
    );
    let again = operator.done("schema migrate").await;
    assert!(again.err.contains("nothing to do"), "{again:?}");
    let current = operator.done("schema status --plain").await;
    assert!(current.out.contains("status\tcurrent"), "{current:?}");
    stage.finish().await;
}
