//! Lending: which databases there are, which are lent, and which are empty.

use crate::newer::{NEWER, files_in};
use crate::{BOOKS, connection, deployed, processlist};
use granary_ledger::LedgerSettings;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, params};
use std::collections::hash_map::DefaultHasher;
use std::hash::{Hash, Hasher};
use std::path::Path;
use std::sync::LazyLock;
use tokio::sync::OnceCell;

const PREFIX: &str = "granary_lent_";
/// More tests than these don't run at once.
const DATABASES_MAX: u32 = 256;

/// Names all databases of this checkout: a digest of all migrations.
static SCHEMA: LazyLock<String> = LazyLock::new(|| {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/ledger/migrations");
    let mut hasher = DefaultHasher::new();
    for file in files_in(&folder) {
        std::fs::read(file).expect("a migration").hash(&mut hasher);
    }
    NEWER.hash(&mut hasher);
    format!("{PREFIX}{:016x}_", hasher.finish())
});

/// Which schema a lent database has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// This program's.
    Own,
    /// One that is newer, as [`NEWER`] says.
    Newer,
}

impl Kind {
    /// What the names of its databases begin with.
    fn prefix(self) -> String {
        match self {
            Self::Own => format!("{}own_", *SCHEMA),
            Self::Newer => format!("{}newer_", *SCHEMA),
        }
    }

    /// Where the schema's own rows of a table are kept.
    fn initial(self, table: &str) -> String {
        format!("{BOOKS}.{}{table}", self.prefix())
    }

    fn tables(self) -> &'static OnceCell<Tables> {
        match self {
            Self::Own => &OWN_TABLES,
            Self::Newer => &NEWER_TABLES,
        }
    }
}

/// A database that no other test has, and the connection that holds its lock.
pub(crate) async fn lend(server: &str, kind: Kind) -> (String, Conn) {
    let mut conn = connection(&format!("{server}/")).await;
    keep_books(&mut conn).await;
    for number in 0..DATABASES_MAX {
        let name = format!("{}{number}", kind.prefix());
        if take_lock(&mut conn, &name).await {
            if !take_empty(&mut conn, &name).await {
                make(&mut conn, server, &name, kind).await;
            }
            return (name, conn);
        }
    }
    panic!("{DATABASES_MAX} databases are lent");
}

async fn keep_books(conn: &mut Conn) {
    run(conn, &format!("CREATE DATABASE IF NOT EXISTS {BOOKS}")).await;
    let table = format!(
        "CREATE TABLE IF NOT EXISTS {BOOKS}.empty_database (name VARCHAR(64) NOT NULL PRIMARY KEY, tables INT NOT NULL)"
    );
    run(conn, &table).await;
}

async fn take_lock(conn: &mut Conn, name: &str) -> bool {
    let taken: Option<Option<u8>> = conn
        .exec_first("SELECT GET_LOCK(?, 0)", (name,))
        .await
        .expect("a lock is asked for");
    taken.flatten() == Some(1)
}

/// Whether it is empty. It isn't any more, by the books.
async fn take_empty(conn: &mut Conn, name: &str) -> bool {
    let statement =
        format!("UPDATE {BOOKS}.empty_database SET tables = -tables WHERE name = ? AND tables > 0");
    conn.exec_drop(statement, (name,))
        .await
        .expect("the books are kept");
    conn.affected_rows() == 1
}

/// Makes it anew, after those of other schemas are dropped.
async fn make(conn: &mut Conn, server: &str, name: &str, kind: Kind) {
    forget_other_schemas(conn, server).await;
    drop_database(server, name).await;
    run(conn, &format!("CREATE DATABASE {name}")).await;
    let settings = LedgerSettings {
        url: format!("{server}/{name}").into(),
        connections_max: 2,
    };
    deployed(&settings).await.disconnect();
    if kind == Kind::Newer {
        let mut inside = connection(&format!("{server}/{name}")).await;
        for migration in NEWER.iter() {
            migration.apply(&mut inside).await;
        }
        inside.disconnect().await.expect("the connection ends");
    }
    let tables = tables_of(conn, name).await;
    for table in &tables {
        let rows: Option<u64> = conn
            .query_first(format!("SELECT COUNT(*) FROM {name}.{table}"))
            .await
            .expect("rows are counted");
        if rows.unwrap_or(0) > 0 {
            let kept = kind.initial(table);
            let statement = format!("CREATE TABLE IF NOT EXISTS {kept} AS SELECT * FROM {name}.{table}");
            run(conn, &statement).await;
        }
    }
    let found: Vec<String> = conn
        .query(format!("SHOW TABLES FROM {name}"))
        .await
        .expect("tables are listed");
    let statement = format!("REPLACE INTO {BOOKS}.empty_database (name, tables) VALUES (:name, :lent)");
    let lent = -i64::try_from(found.len()).expect("few tables");
    conn.exec_drop(statement, params! { "name" => name, "lent" => lent })
        .await
        .expect("the books are kept");
}

