//! Indices that can't be read beside others that can: what is read, and what is said to be left out.

use crate::stage::{Stage, ids, plain_mapping, range, read_all, settings, the_day};
use granary_domain::TimeRange;
use granary_source::{Outside, Source, SourceError, SourceSettings, Span};
use reqwest::Method;
use serde_json::{Value, json};

const AT: &str = "2026-03-01T09:00:00Z";

fn defined(id: Value, at: Value) -> Value {
    json!({"settings": {"number_of_shards": 1, "number_of_replicas": 0}, "mappings": {"properties": {"id": id, "at": at}}})
}

/// Mappings under which Elasticsearch refuses pages, sorts or counts, or under which messages would be lost, each with a
/// document that fits it.
fn unfit() -> Vec<(&'static str, Value, Value)> {
    let (keyword, date) = (json!({"type": "keyword"}), json!({"type": "date"}));
    let of_type = |kind: &str| json!({ "type": kind });
    let without = |mut definition: Value, what: &str| {
        definition[what] = json!(false);
        definition
    };
    vec![
        (
            "long",
            defined(keyword.clone(), of_type("long")),
            json!({"id": "x", "at": 1_772_355_600_000_u64}),
        ),
        (
            "keyword",
            defined(keyword.clone(), of_type("keyword")),
            json!({"id": "x", "at": AT}),
        ),
        (
            "text",
            defined(keyword.clone(), of_type("text")),
            json!({"id": "x", "at": AT}),
        ),
        (
            "ip",
            defined(keyword.clone(), of_type("ip")),
            json!({"id": "x", "at": "10.0.0.1"}),
        ),
        (
            "range",
            defined(keyword.clone(), of_type("date_range")),
            json!({"id": "x", "at": {"gte": AT}}),
        ),
        (
            "object",
            defined(keyword.clone(), json!({"properties": {"x": of_type("long")}})),
            json!({"id": "x", "at": {"x": 1}}),
        ),
        (
            "id-text",
            defined(of_type("text"), date.clone()),
            json!({"id": "x", "at": AT}),
        ),
        (
            "id-long",
            defined(of_type("long"), date.clone()),
            json!({"id": 7, "at": AT}),
        ),
        (
            "no-values",
            defined(keyword.clone(), without(date, "doc_values")),
            json!({"id": "x", "at": AT}),
        ),
        (
            "no-time",
            json!({"mappings": {"dynamic": false, "properties": {"id": keyword}}}),
            json!({"id": "x", "at": AT}),
        ),
    ]
}

fn by_id_field(index: &str) -> SourceSettings {
    SourceSettings {
        id_field: "id".to_owned(),
        ..settings(index)
    }
}

async fn left_out(source: &Source) -> Vec<String> {
    let pit = source.open_pit().await.unwrap();
    let left_out = pit.left_out().to_vec();
    source.close_pit(pit).await.unwrap();
    left_out
}

