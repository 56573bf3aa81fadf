//! What is found wrong with a source before the first page.

use crate::stage::{Stage, plain_mapping, settings};
use granary_environment::SourceCredentials;
use granary_source::{DocId, FieldRole, Source, SourceProblem, SourceSettings};
use serde_json::json;
use std::io::{Read, Write};

async fn problems(settings: SourceSettings) -> Vec<SourceProblem> {
    Source::new(settings).unwrap().survey().await.problems().to_vec()
}

fn by_id_field(index: &str) -> SourceSettings {
    SourceSettings {
        id_field: "id".to_owned(),
        ..settings(index)
    }
}

#[tokio::test]
async fn a_good_source_has_no_problems_whichever_way_it_is_named() {
    let stage = Stage::new();
    let a = stage.index("a", plain_mapping()).await;
    let b = stage.index("b", plain_mapping()).await;
    stage.index("new", json!({})).await;
    stage.write_messages(&a, &[("m", "2026-03-01T09:00:00Z")]).await;
    for index in [a.clone(), format!("{a},{b}"), stage.name("*")] {
        for doc_id_is_message_id in [DocId::IsItsOwn, DocId::IsMessageId] {
            assert_eq!(problems(settings(&index)).await, []);
            assert_eq!(
                problems(SourceSettings {
                    doc_id_is_message_id,
                    ..by_id_field(&index)
                })
                .await,
                []
            );
        }
    }
    stage.finish(&["a", "b", "new"]).await;
}

#[tokio::test]
async fn people_are_told_which_elasticsearch_it_is_or_that_nothing_answers() {
    let version = Source::new(settings("x")).unwrap().version().await.unwrap();
    assert!(
        version.starts_with(|char: char| char.is_ascii_digit()),
        "{version}"
    );
    let away = SourceSettings {
        url: "http://127.0.0.1:1".parse().unwrap(),
        ..settings("x")
    };
    let problem = Source::new(away).unwrap().version().await.unwrap_err();
    assert!(matches!(problem, SourceProblem::Unreachable { .. }), "{problem}");
}

