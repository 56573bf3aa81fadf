//! What a test keeps its ledger in: a database, lent from those that earlier tests gave back, or a [server](LedgerServer) of its own.
//!
//! Making the schema takes longer than most tests do. So a database is emptied when its test has passed, and lent to the
//! next one, of this run or of a later one. A named lock says that it is in use, and a row of the database `granary_tests` that it is empty: a
//! test whose process dies gives neither back, and the next test makes that database anew. A test that panics, or that
//! leaves tables behind, has its database dropped.

#![allow(clippy::panic, reason = "a test that has no database fails")]

mod newer;
mod lending;
mod server;

pub use server::{LedgerServer, ServerKind, free_port};

use granary_ledger::{Ledger, LedgerSettings};
use lending::Kind;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Opts, OptsBuilder};
use std::sync::atomic::{AtomicBool, Ordering};
use uuid::Uuid;

/// What this crate keeps about the databases that it lends.
const BOOKS: &str = "granary_tests";

/// A database that ends with this value, also where its test panics.
#[derive(Debug)]
pub struct Database {
    server: String,
    name: String,
    /// `None`: the database is this value's alone.
    loan: Option<Loan>,
    is_spoiled: AtomicBool,
}

/// What is known of a database for as long as it is lent.
#[derive(Debug)]
struct Loan {
    kind: Kind,
    /// Holds the named lock.
    _lock: Conn,
}

impl Database {
    /// One with the ledger's schema and no rows but the schema's own. `server`: `mysql://user:password@host:port`.
    pub async fn with_schema(server: &str) -> Self {
        Self::lent(server, Kind::Own).await
    }

    /// The same with a schema that is newer than this program, and allows it.
    pub async fn with_newer_schema(server: &str) -> Self {
        Self::lent(server, Kind::Newer).await
    }

    async fn lent(server: &str, kind: Kind) -> Self {
        let (name, _lock) = lending::lend(server, kind).await;
        Self {
            server: server.to_owned(),
            name,
            loan: Some(Loan { kind, _lock }),
            is_spoiled: AtomicBool::new(false),
        }
    }

    /// One without tables.
    pub async fn empty(server: &str) -> Self {
        Self::named(server, &format!("granary_empty_{}", Uuid::now_v7().simple())).await
    }

    /// The same with this name, which no other database has.
    pub async fn named(server: &str, name: &str) -> Self {
        let mut conn = connection(&format!("{server}/")).await;
        conn.query_drop(format!("CREATE DATABASE {name}"))
            .await
            .expect("the database is made");
        conn.disconnect().await.expect("the connection ends");
        Self {
            server: server.to_owned(),
            name: name.to_owned(),
            loan: None,
            is_spoiled: AtomicBool::new(false),
        }
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its address.
    pub fn url(&self) -> String {
        format!("{}/{}", self.server, self.name)
    }

    /// Its schema isn't the ledger's any more: no other test gets it.
    pub fn spoil(&self) {
        self.is_spoiled.store(true, Ordering::Relaxed);
    }

    /// A connection beside the ledger's, for what no function of the ledger does: looking closely, and moving time.
    pub async fn connection(&self) -> Conn {
        connection(&self.url()).await
    }
}

/// The ledger in a database, after a deployment has brought its schema up to date.
pub async fn deployed(settings: &LedgerSettings) -> Ledger {
    let ledger = Ledger::new(settings).expect("an address is a MySQL URL");
    ledger.migrate_schema().await.expect("the schema is made");
    ledger.ready().await.expect("the schema is this program's");
    ledger
}

/// The server of an address that names a database as well.
pub fn server_of(url: &str) -> &str {
    let (server, _) = url.rsplit_once('/').expect("an address ends in /database");
    server
}

/// Where the server lists its connections. MySQL's other list fails over statements that hold bytes.
pub fn processlist() -> &'static str {
    let server = std::env::var("LEDGER_SERVER").expect("LEDGER_SERVER is set: `. .local/env`");
    match server.as_str() {
        "mysql" => "performance_schema.processlist",
        _ => "information_schema.processlist",
    }
}

/// A connection whose times are UTC.
pub async fn connection(url: &str) -> Conn {
    let opts = Opts::from_url(url).expect("an address is a MySQL URL");
    let opts = OptsBuilder::from_opts(opts)
        .prefer_socket(false)
        .setup(vec!["SET time_zone = '+00:00'"]);
    Conn::new(opts).await.expect("the server takes connections")
}

impl Drop for Database {
    /// On a thread and a runtime of its own: a destructor can't wait on its test's.
    fn drop(&mut self) {
        let (server, name) = (self.server.clone(), self.name.clone());
        let is_sound = !self.is_spoiled.load(Ordering::Relaxed) && !std::thread::panicking();
        let kept = self.loan.as_ref().filter(|_| is_sound).map(|loan| loan.kind);
        let ending = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.expect("a runtime starts").block_on(async {
                match kept {
                    Some(kind) => lending::give_back(&server, &name, kind).await,
                    None => lending::drop_database(&server, &name).await,
                }
            });
        });
        assert!(
            ending.join().is_ok() || std::thread::panicking(),
            "the database {} was not given back",
            self.name
        );
    }
}
