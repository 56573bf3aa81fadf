//! What a survey refuses and reports of mappings, settings, indices that aren't read, and the cluster.

use crate::stage::{Stage, plain_mapping, settings};
use granary_domain::MetadataSource;
use granary_source::{FieldRole, Flaw, Kept, LeftOut, Role, Severity, Source, SourceProblem, SourceSettings};
use reqwest::Method;
use serde_json::{Value, json};

async fn problems(settings: SourceSettings) -> Vec<SourceProblem> {
    Source::new(settings).unwrap().survey().await.problems().to_vec()
}

pub(crate) fn with_fields(index: &str, id: &str, at: &str) -> SourceSettings {
    SourceSettings {
        id_field: id.to_owned(),
        time_field: at.to_owned(),
        ..settings(index)
    }
}

/// An index with these definitions of `id` and `at`, and these settings.
fn defined(id: Value, at: Value, settings: Value) -> Value {
    json!({"settings": settings, "mappings": {"properties": {"id": id, "at": at}}})
}

pub(crate) fn keyword() -> Value {
    json!({"type": "keyword"})
}

pub(crate) fn date() -> Value {
    json!({"type": "date"})
}

fn lower() -> Value {
    json!({"analysis": {"normalizer": {"lower": {"type": "custom", "filter": ["lowercase"]}}}})
}

