//! A message is missing with proof alone: what looks like an absence and isn't one, each made by Elasticsearch itself.

use crate::documents::{enough, reference, text};
use crate::stage::{Stage, plain_mapping, settings, source};
use granary_source::{Absence, Document, DocumentRef, Role, Source, SourceProblem, SourceSettings};
use reqwest::Method;
use serde_json::json;

const AT: &str = "2026-03-01T09:00:00Z";

async fn asked(source: &Source, index: &str, doc_id: &str) -> Document {
    let found = source.documents(&[reference(index, doc_id)], &enough()).await;
    found.unwrap().pop().unwrap()
}

fn refusal(document: &Document) -> &str {
    let Document::Refused { reason } = document else {
        panic!("{document:?}")
    };
    reason
}

#[tokio::test]
async fn e2_a_block_or_a_closed_index_refuses_and_neither_is_about_a_document() {
    let stage = Stage::new();
    let (a, b) = (
        stage.index("a", plain_mapping()).await,
        stage.index("b", plain_mapping()).await,
    );
    stage.write_messages(&a, &[("m", AT)]).await;
    stage.write_messages(&b, &[("n", AT)]).await;
    let source = source(&stage.name("*"));

    let block = |value| json!({ "index.blocks.read": value });
    stage
        .ask(Method::PUT, &format!("{a}/_settings"), block(json!(true)))
        .await;
    let wanted = [reference(&a, "m"), reference(&b, "n"), reference(&a, "gone")];
    let found = source.documents(&wanted, &enough()).await.unwrap();
    for blocked in [&found[0], &found[2]] {
        let reason = refusal(blocked);
        assert!(
            reason.contains("index read") && reason.contains("Remove the block"),
            "{reason}"
        );
    }
    assert!(matches!(found[1], Document::Found { .. }), "{found:?}");
    stage
        .ask(Method::PUT, &format!("{a}/_settings"), block(json!(null)))
        .await;
    assert!(matches!(asked(&source, &a, "m").await, Document::Found { .. }));

    stage.ask(Method::POST, &format!("{a}/_close"), json!(null)).await;
    let closed = asked(&source, &a, "m").await;
    assert!(refusal(&closed).contains("Open the index"), "{closed:?}");
    stage.finish(&["a", "b"]).await;
}

/// An alias took the name of an index that was split in two: `_mget` can't ask it, a search finds what is there.
#[tokio::test]
async fn e1_a_message_whose_index_is_an_alias_of_two_by_now_is_read_in_one_of_them() {
    let stage = Stage::new();
    let alias = stage.name("old");
    let mut mapping = plain_mapping();
    mapping["aliases"] = json!({&alias: {}});
    let halves = [
        stage.index("1", mapping.clone()).await,
        stage.index("2", mapping).await,
    ];
    stage.write_messages(&halves[1], &[("m", AT)]).await;
    let source = source(&alias);
    let Document::Found { moved_to, .. } = asked(&source, &alias, "m").await else {
        panic!("not found")
    };
    assert_eq!(moved_to.map(|place| place.index), Some(halves[1].clone()));
    let reason = asked(&source, &alias, "gone").await;
    assert!(refusal(&reason).contains("more than one index"), "{reason:?}");
    stage.finish(&["1", "2"]).await;
}

/// An alias with a routing took the name of an index: `_mget` refuses every other routing, and no message is to blame.
#[tokio::test]
async fn e2_an_alias_with_another_routing_refuses_and_that_is_not_about_a_document() {
    let stage = Stage::new();
    let alias = stage.name("old");
    let mut mapping = plain_mapping();
    mapping["aliases"] = json!({&alias: {"routing": "x"}});
    let index = stage.index("1", mapping).await;
    let action = json!({"_id": "m", "routing": "y"});
    stage
        .write(&index, &[(action, json!({"id": "m", "at": AT}).to_string())])
        .await;
    let mut wanted = reference(&alias, "m");
    wanted.routing = Some("y");
    let found = source(&index).documents(&[wanted], &enough()).await.unwrap();
    assert!(
        refusal(&found[0]).contains("has index routing associated"),
        "{found:?}"
    );
    stage.finish(&["1"]).await;
}

