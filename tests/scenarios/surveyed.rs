//! Sources that changed under a running harvester, or that hold more than is read: who is told, and of which index.

#[cfg(feature = "full")]
use crate::stage::Node;
use crate::stage::{Document, Stage};
use granary_source::{FieldRole, Flaw, Kept, Role, SourceProblem};
use granary_verify::Verdict;
use reqwest::Method;

use serde_json::json;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T11:00:00Z";

async fn index_one(stage: &Stage, index: &str, id: &str) {
    stage
        .indices
        .write(index, &[Document::message(id, "2026-03-01T10:30:00Z")])
        .await;
}

async fn alerts(stage: &Stage) -> Vec<(String, String)> {
    stage
        .rows("SELECT cause, text FROM alert WHERE kind = 'source_problem' ORDER BY id")
        .await
}

/// Field case 6: two ids would become one, and the other message would never be archived.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h15_h9_an_id_with_a_normalizer_is_refused_at_start_and_an_alert_is_raised() {
    let stage = Stage::new("normalized").await;
    let mut mapping = stage.indices.mapping();
    mapping["settings"]["analysis"] =
        json!({"normalizer": {"lower": {"type": "custom", "filter": ["lowercase"]}}});
    mapping["mappings"]["properties"]["message_id"]["normalizer"] = json!("lower");
    let index = &stage.indices.more_messages;
    stage.indices.create(index, mapping).await;
    let written = stage
        .another("harvester", &[("GRANARY_SOURCE_INDEX", index)])
        .refusal()
        .await;
    assert!(
        written.contains("has a normalizer, which makes one id of several")
            && written.contains(index.as_str()),
        "{written}"
    );
    let alerts = alerts(&stage).await;
    assert!(
        matches!(alerts.as_slice(), [(cause, text)] if cause == "refused" && text.contains(index.as_str())),
        "{alerts:?}"
    );
    stage.finish().await;
}

/// Field case 12: a new index with another mapping is named at once, and the others are harvested without it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h12_a_new_index_that_is_unfit_is_left_out_and_named_and_the_others_are_harvested() {
    let mut stage = Stage::new("new-index").await;
    let pattern = format!("{}*", stage.indices.messages);
    stage.tell(&[("GRANARY_SOURCE_INDEX", &pattern)]);
    index_one(&stage, &stage.indices.messages, "m-1").await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let recorded: u64 = stage.row("SELECT COUNT(*) FROM message").await;
    assert_eq!(recorded, 1);

    let unfit = &stage.indices.more_messages;
    let mapping =
        json!({"mappings": {"properties": {"message_id": {"type": "text"}, "created_at": {"type": "long"}}}});
    stage.indices.create(unfit, mapping).await;
    index_one(&stage, &stage.indices.messages, "m-2").await;
    stage.backfill(FROM, TO).await;
    stage.harvest().await;
    let recorded: u64 = stage.row("SELECT COUNT(*) FROM message").await;
    assert_eq!(recorded, 2);
    let alerts = alerts(&stage).await;
    assert_eq!(alerts.len(), 2, "one for each field: {alerts:?}");
    for ((cause, text), part) in alerts.iter().zip(["\"created_at\"", "\"message_id\""]) {
        assert!(
            cause == "left_out" && text.contains(unfit.as_str()) && text.contains(part),
            "{cause}: {text}"
        );
    }
    stage.run_until_quiet().await;
    assert_eq!(stage.verify(FROM, TO).await.verdict, Verdict::Incomplete);

    stage.indices.delete_index(unfit).await;
    stage.run_until_quiet().await;
    assert_eq!(stage.verify(FROM, TO).await.verdict, Verdict::Complete);
    stage.finish().await;
}

