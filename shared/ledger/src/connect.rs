//! Connections: how the ledger is reached, how a whole transaction is repeated, and that every change is a step.
//!
//! There are two doors to MySQL and no third. [`Ledger::change`] gives a connection to a named [`Step`]; a write that is
//! no step can't get one. [`Ledger::read`] gives a [`Reader`], which only asks.

use crate::LedgerError;
use crate::error::During;
use crate::numbers::Floor;
use crate::pools::Pools;
use crate::row::Columns;
use backon::{ExponentialBuilder, Retryable};
use granary_environment::{LedgerAddress, Login};
use granary_steps::{Step, perform};
use jiff::Timestamp;
use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{
    Conn, IsolationLevel, OptsBuilder, Params, Pool, PoolConstraints, PoolOpts, Row, Transaction, TxOpts,
};
use std::sync::Arc;
use std::time::Duration;

/// Strict mode, UTC, and no statement that waits for a lock for longer than a lease lasts.
const SESSION: &str = "SET time_zone = '+00:00', \
    sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', \
    innodb_lock_wait_timeout = 20";

const CONNECTIONS_MIN: usize = 2;
const IDLE_CONNECTION_TTL: Duration = Duration::from_secs(300);

/// How to reach the ledger.
#[derive(Debug, Clone)]
pub struct LedgerSettings {
    /// `mysql://user:password@host:3306/database`, and whom to trust there. The database exists; its tables are made here.
    pub url: Login<LedgerAddress>,
    /// Connections that one process holds at most, 2 or more. A heartbeat takes one of them, and so does the lock under
    /// which the schema is brought up to date.
    pub connections_max: usize,
}

/// The ledger, by a small pool of connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger {
    pools: Arc<Pools>,
    pub(crate) floor: Arc<Floor>,
}

/// The sign that a step is being taken. Nothing but [`Ledger::change`] makes one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Doing(Step);

impl From<Doing> for &'static str {
    fn from(doing: Doing) -> Self {
        doing.0.operation()
    }
}

/// A connection that only asks.
#[derive(Debug)]
pub(crate) struct Reader {
    conn: Conn,
    operation: &'static str,
}

impl Ledger {
    /// Connects, and brings the schema up to date where it is older than this program.
    pub async fn connect(settings: &LedgerSettings) -> Result<Self, LedgerError> {
        let ledger = Self {
            pools: Arc::new(Pools::new(settings, connecting)?),
            floor: Arc::default(),
        };
        ledger.bring_schema_up_to_date().await?;
        Ok(ledger)
    }

    /// Says goodbye to MySQL. Without it the server sees the connections break off.
    pub async fn disconnect(self) -> Result<(), LedgerError> {
        self.pools.pool()?.disconnect().await.during("disconnect")
    }

    /// Asks the database for a sign of life.
    pub async fn ping(&self) -> Result<(), LedgerError> {
        let mut conn = self.pools.conn("connect").await?;
        conn.ping().await.during("answer a ping")
    }

    /// The cipher of a connection to the server, by its own word. `None`: connections aren't encrypted.
    pub async fn cipher(&self) -> Result<Option<String>, LedgerError> {
        let operation = "tell its cipher";
        self.read(operation, |mut reader| async move {
            let row: Option<(String, String)> =
                reader.first("SHOW SESSION STATUS LIKE 'Ssl_cipher'", ()).await?;
            Ok(row.map(|(_, cipher)| cipher).filter(|cipher| !cipher.is_empty()))
        })
        .await
    }

    /// The database's time, which alone decides what is due.
    pub async fn now(&self) -> Result<Timestamp, LedgerError> {
        let operation = "tell the time";
        self.read(operation, |mut reader| async move {
            let row: Option<Row> = reader.first("SELECT UTC_TIMESTAMP(6) AS now", ()).await?;
            row.ok_or_else(|| LedgerError::inconsistent(operation, "no answer"))?
                .instant("now")
        })
        .await
    }