/// Fields, indices, and what is wrong with the one in the other.
fn flawed_indices() -> [(&'static str, Value, Flaw); 5] {
    let long = json!({"type": "long"});
    let plain = json!({});
    [
        (
            "id",
            defined(json!({"type": "keyword", "normalizer": "lower"}), date(), lower()),
            Flaw::Normalized,
        ),
        (
            "id",
            defined(
                json!({"type": "keyword", "null_value": "N"}),
                date(),
                plain.clone(),
            ),
            Flaw::NullValue,
        ),
        (
            "at",
            defined(
                keyword(),
                json!({"type": "date", "null_value": "2026-03-01"}),
                plain.clone(),
            ),
            Flaw::NullValue,
        ),
        (
            "id",
            defined(
                json!({"type": "keyword", "ignore_above": 100}),
                date(),
                plain.clone(),
            ),
            Flaw::Shortened { ignore_above: 100 },
        ),
        ("id", defined(long, date(), plain), Flaw::Coerced),
    ]
}

/// Field cases 6, 10 and 34, and their kind: each flaw is found by the definition of the one field, also behind an alias.
#[tokio::test]
async fn h15_h9_an_index_whose_field_does_not_hold_what_documents_have_is_left_out_or_reported() {
    let stage = Stage::new();
    for (at, (field, body, flaw)) in flawed_indices().into_iter().enumerate() {
        let mut body = body;
        body["mappings"]["properties"]["alias"] = json!({"type": "alias", "path": field});
        let index = stage.index(&format!("flaw-{at}"), body).await;
        let role = if field == "id" {
            FieldRole::Id
        } else {
            FieldRole::Time
        };
        for name in [field, "alias"] {
            let settings = match role {
                FieldRole::Time => with_fields(&index, "id", name),
                FieldRole::Id | FieldRole::Key(_) => with_fields(&index, name, "at"),
            };
            let flawed = SourceProblem::Flawed {
                role: role.clone(),
                field: name.to_owned(),
                flaw,
                indices: vec![index.clone()],
            };
            let left_out =
                matches!(flaw, Flaw::Normalized) || flaw == Flaw::NullValue && role == FieldRole::Id;
            let severity = if left_out {
                Severity::LeftOut
            } else {
                Severity::Reported
            };
            assert_eq!(flawed.severity(), severity);
            let text = flawed.to_string();
            assert!(text.contains(&index) && text.contains(name), "{text}");
            assert_eq!(problems(settings).await, [flawed]);
        }
        stage.writer.delete_index(&index).await.unwrap();
    }
}

#[tokio::test]
async fn h15_h9_what_numbers_are_coerced_to_is_no_problem_where_coercion_is_off() {
    let stage = Stage::new();
    let off = json!({"type": "long", "coerce": false});
    let field = stage.index("field", defined(off, date(), json!({}))).await;
    let index = defined(
        json!({"type": "long"}),
        date(),
        json!({"index.mapping.coerce": false}),
    );
    let index = stage.index("index", index).await;
    for index in [field, index] {
        assert_eq!(problems(with_fields(&index, "id", "at")).await, []);
    }
    stage.finish(&["field", "index"]).await;
}

/// A search of documents sees nothing of a nested object: every window would be empty, and complete.
#[tokio::test]
async fn h15_h9_indices_with_fields_in_nested_objects_or_times_below_flattened_ones_are_left_out() {
    let stage = Stage::new();
    let properties = json!({
        "id": keyword(), "at": date(), "flat": {"type": "flattened"},
        "list": {"type": "nested", "properties": {"id": keyword(), "deep": {"properties": {"at": date()}}}},
    });
    let index = stage
        .index("a", json!({"mappings": {"properties": properties}}))
        .await;
    let flawed = |role, field: &str, flaw| SourceProblem::Flawed {
        role,
        field: field.to_owned(),
        flaw,
        indices: vec![index.clone()],
    };
    let cases = [
        ("list.id", "at", flawed(FieldRole::Id, "list.id", Flaw::Nested)),
        (
            "id",
            "list.deep.at",
            flawed(FieldRole::Time, "list.deep.at", Flaw::Nested),
        ),
        (
            "id",
            "flat.at",
            flawed(FieldRole::Time, "flat.at", Flaw::Flattened),
        ),
    ];
    for (id, at, flawed) in cases {
        assert_eq!(flawed.severity(), Severity::LeftOut);
        let survey = Source::new(with_fields(&index, id, at)).unwrap().survey().await;
        assert_eq!(survey.problems(), std::slice::from_ref(&flawed));
        assert_eq!(survey.refusals(), [&flawed], "no index is left");
    }
    assert_eq!(
        problems(with_fields(&index, "flat.id", "at")).await,
        [],
        "a flattened field holds texts"
    );
    stage.finish(&["a"]).await;
}

#[tokio::test]
async fn h15_h9_a_runtime_field_is_reported_and_an_index_whose_ids_have_another_type_is_left_out() {
    let stage = Stage::new();
    let runtime = json!({"mappings": {"runtime": {"id": keyword()}, "properties": {"at": date()}}});
    let runtime = stage.index("runtime", runtime).await;
    stage.index("types-a", plain_mapping()).await;
    let numbers = json!({"type": "long", "coerce": false});
    let numbers = stage.index("types-b", defined(numbers, date(), json!({}))).await;
    let flawed = |flaw, indices| SourceProblem::Flawed {
        role: FieldRole::Id,
        field: "id".to_owned(),
        flaw,
        indices,
    };
    let found = problems(with_fields(&runtime, "id", "at")).await;
    assert_eq!(found, [flawed(Flaw::Runtime, vec![runtime.clone()])]);
    assert_eq!(found[0].severity(), Severity::Reported);
    let found = problems(with_fields(&stage.name("types-*"), "id", "at")).await;
    assert_eq!(found, [flawed(Flaw::SeveralTypes, vec![numbers])]);
    assert_eq!(found[0].severity(), Severity::LeftOut);
    stage.finish(&["runtime", "types-a", "types-b"]).await;
}

/// Field case 30, and its kind.
#[tokio::test]
async fn h15_e6_an_index_without_source_is_left_out_and_one_that_keeps_less_than_was_indexed_is_reported() {
    let stage = Stage::new();
    let of_source = |source: Value| {
        let mut body = plain_mapping();
        body["mappings"]["_source"] = source;
        body
    };
    let none = stage
        .index("kept-none", of_source(json!({"enabled": false})))
        .await;
    let part = stage
        .index("kept-part", of_source(json!({"excludes": ["body"]})))
        .await;
    let whole = stage.index("kept-whole", plain_mapping()).await;
    let kept = |kept, index: &String| SourceProblem::SourceKept {
        role: Role::Messages,
        kept,
        indices: vec![index.clone()],
    };
    let found = problems(settings(&stage.name("kept-*"))).await;
    assert_eq!(found, [kept(Kept::Nothing, &none), kept(Kept::Part, &part)]);
    let severities: Vec<Severity> = found.iter().map(SourceProblem::severity).collect();
    assert_eq!(severities, [Severity::LeftOut, Severity::Reported]);
    let alone = Source::new(settings(&none)).unwrap().survey().await;
    assert_eq!(alone.refusals(), [&kept(Kept::Nothing, &none)]);
    assert_eq!(problems(settings(&whole)).await, []);
    stage.finish(&["kept-none", "kept-part", "kept-whole"]).await;
}

/// Field case 15: an index that a pattern matches and a search leaves out is named.
#[tokio::test]
async fn h15_h12_closed_and_hidden_indices_are_left_out_and_a_closed_one_that_is_all_there_is_is_refused() {
    let stage = Stage::new();
    let open = stage.index("set-open", plain_mapping()).await;
    let closed = stage.index("set-closed", plain_mapping()).await;
    stage
        .ask(Method::POST, &format!("{closed}/_close"), json!(null))
        .await;
    let mut hidden = plain_mapping();
    hidden["settings"]["index.hidden"] = json!(true);
    let hidden = stage.index("set-hidden", hidden).await;
    let left_out = |why, index: &String| SourceProblem::LeftOut {
        role: Role::Messages,
        why,
        indices: vec![index.clone()],
    };
    let found = problems(settings(&stage.name("set-*"))).await;
    let both = [
        left_out(LeftOut::Closed, &closed),
        left_out(LeftOut::Hidden, &hidden),
    ];
    assert_eq!(found, both);
    assert!(
        found
            .iter()
            .all(|problem| problem.severity() == Severity::LeftOut)
    );
    assert_eq!(problems(settings(&hidden)).await, [], "who names it reads it");
    let found = problems(settings(&format!("{open},{closed}"))).await;
    assert_eq!(found, [left_out(LeftOut::Closed, &closed)]);
    let found = problems(settings(&closed)).await;
    assert!(
        matches!(found.as_slice(), [SourceProblem::Closed { .. }]),
        "{found:?}"
    );
    stage.finish(&["set-open", "set-closed", "set-hidden"]).await;
}

#[tokio::test]
async fn h15_an_alias_with_a_filter_or_a_routing_is_reported_and_one_without_is_not() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    let [plain, filtered, routed] = ["plain", "filtered", "routed"].map(|name| stage.name(name));
    let some = json!({"term": {"id": "x"}});
    let actions = json!({"actions": [
        {"add": {"index": index, "alias": plain}},
        {"add": {"index": index, "alias": filtered, "filter": some}},
        {"add": {"index": index, "alias": routed, "search_routing": "1"}},
    ]});
    stage.ask(Method::POST, "_aliases", actions).await;
    for name in [&plain, &index, &stage.name("*")] {
        assert_eq!(problems(settings(name)).await, [], "{name}");
    }
    for name in [filtered, routed] {
        let found = problems(settings(&name)).await;
        let aliases = vec![name];
        assert_eq!(found, [SourceProblem::FilteredAlias { aliases }]);
        assert_eq!(found[0].severity(), Severity::Reported);
    }
    stage.finish(&["a"]).await;
}

