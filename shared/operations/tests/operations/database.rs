//! A database for one test.

use granary_ledger::{Ledger, LedgerSettings};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use uuid::Uuid;

/// The address of a database on the server under test.
fn address(database: &str) -> String {
    let url = std::env::var("LEDGER_URL").expect(
        "LEDGER_URL must name a running MySQL or MariaDB: start the local stack, then `. .local/env`",
    );
    let (server, _) = url.rsplit_once('/').expect("LEDGER_URL must end in /database");
    format!("{server}/{database}")
}

async fn connection(database: &str) -> Conn {
    let opts = Opts::from_url(&address(database)).unwrap();
    Conn::new(OptsBuilder::from_opts(opts).prefer_socket(false))
        .await
        .unwrap()
}

/// A database that is dropped with this value, also where its test panics.
pub(crate) struct Database {
    name: String,
}

impl Database {
    pub(crate) async fn new() -> Self {
        let name = format!("granary_test_{}", Uuid::now_v7().simple());
        let mut conn = connection("").await;
        conn.query_drop(format!("CREATE DATABASE {name}")).await.unwrap();
        conn.disconnect().await.unwrap();
        Self { name }
    }

    pub(crate) async fn ledger(&self) -> Ledger {
        let settings = LedgerSettings {
            url: address(&self.name).into(),
            connections_max: 4,
        };
        Ledger::connect(&settings).await.unwrap()
    }
}

impl Drop for Database {
    /// On a thread and a runtime of its own: a destructor can't wait on its test's.
    fn drop(&mut self) {
        let statement = format!("DROP DATABASE IF EXISTS {}", self.name);
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime
                .unwrap()
                .block_on(async { connection("").await.query_drop(statement).await })
        });
        drop(dropping.join());
    }
}
