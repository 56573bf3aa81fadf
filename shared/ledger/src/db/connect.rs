//! Connections: how the ledger is reached, how a whole transaction is repeated, and that every change is a step.
//!
//! There are two doors to MySQL and no third. [`Ledger::change`] gives a connection to a named [`Step`]; a write that is
//! no step can't get one. [`Ledger::read`] gives a [`Reader`], which only asks.

use crate::LedgerError;
use crate::db::connections::{Connection, Connections, Transaction};
use crate::db::error::{During, Remedy};
use crate::db::limits::Limits;
use crate::db::numbers::Floor;
use crate::db::row::Columns;
use backon::{ExponentialBuilder, Retryable};
use granary_environment::{LedgerAddress, Login};
use granary_steps::{Step, perform};
use jiff::Timestamp;
use mysql_async::prelude::FromRow;
use mysql_async::{Params, Row};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::OnceCell;
use tokio::time::timeout;

const CONNECTIONS_MIN: usize = 2;

/// How to reach the ledger.
#[derive(Debug, Clone)]
pub struct LedgerSettings {
    /// `mysql://user:password@host:3306/database`, and whom to trust there. The database exists; its tables are
    /// made by [`Ledger::migrate_schema`].
    pub url: Login<LedgerAddress>,
    /// Connections that one process holds at most, 2 or more. A heartbeat takes one of them.
    pub connections_max: usize,
}

/// The ledger, by a few connections. Cheap to clone.
#[derive(Debug, Clone)]
pub struct Ledger {
    connections: Connections,
    limits: Limits,
    is_fit: Arc<OnceCell<()>>,
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
    connection: Connection,
    operation: &'static str,
}

impl Ledger {
    /// A ledger that nothing was asked of yet: call [`ready`](Self::ready) before anything else.
    pub fn new(settings: &LedgerSettings) -> Result<Self, LedgerError> {
        let connections_max = settings.connections_max.max(CONNECTIONS_MIN);
        Ok(Self {
            connections: Connections::new(settings.url.clone(), connections_max)?,
            limits: Limits::OF_WORK,
            is_fit: Arc::default(),
            floor: Arc::default(),
        })
    }

    /// Connects, and sees that this program may run on the schema.
    pub async fn connect(settings: &LedgerSettings) -> Result<Self, LedgerError> {
        let ledger = Self::new(settings)?;
        ledger.ready().await?;
        Ok(ledger)
    }

    /// Sees that this program may run on the schema. Done once, it costs nothing.
    pub async fn ready(&self) -> Result<(), LedgerError> {
        let ready = self.is_fit.get_or_try_init(|| self.check_schema());
        ready.await.copied()
    }

    /// The same ledger for a person who waits: it gives up after seconds, where a worker has more patience.
    pub fn impatient(self) -> Self {
        Self {
            limits: Limits::OF_ANSWERS,
            ..self
        }
    }

    /// Says goodbye to MySQL. Nothing can be asked any more.
    pub fn disconnect(self) {
        self.connections.close();
    }

    /// Asks the database for a sign of life, once.
    pub async fn ping(&self) -> Result<(), LedgerError> {
        let operation = "answer a ping";
        let asked = timeout(self.limits.connect, async {
            let mut connection = self.connections.lend(operation, self.limits).await?;
            connection.ping().await.during(operation)
        });
        let silent = |_elapsed| LedgerError::silent(operation, self.limits.connect);
        asked.await.map_err(silent)?
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
    /// repeated as [`repeated`](Self::repeated) says.
    pub(crate) async fn change<T, F, Fut>(&self, step: Step, attempt: F) -> Result<T, LedgerError>
    where
        F: Fn(Doing) -> Fut,
        Fut: Future<Output = Result<T, LedgerError>>,
    {
        let (attempt, limit) = (&attempt, self.limits.of(step));
        perform(step, move || {
            // Boxed: what a transaction consists of is no part of the size of whatever waits for it.
            self.repeated(step.operation(), limit, move || Box::pin(attempt(Doing(step))))
        })
        .await
    }

    /// Asks the ledger. `operation` is a verb phrase: "count batches".
    pub(crate) async fn read<T, F, Fut>(&self, operation: &'static str, attempt: F) -> Result<T, LedgerError>
    where
        F: Fn(Reader) -> Fut,
        Fut: Future<Output = Result<T, LedgerError>>,
    {
        let attempt = &attempt;
        self.repeated(operation, Some(self.limits.call), move || async move {
            let connection = self.connections.lend(operation, self.limits).await?;
            attempt(Reader {
                connection,
                operation,
            })
            .await
        })
        .await
    }

    /// A connection on which each statement is a transaction of its own.
    pub(crate) async fn conn(&self, doing: Doing) -> Result<Connection, LedgerError> {
        self.connections.lend(doing.into(), self.limits).await
    }

    /// A transaction that reads what is committed: each statement sees the newest rows, and locks no gaps. Dropped, it is
    /// rolled back by closing its connection; work that ends early without an error rolls back and keeps it.
    pub(crate) async fn begin(&self, doing: Doing) -> Result<Transaction, LedgerError> {
        self.conn(doing).await?.begin().await.during(doing)
    }

    /// Repeats a whole transaction for some seconds where the platform is at fault. A deadlock (1213) has rolled all of it
    /// back, a lock wait (1205) only its last statement, and a lost connection leaves open whether the commit arrived: so
    /// everything done here must find its own work done when it is repeated. An attempt that outlasts `limit` is dropped,
    /// and its connection closed.
    async fn repeated<T, F, Fut>(
        &self,
        operation: &'static str,
        limit: Option<Duration>,
        attempt: F,
    ) -> Result<T, LedgerError>
    where
        F: Fn() -> Fut,
        Fut: Future<Output = Result<T, LedgerError>>,
    {
        let begun = Instant::now();
        let delays = ExponentialBuilder::default()
            .with_min_delay(Duration::from_millis(20))
            .with_max_delay(Duration::from_secs(2))
            .with_max_times(8)
            .with_jitter();
        let bounded = || async {
            let outcome = match limit {
                None => attempt().await,
                Some(limit) => {
                    let silent = |_elapsed| LedgerError::silent(operation, limit);
                    timeout(limit, attempt()).await.map_err(silent).flatten()
                }
            };
            // The next attempt, and every other call, connects anew: after a failover, to the new writer.
            outcome.inspect_err(|error| {
                if error.remedy() == Remedy::Reconnect {
                    self.connections.condemn();
                }
            })
        };
        bounded
            .retry(delays)
            .when(|error| error.remedy().is_to_be_repeated() && begun.elapsed() < self.limits.again)
            .notify(|error, delay| tracing::debug!(%error, ?delay, "the ledger is asked again"))
            .await
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
        self.connection.exec(query, params).await.during(self.operation)
    }

    /// Its connection, for what the server holds for it. It is closed when it is dropped.
    pub(crate) fn into_held_connection(self) -> Connection {
        self.connection.closed_when_dropped()
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
        self.connection
            .exec_first(query, params)
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
