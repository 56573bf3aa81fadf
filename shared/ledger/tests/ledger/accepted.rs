//! Exceptions that an operator accepts: by kind and index, replaced and taken back.

use crate::stage::Stage;
use granary_domain::ExceptionKind;
use granary_ledger::Acceptance;

#[tokio::test]
async fn h18_what_is_accepted_is_replaced_by_kind_and_index_and_taken_back_with_none() {
    let stage = Stage::new().await;
    let accept = async |kind, index, max| {
        let acceptance = Acceptance {
            kind,
            index,
            max,
            reason: "a test",
        };
        stage
            .ledger
            .accept_exceptions(&acceptance, "operator")
            .await
            .unwrap();
    };
    let accepted = async || {
        let accepted = stage.ledger.accepted_exceptions().await.unwrap();
        accepted
            .into_iter()
            .map(|one| (one.kind, one.index, one.max, one.accepted_by))
            .collect::<Vec<_>>()
    };
    assert!(accepted().await.is_empty());
    for kind in ExceptionKind::ALL {
        accept(kind, "q-1", 3).await;
    }
    accept(ExceptionKind::MergedId, "q-2", 1).await;
    accept(ExceptionKind::MergedId, "q-1", 5).await;
    accept(ExceptionKind::Quarantined, "q-1", 0).await;
    accept(ExceptionKind::Quarantined, "q-9", 0).await;
    let row = |kind, index: &str, max| (kind, index.to_owned(), max, "operator".to_owned());
    assert_eq!(
        accepted().await,
        [
            row(ExceptionKind::MergedId, "q-1", 5),
            row(ExceptionKind::MergedId, "q-2", 1),
            row(ExceptionKind::WithoutId, "q-1", 3),
        ]
    );
}