/// A rename (`_reindex` and delete), a shrink, a mounted snapshot: the index of the message is gone, the message isn't.
#[tokio::test]
async fn e1_a_message_is_read_where_it_lies_now_whatever_its_index_is_called() {
    let stage = Stage::new();
    let (old, new) = (
        stage.index("old", plain_mapping()).await,
        stage.index("new", plain_mapping()).await,
    );
    stage.write_messages(&old, &[("kept", AT), ("moved", AT)]).await;
    stage
        .write_messages(&new, &[("moved", AT), ("from a lost index", AT)])
        .await;
    stage
        .ask(
            Method::DELETE,
            &format!("{old}/_doc/moved?refresh=true"),
            json!(null),
        )
        .await;
    let lost = stage.name("lost");
    let wanted = [
        reference(&old, "kept"),
        reference(&old, "moved"),
        reference(&lost, "from a lost index"),
        reference(&lost, "nowhere"),
    ];
    let found = source(&stage.name("*"))
        .documents(&wanted, &enough())
        .await
        .unwrap();
    let place = |document: &Document| match document {
        Document::Found { moved_to, .. } => moved_to
            .as_ref()
            .map_or("where it was", |place| &place.index)
            .to_owned(),
        Document::Missing(absence) => format!("{absence:?}"),
        Document::WithoutSource | Document::Unavailable { .. } | Document::Refused { .. } => {
            panic!("{document:?}")
        }
    };
    assert_eq!(
        found.iter().map(place).collect::<Vec<_>>(),
        ["where it was", &new, &new, "IndexDeleted"]
    );
    assert!(text(&found[1]).contains("moved"));
    stage.finish(&["old", "new"]).await;
}

/// H8: a search lags behind a get, in both ways.
#[tokio::test]
async fn e1_what_a_search_still_shows_is_not_missing_until_it_no_longer_does() {
    let stage = Stage::new();
    let mut mapping = plain_mapping();
    mapping["settings"]["refresh_interval"] = json!("-1");
    let index = stage.index("a", mapping).await;
    stage.write_messages(&index, &[("m", AT)]).await;
    let source = source(&index);
    stage
        .ask(Method::DELETE, &format!("{index}/_doc/m"), json!(null))
        .await;
    let shown = asked(&source, &index, "m").await;
    assert!(matches!(shown, Document::Unavailable { .. }), "{shown:?}");
    stage.writer.refresh(&[&index]).await.unwrap();
    assert_eq!(
        asked(&source, &index, "m").await,
        Document::Missing(Absence::Deleted)
    );
    stage
        .put_unrefreshed(&index, "new", json!({"id": "new", "at": AT}))
        .await;
    assert!(matches!(
        asked(&source, &index, "new").await,
        Document::Found { .. }
    ));
    stage.finish(&["a"]).await;
}

/// A search that no index answers proves nothing, not even of a message whose own index was deleted.
#[tokio::test]
async fn e1_a_source_without_an_index_proves_no_absence() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    let gone = stage.name("gone");
    for nothing in [stage.name("nothing"), stage.name("nothing-*")] {
        let source = source(&nothing);
        for own in [&index, &gone] {
            let asked = asked(&source, own, "m").await;
            assert!(refusal(&asked).contains("GRANARY_SOURCE_INDEX"), "{asked:?}");
        }
    }
    // One name of a list is gone: the others were not searched.
    let list = source(&format!("{index},{gone}"));
    let error = list
        .documents(&[reference(&index, "m")], &enough())
        .await
        .unwrap_err();
    assert!(!error.is_platforms(), "{error}");
    stage.finish(&["a"]).await;
}

/// The cluster is its own remote: everything is there, `_mget` refuses it, and no message is to blame.
#[tokio::test]
async fn e2_a_remote_index_is_refused_at_start_and_costs_no_message() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    stage.write_messages(&index, &[("m", AT)]).await;
    let nodes = stage
        .ask(Method::GET, "_nodes/_local/transport", json!(null))
        .await;
    let node = nodes["nodes"].as_object().unwrap().values().next().unwrap();
    let remote = stage.prefix.clone();
    let seeds = |seeds| json!({"persistent": {format!("cluster.remote.{remote}.seeds"): seeds}});
    let address = json!([node["transport"]["publish_address"]]);
    stage.ask(Method::PUT, "_cluster/settings", seeds(address)).await;

    let name = format!("{remote}:{index}");
    let source = source(&name);
    let found = asked(&source, &name, "m").await;
    assert!(
        refusal(&found).contains("set GRANARY_ES_URL to the remote one"),
        "{found:?}"
    );
    let survey = source.survey().await;
    let role = Role::Messages;
    assert_eq!(survey.problems(), [SourceProblem::Remote { role, name }]);
    stage
        .ask(Method::PUT, "_cluster/settings", seeds(json!(null)))
        .await;
    stage.finish(&["a"]).await;
}