/// Field case 12, and its kind. Each reading is asked of ranges with and without messages: a search that has no shard to ask still
/// asks one.
#[tokio::test]
async fn h12_h15_indices_that_would_refuse_every_page_are_left_out_and_the_others_are_read() {
    let stage = Stage::new();
    let good = stage.index("set-good", plain_mapping()).await;
    stage.write_messages(&good, &[("m-1", AT)]).await;
    let mut names = Vec::new();
    for (name, body, document) in unfit() {
        let index = stage.index(&format!("set-{name}"), body).await;
        stage.put(&index, "x", document).await;
        names.push(index);
    }
    names.sort();
    let alias = stage.name("alias");
    let add = json!({"add": {"index": stage.name("set-*"), "alias": alias}});
    stage
        .ask(Method::POST, "_aliases", json!({"actions": [add]}))
        .await;
    let empty = range("2020-01-01T00:00:00Z", "2020-01-02T00:00:00Z");
    for name in [stage.name("set-*"), alias] {
        let source = Source::new(by_id_field(&name)).unwrap();
        assert_eq!(ids(&read_all(&source, 10).await), ["m-1"]);
        assert_eq!(left_out(&source).await, names);
        let pit = source.open_pit().await.unwrap();
        assert_eq!(source.count(&pit, empty, None).await.unwrap(), 0);
        source.close_pit(pit).await.unwrap();
        let at = AT.parse().unwrap();
        assert_eq!(
            source.bounds(TimeRange::EVER, None).await.unwrap(),
            Some((at, at))
        );
        assert_eq!(source.first_event(empty, None).await.unwrap(), None);
        let spans = source.count_over_time(the_day(), None, Span::Hour).await.unwrap();
        assert_eq!(spans.iter().map(|span| span.messages).collect::<Vec<_>>(), [1]);
        assert_eq!(source.count_over_time(empty, None, Span::Hour).await.unwrap(), []);
        assert_eq!(source.count_outside(the_day()).await.unwrap(), Outside::default());
    }
    for (name, ..) in unfit() {
        stage
            .writer
            .delete_index(&stage.name(&format!("set-{name}")))
            .await
            .unwrap();
    }
    stage.finish(&["set-good"]).await;
}

#[tokio::test]
async fn h12_a_blocked_a_closed_and_a_hidden_index_are_left_out_until_they_can_be_read() {
    let stage = Stage::new();
    for name in ["a", "blocked", "closed", "hidden"] {
        let index = stage.index(&format!("set-{name}"), plain_mapping()).await;
        stage.write_messages(&index, &[(name, AT)]).await;
    }
    let settings_of = |name: &str| format!("{}/_settings", stage.name(&format!("set-{name}")));
    let set = async |name: &str, settings: Value| {
        stage.ask(Method::PUT, &settings_of(name), settings).await;
    };
    set("blocked", json!({"index.blocks.read": true})).await;
    set("hidden", json!({"index.hidden": true})).await;
    let closed = stage.name("set-closed");
    stage
        .ask(Method::POST, &format!("{closed}/_close"), Value::Null)
        .await;

    let source = Source::new(by_id_field(&stage.name("set-*"))).unwrap();
    assert_eq!(ids(&read_all(&source, 10).await), ["a"]);
    let names = ["blocked", "closed", "hidden"].map(|name| stage.name(&format!("set-{name}")));
    assert_eq!(left_out(&source).await, names);

    set("blocked", json!({"index.blocks.read": null})).await;
    stage
        .ask(Method::POST, &format!("{closed}/_open"), Value::Null)
        .await;
    source.look_anew().await;
    let mut read = ids(&read_all(&source, 10).await);
    read.sort();
    assert_eq!(read, ["a", "blocked", "closed"]);
    assert_eq!(left_out(&source).await, names[2..]);
    stage
        .finish(&["set-a", "set-blocked", "set-closed", "set-hidden"])
        .await;
}

/// Elasticsearch takes no index away from an alias: the others are named. One that comes to the alias is read from then on.
#[tokio::test]
async fn h12_a_blocked_and_a_closed_index_behind_an_alias_are_left_out_and_the_others_are_read() {
    let stage = Stage::new();
    let alias = stage.name("alias");
    let join = async |index: &str| {
        let add = json!({"actions": [{"add": {"index": index, "alias": alias}}]});
        stage.ask(Method::POST, "_aliases", add).await;
    };
    for name in ["a", "blocked", "closed"] {
        let index = stage.index(name, plain_mapping()).await;
        stage.write_messages(&index, &[(name, AT)]).await;
        join(&index).await;
    }
    let blocked = stage.name("blocked");
    let block = async |value: Value| {
        let settings = json!({ "index.blocks.read": value });
        stage
            .ask(Method::PUT, &format!("{blocked}/_settings"), settings)
            .await;
    };
    block(json!(true)).await;
    let closed = stage.name("closed");
    stage
        .ask(Method::POST, &format!("{closed}/_close"), Value::Null)
        .await;

    let source = Source::new(by_id_field(&alias)).unwrap();
    assert_eq!(ids(&read_all(&source, 10).await), ["a"]);
    assert_eq!(left_out(&source).await, [blocked.clone(), closed.clone()]);
    assert_eq!(
        source
            .bounds(TimeRange::EVER, None)
            .await
            .unwrap()
            .map(|(from, _)| from),
        Some(AT.parse().unwrap())
    );

    let late = stage.index("late", plain_mapping()).await;
    stage.write_messages(&late, &[("late", AT)]).await;
    join(&late).await;
    assert_eq!(
        read_all(&source, 10).await.len(),
        2,
        "also before the next look at the indices is due"
    );

    block(Value::Null).await;
    source.look_anew().await;
    let mut read = ids(&read_all(&source, 10).await);
    read.sort();
    assert_eq!(read, ["a", "blocked", "late"]);
    assert_eq!(left_out(&source).await, [closed]);
    stage.finish(&["a", "blocked", "closed", "late"]).await;
}