#[tokio::test]
async fn h15_settings_of_indices_that_keep_documents_from_being_read_are_named() {
    let stage = Stage::new();
    let of = |setting: &str, value: Value| {
        let mut body = plain_mapping();
        body["settings"][setting] = value;
        body
    };
    let blocked = stage.index("blocked", of("index.blocks.read", json!(true))).await;
    let found = problems(settings(&blocked)).await;
    let [problem @ SourceProblem::Blocked { .. }] = found.as_slice() else {
        panic!("{found:?}")
    };
    let text = problem.to_string();
    assert!(
        text.contains(&blocked) && text.contains("Remove the block"),
        "{text}"
    );
    let few = stage
        .index("few", of("index.max_docvalue_fields_search", json!(1)))
        .await;
    let limit = SourceProblem::IndexLimit {
        role: Role::Messages,
        setting: "index.max_docvalue_fields_search",
        value: 1,
        needed: 2,
        indices: vec![few.clone()],
    };
    assert_eq!(problems(with_fields(&few, "id", "at")).await, [limit]);
    let never = stage
        .index("never", of("index.refresh_interval", json!("-1")))
        .await;
    let found = problems(settings(&never)).await;
    assert_eq!(found, [SourceProblem::NeverRefreshed { indices: vec![never] }]);
    stage
        .ask(
            Method::PUT,
            &format!("{blocked}/_settings"),
            json!({"index.blocks.read": null}),
        )
        .await;
    stage.finish(&["blocked", "few", "never"]).await;
}

