//! The ledger of one test.

use granary_ledger::{Ledger, LedgerSettings};
use granary_test_database::{Database, server_of};

/// A database with the ledger's schema, on the server under test.
pub(crate) async fn database() -> Database {
    let url = std::env::var("LEDGER_URL").expect(
        "LEDGER_URL must name a running MySQL or MariaDB: start the local stack, then `. .local/env`",
    );
    Database::with_schema(server_of(&url)).await
}

pub(crate) async fn ledger_in(database: &Database) -> Ledger {
    let settings = LedgerSettings {
        url: database.url().into(),
        connections_max: 4,
    };
    Ledger::connect(&settings).await.unwrap()
}