#[tokio::test]
async fn e1_a_thousand_missing_messages_are_proved_by_a_few_searches() {
    let stage = Stage::new();
    // Two documents of each id, in two indices: more hits than one answer shows.
    let mut copies = Vec::new();
    for name in ["a", "b", "c"] {
        let index = stage.index(name, plain_mapping()).await;
        let ids: Vec<String> = (0..300).map(|n| format!("m{n}")).collect();
        let messages: Vec<(&str, &str)> = ids.iter().map(|id| (id.as_str(), AT)).collect();
        stage.write_messages(&index, &messages).await;
        copies.push(index);
    }
    let lost = stage.name("lost");
    let ids: Vec<String> = (0..1_000).map(|n| format!("m{n}")).collect();
    let wanted: Vec<_> = ids.iter().map(|id| reference(&lost, id)).collect();
    let found = source(&stage.name("*"))
        .documents(&wanted, &enough())
        .await
        .unwrap();
    assert!(
        found[..300]
            .iter()
            .all(|document| matches!(document, Document::Found { .. }))
    );
    assert!(
        found[300..]
            .iter()
            .all(|document| *document == Document::Missing(Absence::IndexDeleted))
    );
    stage.finish(&["a", "b", "c"]).await;
}

/// The filter says what a message is: a document beside it with the same id is none.
#[tokio::test]
async fn e1_a_document_that_the_filter_leaves_out_is_not_the_message() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    stage
        .put(&index, "other", json!({"id": "m", "at": AT, "kind": "event"}))
        .await;
    let source = Source::new(SourceSettings {
        id_field: "id".to_owned(),
        filter: Some(json!({"term": {"kind.keyword": "message"}})),
        ..settings(&index)
    })
    .unwrap();
    assert_eq!(
        asked(&source, &index, "m").await,
        Document::Missing(Absence::Deleted)
    );
    stage.finish(&["a"]).await;
}

/// A document that was indexed again with another routing lies in another shard.
#[tokio::test]
async fn e1_e3_a_message_whose_routing_has_changed_is_found_by_its_new_one() {
    let stage = Stage::new();
    let mut mapping = plain_mapping();
    mapping["settings"]["number_of_shards"] = json!(5);
    let index = stage.index("a", mapping).await;
    let document = |routing: &str| {
        let action = json!({"_id": "m", "routing": routing});
        [(action, json!({"id": "m", "at": AT, "by": routing}).to_string())]
    };
    // Two routings that lead to different shards: at least one of these does.
    for (before, after) in [("r1", "r2"), ("r1", "r3"), ("r1", "r4")] {
        stage.write(&index, &document(before)).await;
        let path = format!("{index}/_doc/m?routing={before}&refresh=true");
        stage.ask(Method::DELETE, &path, json!(null)).await;
        stage.write(&index, &document(after)).await;
        let mut wanted = reference(&index, "m");
        wanted.routing = Some(before);
        let found = source(&index).documents(&[wanted], &enough()).await.unwrap();
        assert!(text(&found[0]).contains(after), "{found:?}");
        let path = format!("{index}/_doc/m?routing={after}&refresh=true");
        stage.ask(Method::DELETE, &path, json!(null)).await;
    }
    stage.finish(&["a"]).await;
}

/// The messages were indexed again, and their documents have other ids.
#[tokio::test]
async fn e1_a_message_that_was_indexed_again_under_another_doc_id_is_read_there() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    stage.put(&index, "after", json!({"id": "m", "at": AT})).await;
    let source = Source::new(SourceSettings {
        id_field: "id".to_owned(),
        ..settings(&index)
    })
    .unwrap();
    let wanted = |message_id| DocumentRef {
        message_id,
        index: &index,
        doc_id: "before",
        routing: None,
    };
    let found = source
        .documents(&[wanted("m"), wanted("n")], &enough())
        .await
        .unwrap();
    assert!(text(&found[0]).contains("\"m\""), "{found:?}");
    assert_eq!(found[1], Document::Missing(Absence::Deleted));
    stage.finish(&["a"]).await;
}