/// Another checkout may use theirs, so only what is not lent goes.
async fn forget_other_schemas(conn: &mut Conn, server: &str) {
    let query =
        format!("SELECT schema_name FROM information_schema.schemata WHERE schema_name LIKE '{PREFIX}%'");
    let names: Vec<String> = conn.query(query).await.expect("databases are listed");
    for name in names.iter().filter(|name| !name.starts_with(SCHEMA.as_str())) {
        if take_lock(conn, name).await {
            drop_database(server, name).await;
            conn.exec_drop("DO RELEASE_LOCK(?)", (name,))
                .await
                .expect("a lock is released");
        }
    }
}

/// The tables of the schema.
struct Tables {
    all: Vec<String>,
    /// Those that aren't empty at first.
    kept: Vec<String>,
}

/// To ask for them takes longer than to empty them.
static OWN_TABLES: OnceCell<Tables> = OnceCell::const_new();
static NEWER_TABLES: OnceCell<Tables> = OnceCell::const_new();

impl Tables {
    async fn of(conn: &mut Conn, name: &str) -> Self {
        Self {
            all: tables_of(conn, name).await,
            kept: tables_of(conn, BOOKS).await,
        }
    }

    /// Statements that leave the schema's own rows.
    fn emptying(&self, kind: Kind) -> String {
        let mut statements = vec!["SET foreign_key_checks = 0".to_owned(), "BEGIN".to_owned()];
        for table in &self.all {
            statements.push(format!("DELETE FROM {table}"));
            if self.kept.contains(&format!("{}{table}", kind.prefix())) {
                statements.push(format!(
                    "INSERT INTO {table} SELECT * FROM {}",
                    kind.initial(table)
                ));
            }
        }
        statements.push("COMMIT".to_owned());
        statements.join("; ")
    }
}

/// Empties a database for the next test. Where tables are left behind, it is dropped.
pub(crate) async fn give_back(server: &str, name: &str, kind: Kind) {
    let mut conn = connection(&format!("{server}/{name}")).await;
    end_connections(&mut conn, &format!("db = '{name}'")).await;
    let found: Vec<String> = conn.query("SHOW TABLES").await.expect("tables are listed");
    let expected: Option<usize> = conn
        .exec_first(
            format!("SELECT -tables FROM {BOOKS}.empty_database WHERE name = ?"),
            (name,),
        )
        .await
        .expect("the books are read");
    if expected != Some(found.len()) {
        drop_database(server, name).await;
        return;
    }
    let tables = kind
        .tables()
        .get_or_init(async || Tables::of(&mut conn, name).await)
        .await;
    run(&mut conn, &tables.emptying(kind)).await;
    for table in tables_that_have_numbered(&mut conn, name).await {
        run(&mut conn, &format!("ALTER TABLE {table} AUTO_INCREMENT = 1")).await;
    }
    let statement =
        format!("UPDATE {BOOKS}.empty_database SET tables = -tables WHERE name = ? AND tables < 0");
    conn.exec_drop(statement, (name,))
        .await
        .expect("the books are kept");
    conn.disconnect().await.expect("the connection ends");
}

/// Tables whose next row would not have the number 1, whether the rows before it are still there or not. MySQL keeps such
/// figures for a day, unless it is told not to.
async fn tables_that_have_numbered(conn: &mut Conn, database: &str) -> Vec<String> {
    run(
        conn,
        "SET @lending = 1 /*!80000 , SESSION information_schema_stats_expiry = 0 */",
    )
    .await;
    let query =
        "SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND auto_increment > 1";
    conn.exec(query, (database,)).await.expect("tables are listed")
}

/// Drops a database, and ends the connections to it.
pub(crate) async fn drop_database(server: &str, name: &str) {
    let mut conn = connection(&format!("{server}/")).await;
    end_connections(&mut conn, &format!("db = '{name}'")).await;
    run(&mut conn, &format!("DROP DATABASE IF EXISTS {name}")).await;
    conn.disconnect().await.expect("the connection ends");
}

/// Ends the connections of which this is true. Those that a killed function leaves behind may be in the middle of a transaction:
/// what comes next would wait for them.
pub(crate) async fn end_connections(conn: &mut Conn, condition: &str) {
    let query = format!(
        "SELECT id FROM {} WHERE {condition} AND id <> CONNECTION_ID()",
        processlist()
    );
    let left: Vec<u64> = conn.query(query).await.expect("connections are listed");
    for id in left {
        // It may have gone by itself.
        conn.query_drop(format!("KILL CONNECTION {id}")).await.ok();
    }
}

async fn tables_of(conn: &mut Conn, database: &str) -> Vec<String> {
    conn.exec(
        "SELECT table_name FROM information_schema.tables WHERE table_schema = ? AND table_type = 'BASE TABLE' \
         ORDER BY table_name",
        (database,),
    )
    .await
    .expect("tables are listed")
}

async fn run(conn: &mut Conn, statement: &str) {
    conn.query_drop(statement)
        .await
        .unwrap_or_else(|error| panic!("{error}: {statement}"));
}
