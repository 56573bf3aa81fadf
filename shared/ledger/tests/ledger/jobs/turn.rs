//! Turns of ticks.

use crate::stage::Database;

#[tokio::test]
async fn one_tick_has_the_turn_at_a_time_and_the_next_one_when_it_is_over() {
    let database = Database::new().await;
    let (one, another) = (database.ledger().await, database.ledger().await);
    let turn = one.take_turn().await.unwrap();
    assert!(turn.is_some());
    assert!(another.take_turn().await.unwrap().is_none());
    drop(turn);
    assert!(another.take_turn().await.unwrap().is_some());
    assert!(one.take_turn().await.unwrap().is_some(), "it is given back");
}

/// Two deployments on one server.
#[tokio::test]
async fn ledgers_of_two_databases_have_turns_of_their_own() {
    let (one, another) = (Database::new().await, Database::new().await);
    let (one, another) = (one.ledger().await, another.ledger().await);
    let (one, another) = (one.take_turn().await.unwrap(), another.take_turn().await.unwrap());
    assert!(one.is_some() && another.is_some());
}