#[tokio::test]
async fn h15_every_unfit_mapping_is_reported_at_once_with_its_indices() {
    let stage = Stage::new();
    stage.index("good", plain_mapping()).await;
    let text = json!({"mappings": {"properties": {"id": {"type": "text"}, "at": {"type": "date", "doc_values": false}}}});
    let text = stage.index("text", text).await;
    let wrong = json!({"mappings": {"properties": {"id": {"type": "keyword"}, "at": {"type": "keyword"}}}});
    let wrong = stage.index("wrong", wrong).await;
    let lacking = stage.index("lacking", json!({})).await;
    stage
        .write(&lacking, &[(json!({}), r#"{"x":1}"#.to_owned())])
        .await;
    let filter = Some(json!({"no_such_query": {}}));
    let found = problems(SourceSettings {
        filter,
        ..by_id_field(&stage.name("*"))
    })
    .await;
    let (id, at) = ("id".to_owned(), "at".to_owned());
    let unfit = |role, field: &String, found: &str, index: &String| SourceProblem::WrongType {
        role,
        field: field.clone(),
        found: found.to_owned(),
        indices: vec![index.clone()],
    };
    assert!(
        found.contains(&unfit(FieldRole::Id, &id, "text", &text)),
        "{found:?}"
    );
    assert!(
        found.contains(&unfit(FieldRole::Time, &at, "keyword", &wrong)),
        "{found:?}"
    );
    for (role, field) in [(FieldRole::Id, id), (FieldRole::Time, at.clone())] {
        let unknown = SourceProblem::UnknownField {
            role,
            field,
            indices: vec![lacking.clone()],
        };
        assert!(found.contains(&unknown), "{found:?}");
    }
    let unsorted = SourceProblem::Unsorted {
        role: FieldRole::Time,
        field: at,
        indices: vec![text.clone()],
    };
    assert!(found.contains(&unsorted), "{found:?}");
    assert!(
        found
            .iter()
            .any(|problem| matches!(problem, SourceProblem::BadFilter { .. })),
        "{found:?}"
    );
    assert_eq!(found.len(), 6, "{found:?}");
    let report = found
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
        .join("\n");
    assert!(
        report.contains(&text)
            && report.contains("id.keyword")
            && report.contains("GRANARY_SOURCE_TIME_FIELD")
    );
    stage.finish(&["good", "text", "wrong", "lacking"]).await;
}

#[tokio::test]
async fn h12_an_unknown_index_is_a_problem_of_its_own_kind() {
    let stage = Stage::new();
    let there = stage.index("there", plain_mapping()).await;
    let absent = stage.name("absent");
    for index in [
        absent.clone(),
        stage.name("absent-*"),
        format!("{there},{absent}"),
    ] {
        assert_eq!(
            problems(settings(&index)).await,
            [SourceProblem::UnknownIndex { index }]
        );
    }
    stage.finish(&["there"]).await;
}

#[tokio::test]
async fn ids_that_differ_and_routed_documents_refute_the_shortcut() {
    let stage = Stage::new();
    let index = stage.index("a", plain_mapping()).await;
    stage
        .write_messages(&index, &[("same", "2026-03-01T09:00:00Z")])
        .await;
    let other = r#"{"id":"other","at":"2026-03-01T10:00:00Z"}"#.to_owned();
    stage
        .write(&index, &[(json!({"_id": "differs", "routing": "r"}), other)])
        .await;
    let shortcut = SourceSettings {
        doc_id_is_message_id: DocId::IsMessageId,
        ..by_id_field(&index)
    };
    let differs = SourceProblem::DocIdDiffers {
        field: "id".to_owned(),
        sampled: 4,
        differing: 2,
    };
    assert_eq!(
        problems(shortcut).await,
        [differs, SourceProblem::Routed { documents: 1 }]
    );
    stage.finish(&["a"]).await;
}

#[tokio::test]
async fn s2_a_wrong_address_is_reported_with_a_remedy_and_without_the_address_or_secrets() {
    let unused = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let url = format!("http://reader:hunter2@{unused}").parse().unwrap();
    let credentials = SourceCredentials::User {
        name: "reader".to_owned(),
        password: "hunter3".to_owned().into(),
    };
    let settings = SourceSettings {
        url,
        credentials: Some(credentials.into()),
        ..settings("any")
    };
    assert!(!format!("{settings:?}").contains("hunter"));
    let found = problems(settings).await;
    let [problem @ SourceProblem::Unreachable { reason }] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert!(reason.to_lowercase().contains("connection refused"), "{reason}");
    let report = format!("{problem} {problem:?}");
    assert!(report.contains("GRANARY_ES_URL"));
    assert!(
        ["hunter", "reader", "127.0.0.1"]
            .iter()
            .all(|secret| !report.contains(secret)),
        "{report}"
    );
}

/// What a foreign server at the address says to every request.
fn foreign_server(answer: &'static str) -> SourceSettings {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap())
        .parse()
        .unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    SourceSettings {
        url,
        ..settings("any")
    }
}

#[tokio::test]
async fn something_else_at_the_address_is_not_taken_for_elasticsearch() {
    let settings = foreign_server("HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}");
    assert_eq!(
        problems(settings).await,
        [SourceProblem::NotElasticsearch {
            status: 200,
            server: None
        }]
    );
}

/// The answer of OpenSearch to `GET /`, shortened: it has no header that names a product.
#[tokio::test]
async fn h15_opensearch_is_refused_by_its_name_in_one_sentence() {
    let settings = foreign_server(
        "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 96\r\nconnection: close\r\n\r\n\
         {\"name\":\"node-1\",\"version\":{\"distribution\":\"opensearch\",\"number\":\"2.11.0\"},\"tagline\":\"The Open\"}",
    );
    let found = problems(settings).await;
    let [problem] = found.as_slice() else {
        panic!("{found:?}")
    };
    assert_eq!(
        problem.to_string(),
        "OpenSearch 2.11.0 answers at GRANARY_ES_URL, and Granary reads Elasticsearch 7.17 or later alone: name an Elasticsearch"
    );
}

#[tokio::test]
async fn denied_access_is_a_problem_of_its_own_kind() {
    let settings = foreign_server("HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let found = problems(settings).await;
    assert!(
        matches!(found.as_slice(), [SourceProblem::Denied { status: 403, .. }]),
        "{found:?}"
    );
}

#[tokio::test]
async fn h7_throttling_beyond_the_calls_own_patience_is_the_platforms_fault_with_its_delay() {
    let settings = foreign_server(
        "HTTP/1.1 429 Busy\r\nretry-after: 77\r\ncontent-length: 0\r\nconnection: close\r\n\r\n",
    );
    let error = Source::new(settings).unwrap().open_pit().await.unwrap_err();
    assert!(error.is_platforms(), "{error}");
    let granary_source::SourceError::Unavailable { retry_after, .. } = error else {
        panic!("{error}")
    };
    assert_eq!(retry_after, Some(std::time::Duration::from_secs(77)));
}