/// What the other names would find is more than what a filtered alias shows.
#[tokio::test]
async fn h12_a_blocked_index_behind_an_alias_with_a_filter_refuses_all_of_it() {
    let stage = Stage::new();
    let alias = stage.name("alias");
    let mut actions = Vec::new();
    for name in ["a", "blocked"] {
        let index = stage.index(name, plain_mapping()).await;
        stage.write_messages(&index, &[(name, AT)]).await;
        actions.push(json!({"add": {"index": index, "alias": alias, "filter": {"term": {"id": "a"}}}}));
    }
    stage
        .ask(Method::POST, "_aliases", json!({ "actions": actions }))
        .await;
    let settings = format!("{}/_settings", stage.name("blocked"));
    stage
        .ask(Method::PUT, &settings, json!({"index.blocks.read": true}))
        .await;
    let source = Source::new(by_id_field(&alias)).unwrap();
    let survey = source.surveyed().await.unwrap();
    let Some(SourceError::Refused { reason, .. }) = survey.refusal() else {
        panic!("{survey:?}")
    };
    assert!(
        reason.contains(&stage.name("blocked")) && reason.contains("Remove the block"),
        "{reason}"
    );
    stage.finish(&["a", "blocked"]).await;
}

/// Between two looks at the indices one comes and one is closed: the view is of the indices that it says it is of.
#[tokio::test]
async fn h12_a_view_never_lacks_an_index_without_saying_so() {
    let stage = Stage::new();
    let one = stage.index("set-one", plain_mapping()).await;
    stage.write_messages(&one, &[("one", AT)]).await;
    let source = Source::new(by_id_field(&stage.name("set-*"))).unwrap();
    assert_eq!(left_out(&source).await, [""; 0]);
    let two = stage.index("set-two", plain_mapping()).await;
    stage.write_messages(&two, &[("two", AT)]).await;
    assert_eq!(read_all(&source, 10).await.len(), 2);
    stage
        .ask(Method::POST, &format!("{two}/_close"), Value::Null)
        .await;
    assert_eq!(left_out(&source).await, [two]);
    stage.finish(&["set-one", "set-two"]).await;
}

#[tokio::test]
async fn h15_where_no_index_is_left_nothing_is_read_and_the_reason_names_each() {
    let stage = Stage::new();
    let long = defined(json!({"type": "keyword"}), json!({"type": "long"}));
    let text = defined(json!({"type": "text"}), json!({"type": "date"}));
    let names = [stage.index("set-a", long).await, stage.index("set-b", text).await];
    let source = Source::new(by_id_field(&stage.name("set-*"))).unwrap();
    let survey = source.surveyed().await.unwrap();
    let Some(SourceError::Refused { reason, .. }) = survey.refusal() else {
        panic!("{survey:?}")
    };
    assert!(names.iter().all(|name| reason.contains(name)), "{reason}");
    stage.finish(&["set-a", "set-b"]).await;
}
