//! What can be proved of what was archived, and what happens when it is asked for again.

use super::{Deployment, PrivateHour};
use serde_json::{Value, json};
use uuid::Uuid;

#[tokio::test]
async fn a_migration_is_proved_complete_by_the_api_and_by_the_command_line() {
    let deployment = Deployment::of_environment().await;
    let hour = PrivateHour::with_messages(&deployment, 25).await;
    let migration = hour.migrate().await;

    let report = hour.verdict(&migration).await;
    assert_eq!(report["verdict"], "COMPLETE", "{report}");
    for place in ["source", "ledger", "archive"] {
        assert_eq!(report["counts"][place], 25, "{report}");
        assert_eq!(report["digests"][place], report["digests"]["source"], "{report}");
    }
    let status = deployment.get(&format!("/migrate/status/{migration}")).await;
    assert_eq!(status["migration"]["verdict"], "COMPLETE", "{status}");

    let told = deployment.granary(&["verify", "--migration", &migration]).await;
    let (code, printed, said) = &told;
    assert_eq!(*code, Some(0), "{told:?}");
    assert!(printed.starts_with("COMPLETE"), "{printed}\n{said}");

    let (code, printed, _) = deployment
        .granary(&["--json", "verify", "--migration", &migration])
        .await;
    let answer: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!(
        (code, &answer["operation"]["result"]["verdict"]),
        (Some(0), &json!("COMPLETE"))
    );
    let (code, printed, _) = deployment
        .granary(&["--json", "migrate", "status", &migration])
        .await;
    let answer: Value = serde_json::from_str(&printed).unwrap();
    assert_eq!((code, &answer["migration"]["id"]), (Some(0), &json!(migration)));

    let unknown = Uuid::now_v7().to_string();
    let (code, printed, said) = deployment.granary(&["verify", "--migration", &unknown]).await;
    assert_eq!((code, printed.as_str()), (Some(1), ""));
    assert!(
        said.contains(&format!("There is no migration {unknown}")),
        "{said}"
    );
}

#[tokio::test]
async fn what_is_written_and_migrated_again_adds_nothing() {
    let deployment = Deployment::of_environment().await;
    let hour = PrivateHour::with_messages(&deployment, 10).await;
    hour.migrate().await;
    let (objects, batches) = (hour.objects().await, hour.batches().await);
    assert!(!objects.is_empty());

    hour.write().await;
    let again = hour.migrate().await;

    assert_eq!(hour.objects().await, objects);
    assert_eq!(hour.batches().await, batches);
    let query = format!(
        "SELECT COUNT(*) FROM batch WHERE migration_id = UNHEX('{}')",
        again.replace('-', "")
    );
    let of_second: Vec<u64> = deployment.rows(&query).await;
    assert_eq!(of_second, [0]);
    let report = hour.verdict(&again).await;
    assert_eq!(report["verdict"], "COMPLETE", "{report}");
}