/// Field cases 15 and 30: what is left out is told once, and again nowhere but in `doctor`.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h15_h12_what_is_left_out_raises_one_alert_and_is_a_warning_of_the_doctor() {
    let mut stage = Stage::new("left-out").await;
    let pattern = format!("{}*", stage.indices.messages);
    stage.tell(&[("GRANARY_SOURCE_INDEX", &pattern)]);
    let closed = stage.indices.more_messages.clone();
    let mut mapping = stage.indices.mapping();
    mapping["mappings"]["_source"] = json!({"excludes": ["text"]});
    stage.indices.create(&closed, mapping).await;
    index_one(&stage, &closed, "m-1").await;
    index_one(&stage, &stage.indices.messages, "m-0").await;
    for _ in 0..2 {
        stage.backfill(FROM, TO).await;
        stage.harvest().await;
    }
    let of_source = alerts(&stage).await;
    assert!(
        matches!(of_source.as_slice(), [(cause, text)] if cause == "reported" && text.contains("leaves out fields")),
        "{of_source:?}"
    );
    stage
        .indices
        .ask(Method::POST, &[&closed, "_close"], String::new())
        .await;
    for _ in 0..2 {
        stage.backfill(FROM, TO).await;
        stage.harvest().await;
    }
    let left_out = alerts(&stage).await;
    assert_eq!(left_out.len(), 2, "{left_out:?}");
    assert!(
        left_out[1].1.contains(&closed) && left_out[1].1.contains("closed"),
        "{left_out:?}"
    );
    let operator = stage.listen(&[]).await;
    let examination = operator.json("doctor").await;
    let checks = examination["checks"].as_array().unwrap();
    let index = checks.iter().find(|check| check["check"] == "index").unwrap();
    assert_eq!(index["status"], "warning", "{index:#}");
    assert!(index["found"].as_str().unwrap().contains(&closed), "{index:#}");
    stage
        .indices
        .ask(Method::POST, &[&closed, "_open"], String::new())
        .await;
    stage.let_delays_end().await;
    stage.run_until_quiet().await;
    stage.finish().await;
}

/// What Elasticsearch 8 and later may say of all fields of an index, and of its `_source`, in settings alone.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h15_e6_what_settings_say_of_fields_and_source_is_reported_as_if_the_mapping_said_it() {
    let mut stage = Stage::new("settings").await;
    let index = stage.indices.more_messages.clone();
    stage.tell(&[("GRANARY_SOURCE_INDEX", &index)]);
    let mut mapping = stage.indices.mapping();
    mapping["settings"]["index.mapping.ignore_above"] = json!(99);
    mapping["settings"]["index.mapping.source.mode"] = json!("synthetic");
    stage.indices.create(&index, mapping).await;
    let survey = stage.source().survey().await;
    let indices = vec![index.clone()];
    let shortened = SourceProblem::Flawed {
        role: FieldRole::Id,
        field: "message_id".to_owned(),
        flaw: Flaw::Shortened { ignore_above: 99 },
        indices: indices.clone(),
    };
    let synthetic = SourceProblem::SourceKept {
        role: Role::Messages,
        kept: Kept::Values,
        indices,
    };
    assert_eq!(survey.problems(), [shortened, synthetic]);
    stage.finish().await;
}

/// Field case 21, and its kind: settings of the cluster under which no document or page could be read.
#[cfg(feature = "full")]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h15_e2_a_cluster_that_allows_less_than_is_needed_is_refused_at_start_by_the_names_of_its_settings() {
    let node = Node::configured(
        "rest.action.multi.allow_explicit_index: false\nsearch.default_keep_alive: 30s\nsearch.max_keep_alive: 1m\n\
         action.search.shard_count.limit: 1\nsearch.allow_expensive_queries: false\n",
    )
    .await;
    let stage = Stage::on(&node, "hardened").await;
    let runtime = json!({"runtime": {"computed": {"type": "keyword"}}}).to_string();
    let index = &stage.indices.messages;
    stage
        .indices
        .ask(Method::PUT, &[index, "_mapping"], runtime)
        .await;
    let computed = [("GRANARY_SOURCE_ID_FIELD", "computed")];
    let written = stage.another("harvester", &computed).refusal().await;
    let (_, problems) = written.rsplit_once("the source can't be harvested:").unwrap();
    let problems: Vec<&str> = problems.trim().lines().collect();
    assert_eq!(problems.len(), 4, "{problems:#?}");
    for (problem, setting) in problems.iter().zip([
        "rest.action.multi.allow_explicit_index is false",
        "search.max_keep_alive is 1m",
        "action.search.shard_count.limit is 1",
        "search.allow_expensive_queries is false",
    ]) {
        assert!(problem.contains(setting), "{problems:#?}");
    }
    stage.finish().await;
}