#[tokio::test]
async fn h12_a_survey_sees_that_indices_have_come_gone_or_changed() {
    let stage = Stage::new();
    stage.index("set-a", plain_mapping()).await;
    let source = Source::new(settings(&stage.name("set-*"))).unwrap();
    let mut survey = source.survey().await;
    assert_eq!(survey.problems(), []);
    assert!(!source.has_changed_since(&survey).await.unwrap());
    let b = stage.index("set-b", plain_mapping()).await;
    assert!(source.has_changed_since(&survey).await.unwrap());
    survey = source.survey().await;
    stage.ask(Method::POST, &format!("{b}/_close"), json!(null)).await;
    assert!(source.has_changed_since(&survey).await.unwrap());
    survey = source.survey().await;
    stage.writer.delete_index(&b).await.unwrap();
    stage.index("set-b", plain_mapping()).await;
    assert!(source.has_changed_since(&survey).await.unwrap());
    stage.finish(&["set-a", "set-b"]).await;
}

#[tokio::test]
async fn h9_documents_with_several_ids_or_times_are_reported_by_a_sample() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    let (one, two) = ("2026-03-01T09:00:00Z", "2026-03-01T10:00:00Z");
    stage.put(&index, "1", json!({"id": ["a", "b"], "at": one})).await;
    stage.put(&index, "2", json!({"id": "c", "at": [one, two]})).await;
    stage.put(&index, "3", json!({"id": "d", "at": one})).await;
    let several = |role, field: &str| SourceProblem::SeveralValues {
        role,
        field: field.to_owned(),
        sampled: 3,
        several: 1,
    };
    let found = problems(with_fields(&index, "id", "at")).await;
    assert_eq!(
        found,
        [several(FieldRole::Id, "id"), several(FieldRole::Time, "at")]
    );
    stage.finish(&["a"]).await;
}

pub(crate) fn from(index: &str, key: &str) -> MetadataSource {
    serde_json::from_value(json!({"name": "status", "index": index, "key": key})).unwrap()
}

/// Field case 2, and its kind.
#[tokio::test]
async fn h15_e5_what_is_wrong_with_a_metadata_source_is_found_before_the_first_export() {
    let stage = Stage::new();
    let normalized = json!({
        "settings": lower(),
        "mappings": {"properties": {
            "normal": {"type": "keyword", "normalizer": "lower"}, "short": {"type": "keyword", "ignore_above": 100},
            "nulls": {"type": "keyword", "null_value": "N"}, "number": {"type": "long"},
            "text": {"type": "text"}, "key": keyword(), "list": {"type": "nested", "properties": {"key": keyword()}},
        }},
    });
    let index = stage.index("status", normalized).await;
    let source = Source::new(settings("messages")).unwrap();
    for (key, severity, part) in [
        ("normal", Severity::Refused, "without a normalizer"),
        ("short", Severity::Reported, "more than 100 characters"),
        ("nulls", Severity::Refused, "null_value"),
        ("number", Severity::Reported, "\"007\", 7.9 and 7 are one id"),
        ("text", Severity::Refused, "text.keyword"),
        ("list.key", Severity::Refused, "nested object"),
    ] {
        let found = source.survey_metadata(&from(&index, key)).await;
        let [problem] = found.as_slice() else {
            panic!("{key}: {found:?}")
        };
        assert_eq!(problem.severity(), severity, "{problem}");
        let text = problem.to_string();
        assert!(
            text.contains(part) && text.contains(&index) && text.contains("\"status\""),
            "{text}"
        );
    }
    assert_eq!(source.survey_metadata(&from(&index, "key")).await, []);
    assert_eq!(
        source.survey_metadata(&from(&stage.name("absent"), "key")).await,
        []
    );
    let mut part = plain_mapping();
    part["mappings"]["_source"] = json!({"includes": ["id"]});
    let part = stage.index("part", part).await;
    let found = source.survey_metadata(&from(&part, "id")).await;
    assert!(
        matches!(
            found.as_slice(),
            [SourceProblem::SourceKept { kept: Kept::Part, .. }]
        ),
        "{found:?}"
    );
    stage.finish(&["status", "part"]).await;
}

#[tokio::test]
async fn h15_the_indices_of_one_problem_are_named_in_one_sentence_as_far_as_a_person_reads() {
    let stage = Stage::new();
    let names: Vec<String> = (0..11).map(|n| format!("many-{n:02}")).collect();
    let mut body = defined(json!({"type": "keyword", "ignore_above": 9}), date(), json!({}));
    body["settings"] = json!({"number_of_shards": 1, "number_of_replicas": 0});
    for name in &names {
        stage.index(name, body.clone()).await;
    }
    let found = problems(with_fields(&stage.name("many-*"), "id", "at")).await;
    let [problem] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert!(problem.to_string().contains("and 1 more"), "{problem}");
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    stage.finish(&names).await;
}
