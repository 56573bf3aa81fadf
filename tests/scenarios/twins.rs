//! Two documents with one id, in two indices: one of them is archived, and the verdict says so until an operator accepts it.

use super::faithful::{exported, message};
use crate::stage::{REAPER_TIMEOUT, Stage, request};
use granary_domain::ExceptionKind;
use granary_verify::Verdict;
use reqwest::Method;
use serde_json::json;
use uuid::Uuid;

const FROM: &str = "2026-03-01T10:00:00Z";
const TO: &str = "2026-03-01T12:00:00Z";

/// The second document of an id is not archived: INCOMPLETE, until an operator accepts it.
async fn accept_the_twin(stage: &Stage) {
    let report = stage.verify(FROM, TO).await;
    let [twin] = report.account.exceptions.found() else {
        panic!("{report:#?}")
    };
    assert_eq!(
        (report.verdict, twin.kind, twin.messages),
        (Verdict::Incomplete, ExceptionKind::MergedId, 1)
    );
    let body = json!({"kind": twin.kind, "index": twin.index, "max": 1, "reason": "a twin"});
    let event = request("POST", "/exceptions/accept", &body.to_string());
    let answer = stage.operator.invoke(event, REAPER_TIMEOUT).await.unwrap();
    assert_eq!(answer["statusCode"], 200, "{answer}");
    let report = stage.verify(FROM, TO).await;
    assert_eq!(
        (report.verdict, report.accepted_exceptions),
        (Verdict::Complete, 1)
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn e3_h12_routed_messages_of_two_indices_behind_an_alias_are_found_and_a_twin_is_accepted() {
    let alias = format!("alias-{}", Uuid::now_v7().simple());
    let stage = Stage::with("alias", &[("GRANARY_SOURCE_INDEX", &alias)]).await;
    let indices = &stage.indices;
    let both = [indices.messages.as_str(), &indices.more_messages];
    let mut mapping = indices.mapping();
    mapping["settings"]["number_of_shards"] = json!(5);
    indices.create(both[1], mapping).await;
    let actions = both.map(|index| json!({"add": {"index": index, "alias": alias}}));
    indices
        .ask(
            Method::POST,
            &["_aliases"],
            json!({"actions": actions}).to_string(),
        )
        .await;
    let of_index = |which: usize| {
        let number = |number| {
            message(&format!("m-{which}-{number}"), &format!("\"in {which}\""))
                .routed(&format!("route {}", number % 7))
        };
        (0..40).map(number).collect::<Vec<_>>()
    };
    // The same id in both indices: one message, of which the first that is read counts.
    let twin = |which| message("twin", &format!("\"in {which}\"")).routed("of its own");
    for (which, index) in both.iter().enumerate() {
        let mut messages = of_index(which);
        messages.push(twin(which));
        indices.write(index, &messages).await;
    }
    stage.backfill(FROM, TO).await;
    let tick = stage.harvest().await;
    assert_eq!(
        (&tick["tally"]["found"], &tick["tally"]["duplicate"]),
        (&json!(82), &json!(1))
    );
    stage.run_until_quiet().await;

    let exported = exported(&stage).await;
    for line in exported.values() {
        let index = line.field("index");
        let which = both
            .iter()
            .position(|name| index == **name)
            .expect("a concrete index");
        assert!(
            line.message.contains(&format!("\"in {which}\"")),
            "{}",
            line.message
        );
        assert!(
            line.message_id == "twin" || line.message_id.starts_with(&format!("m-{which}-")),
            "{}",
            line.message_id
        );
    }
    let messages = [of_index(0), of_index(1), vec![twin(0)]].concat();
    accept_the_twin(&stage).await;
    stage.assert_each_once(&messages).await;
    stage.finish().await;
}
