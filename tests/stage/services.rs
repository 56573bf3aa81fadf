//! Where the services are, and a ledger database for one stage.

use super::{LedgerServer, Node};
use granary_test_database::{connection, processlist, server_of};
use mysql_async::Conn;
use mysql_async::prelude::{FromRow, Queryable};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use url::Url;

/// Long enough that whoever tries again comes through in between, on a machine that is busy as well: there, killing takes
/// longer, too.
const KILL_INTERVAL_MIN: Duration = Duration::from_millis(250);
const KILL_INTERVAL_OF_KILLING: u32 = 20;

/// The addresses of the running local stack.
pub(crate) struct Addresses {
    pub(crate) elasticsearch: Url,
    ledger: String,
    has_own_schema: bool,
}

/// What AWS's SDKs read themselves.
const AWS_VARIABLES: [&str; 5] = [
    "AWS_ENDPOINT_URL",
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_REGION",
    "AWS_EC2_METADATA_DISABLED",
];

fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `local/stack up`, then `. .local/env`"))
}

impl Addresses {
    pub(crate) fn from_environment() -> Self {
        Self {
            elasticsearch: variable("ES_URL").parse().expect("ES_URL must be a URL"),
            ledger: variable("LEDGER_URL"),
            has_own_schema: false,
        }
    }

    /// With the schema of this version, and not with one that is a migration ahead.
    pub(crate) fn with_own_schema(mut self) -> Self {
        self.has_own_schema = true;
        self
    }

    /// With an Elasticsearch of the test's own.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "only the full suites start a node")
    )]
    pub(crate) fn with_node(mut self, node: &Node) -> Self {
        self.elasticsearch = node.url.parse().unwrap();
        self
    }

    /// With a ledger server of the test's own.
    pub(crate) fn with_ledger_server(mut self, server: &LedgerServer) -> Self {
        self.ledger = server.database_url();
        self
    }

    /// The same, by a name that may lead to another server later.
    #[cfg(feature = "full")]
    pub(crate) fn with_ledger_at(mut self, name: &str) -> Self {
        self.ledger = format!("{}/granary", name.trim_end_matches('/'));
        self
    }

    /// How a function reaches AWS.
    pub(crate) fn of_aws(&self) -> BTreeMap<String, String> {
        AWS_VARIABLES
            .iter()
            .map(|name| ((*name).to_owned(), variable(name)))
            .collect()
    }
}

/// The ledger's database, and what is done to it behind the functions' backs.
pub(crate) struct Database {
    pub(crate) url: String,
    database: granary_test_database::Database,
    server: String,
}

impl Database {
    pub(crate) async fn new(addresses: &Addresses) -> Self {
        let server = server_of(&addresses.ledger).to_owned();
        let database = match addresses.has_own_schema {
            true => granary_test_database::Database::with_schema(&server).await,
            false => granary_test_database::Database::with_newer_schema(&server).await,
        };
        Self {
            url: database.url(),
            database,
            server,
        }
    }

    /// The same database for a user who may not read the messages in it: whatever asks for them fails for good.
    pub(crate) async fn blind(&self) -> String {
        let mut conn = connection(&variable("LEDGER_ADMIN_URL")).await;
        let tables: Vec<String> = conn
            .exec(
                "SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_name <> 'message'",
                (self.database.name(),),
            )
            .await
            .unwrap();
        conn.query_drop("CREATE USER IF NOT EXISTS 'blind'@'%' IDENTIFIED BY 'blind'")
            .await
            .unwrap();
        for table in tables {
            let grant = format!("GRANT ALL ON {}.{table} TO 'blind'@'%'", self.database.name());
            conn.query_drop(grant).await.unwrap();
        }
        conn.disconnect().await.unwrap();
        let mut url: Url = self.url.parse().unwrap();
        url.set_username("blind").unwrap();
        url.set_password(Some("blind")).unwrap();
        url.into()
    }

    pub(crate) async fn sql(&self, statement: &str) -> u64 {
        let mut conn = self.database.connection().await;
        conn.query_drop(statement).await.unwrap();
        let affected = conn.affected_rows();
        conn.disconnect().await.unwrap();
        affected
    }

    /// Kills every connection to this database, again and again; how many were.
    pub(crate) async fn kill_connections_until(&self, is_over: &AtomicBool) -> u64 {
        let mut conn = connection(&format!("{}/", self.server)).await;
        let mut killed = 0;
        let others = format!(
            "SELECT id FROM {} WHERE db = '{}'",
            processlist(),
            self.database.name()
        );
        while !is_over.load(Ordering::Relaxed) {
            let began = Instant::now();
            let ids: Vec<u64> = conn.query(&others).await.unwrap();
            for id in ids {
                // It may have gone by itself.
                killed += u64::from(conn.query_drop(format!("KILL CONNECTION {id}")).await.is_ok());
            }
            let interval = KILL_INTERVAL_MIN.max(began.elapsed() * KILL_INTERVAL_OF_KILLING);
            tokio::time::sleep(interval).await;
        }
        conn.disconnect().await.unwrap();
        killed
    }

    /// Holds what a statement locks, until it is let go.
    pub(crate) async fn hold(&self, locking: &str) -> Held {
        let mut conn = self.database.connection().await;
        conn.query_drop("SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED")
            .await
            .unwrap();
        conn.query_drop("START TRANSACTION").await.unwrap();
        conn.query_drop(locking).await.unwrap();
        Held { conn }
    }

    pub(crate) async fn rows<T: FromRow + Send + 'static>(&self, query: &str) -> Vec<T> {
        let mut conn = self.database.connection().await;
        let rows = conn.query(query).await.unwrap();
        conn.disconnect().await.unwrap();
        rows
    }
}

/// Locks that keep a function from going on.
pub(crate) struct Held {
    conn: Conn,
}

impl Held {
    pub(crate) async fn let_go(mut self) {
        self.conn.query_drop("ROLLBACK").await.unwrap();
        self.conn.disconnect().await.unwrap();
    }
}