    /// Changes the ledger. `attempt` is one whole transaction, or statements each of which stands alone, and is
    /// repeated as [`repeated`] says.
    pub(crate) async fn change<T, F, Fut>(&self, step: Step, attempt: F) -> Result<T, LedgerError>
    where
        F: Fn(Doing) -> Fut,
        Fut: Future<Output = Result<T, LedgerError>>,
    {
        let attempt = &attempt;
        perform(step, move || repeated(move || attempt(Doing(step)))).await
    }

    /// Asks the ledger. `operation` is a verb phrase: "count batches".
    pub(crate) async fn read<T, F, Fut>(&self, operation: &'static str, attempt: F) -> Result<T, LedgerError>
    where
        F: Fn(Reader) -> Fut,
        Fut: Future<Output = Result<T, LedgerError>>,
    {
        repeated(|| async {
            let conn = self.pools.conn(operation).await?;
            attempt(Reader { conn, operation }).await
        })
        .await
    }

    /// A connection on which each statement is a transaction of its own.
    pub(crate) async fn conn(&self, doing: Doing) -> Result<Conn, LedgerError> {
        self.pools.conn(doing.into()).await
    }

    /// A transaction that reads what is committed: each statement sees the newest rows, and locks no gaps. Whoever
    /// leaves it early without an error rolls it back: one that is only dropped stays open until the pool's own task
    /// comes to it, which may be never in a frozen function.
    pub(crate) async fn begin(&self, doing: Doing) -> Result<Transaction<'static>, LedgerError> {
        let mut options = TxOpts::default();
        options.with_isolation_level(IsolationLevel::ReadCommitted);
        self.pools
            .ask(doing.into(), |pool| {
                let options = options.clone();
                async move { pool.start_transaction(options).await }
            })
            .await
    }

    /// All connections, for the migrator.
    pub(crate) fn pool(&self, _doing: Doing) -> Result<Pool, LedgerError> {
        self.pools.pool()
    }
}

impl Reader {
    /// All rows that a SELECT finds.
    pub(crate) async fn rows<R>(
        &mut self,
        query: impl AsRef<str>,
        params: impl Into<Params>,
    ) -> Result<Vec<R>, LedgerError>
    where
        R: FromRow + Send + 'static,
    {
        let query = only_asks(query.as_ref());
        self.conn.exec(query, params.into()).await.during(self.operation)
    }

    /// The first row that a SELECT finds.
    pub(crate) async fn first<R>(
        &mut self,
        query: impl AsRef<str>,
        params: impl Into<Params>,
    ) -> Result<Option<R>, LedgerError>
    where
        R: FromRow + Send + 'static,
    {
        let query = only_asks(query.as_ref());
        self.conn
            .exec_first(query, params.into())
            .await
            .during(self.operation)
    }
}

/// A write that hides among the reads would have no crash test: a debug build, and so every test, dies of it.
fn only_asks(query: &str) -> &str {
    debug_assert!(
        (query.starts_with("SELECT ") || query.starts_with("SHOW ")) && !query.contains(" FOR UPDATE"),
        "this is no mere question: {query}"
    );
    query
}

/// Repeats a whole transaction where the platform is at fault. A deadlock (1213) has rolled all of it back, a lock
/// wait (1205) only its last statement, and a lost connection leaves open whether the commit arrived: so
/// everything done here must find its own work done when it is repeated.
async fn repeated<T, F, Fut>(attempt: F) -> Result<T, LedgerError>
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, LedgerError>>,
{
    let delays = ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(Duration::from_secs(2))
        .with_max_times(8)
        .with_jitter();
    attempt
        .retry(delays)
        .when(LedgerError::is_worth_repeating)
        .notify(|error, delay| tracing::debug!(%error, ?delay, "the ledger is asked again"))
        .await
}

/// What holds for every connection.
fn connecting(address: OptsBuilder, connections_max: usize) -> OptsBuilder {
    let connections = PoolConstraints::new(0, connections_max.max(CONNECTIONS_MIN)).unwrap_or_default();
    let pool = PoolOpts::new()
        .with_constraints(connections)
        .with_inactive_connection_ttl(IDLE_CONNECTION_TTL)
        // A connection is as good as new when it comes back: nothing here changes its session.
        .with_reset_connection(false);
    address.prefer_socket(false).setup(vec![SESSION]).pool_opts(pool)
}
