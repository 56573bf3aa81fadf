//! A few connections, each lent to one piece of work at a time, and given back only whole.
//!
//! A connection is whole where its last statement was answered and no transaction is open on it. Any other one is closed
//! the moment that it is let go, so that the server rolls back at once what was open: a call that was dropped half-way, a
//! transaction without an end, a server that fell silent. The driver's own pool cleans such a connection up in a task
//! of its own, which waits for an answer, and doesn't run in a frozen function.
//!
//! Not here: what is asked, and whether it is asked again (`connect.rs`).

use crate::LedgerError;
use crate::db::error::{During, Remedy, remedy_of};
use crate::db::limits::{AGE_MAX, IDLE_MAX, IDLE_TRUSTED, Limits, options};
use crate::db::shape::PARAMS_KEPT_MAX;
use crate::db::tls;
use granary_environment::{Edition, LedgerAddress, Login, Renewed};
use mysql_async::prelude::{FromRow, Queryable};
use mysql_async::{Conn, DriverError, Error as MySqlError, Opts, Params, Row};
use std::ops::{Deref, DerefMut};
use std::pin::pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Instant;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Of one call: the login that was held, and two others that its secret may hold.
const LOGINS_MAX: u32 = 3;

/// The connections of one process to the ledger's server. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    login: Login<LedgerAddress>,
    /// As many as there may be connections.
    places: Arc<Semaphore>,
    shelf: Arc<Mutex<Shelf>>,
}

/// Where idle connections wait, the one that was used last on top.
#[derive(Debug, Default)]
struct Shelf {
    idle: Vec<Idle>,
    /// Grows when all connections that there are must not be lent again.
    era: u64,
    /// The login of all of them.
    edition: Option<Edition>,
}

#[derive(Debug)]
struct Idle {
    conn: Conn,
    opened: Instant,
    since: Instant,
}

/// A connection that is lent. Dropped, it is idle again, or closed.
#[derive(Debug)]
pub(crate) struct Connection {
    /// `None`: it is closed.
    conn: Option<Conn>,
    opened: Instant,
    era: u64,
    is_whole: bool,
    /// Whether it is lent again.
    is_for_others: bool,
    in_transaction: bool,
    affected_rows: u64,
    warnings: u16,
    shelf: Arc<Mutex<Shelf>>,
    _place: OwnedSemaphorePermit,
}

/// A transaction. Without [`commit`](Self::commit) or [`rollback`](Self::rollback) its connection is closed, which rolls it
/// back as well.
#[derive(Debug)]
pub(crate) struct Transaction(Connection);

impl Connections {
    /// Connects to nothing yet.
    pub(crate) fn new(login: Login<LedgerAddress>, connections_max: usize) -> Result<Self, LedgerError> {
        options(&login.current().0)?;
        Ok(Self {
            login,
            places: Arc::new(Semaphore::new(connections_max)),
            shelf: Arc::default(),
        })
    }

    /// What holds for every connection with the login that is held now.
    fn opts(&self) -> Result<Opts, LedgerError> {
        options(&self.login.current().0)
    }

    /// An idle connection that still answers, or a new one. Waits until fewer are lent than there may be.
    pub(crate) async fn lend(
        &self,
        operation: &'static str,
        limits: Limits,
    ) -> Result<Connection, LedgerError> {
        let place = Arc::clone(&self.places).acquire_owned().await;
        let place = place
            .map_err(|_closed| MySqlError::from(DriverError::PoolDisconnected))
            .during(operation)?;
        self.keep_to_the_login();
        while let Some((mut idle, era)) = self.take_idle() {
            let is_trusted = idle.since.elapsed() < IDLE_TRUSTED
                || matches!(timeout(limits.connect, idle.conn.ping()).await, Ok(Ok(())));
            if is_trusted {
                return Ok(self.lent(idle.conn, idle.opened, era, place));
            }
            hang_up(idle.conn);
            // The others have been idle for even longer.
            self.condemn();
        }
        let opened = Instant::now();
        let (conn, era) = self.connect(operation, limits).await?;
        Ok(self.lent(conn, opened, era, place))
    }

    /// A new connection. Where the server refuses the login (its password was rotated), the secret is read again, as seldom
    /// as [`Login`] says, and another login is tried.
    async fn connect(&self, operation: &'static str, limits: Limits) -> Result<(Conn, u64), LedgerError> {
        let mut logins = 1;
        loop {
            let edition = self.keep_to_the_login();
            let (opts, era) = (self.opts()?, lock(&self.shelf).era);
            let connecting = timeout(limits.connect, Conn::new(opts)).await;
            let source =
                match connecting.map_err(|_elapsed| LedgerError::silent(operation, limits.connect))? {
                    Ok(conn) => return Ok((conn, era)),
                    Err(source) => source,
                };
            let is_refused = remedy_of(&source) == Remedy::FetchSecret;
            if is_refused && logins < LOGINS_MAX && self.login.renew(edition).await == Renewed::Changed {
                logins += 1;
                continue;
            }
            return match tls::remedy(&source) {
                Some(remedy) => Err(LedgerError::Tls { operation, remedy }),
                None => Err(source).during(operation),
            };
        }
    }

    /// Connections of another login than the one that is held now aren't lent again.
    fn keep_to_the_login(&self) -> Edition {
        let edition = self.login.current().1;
        let known = lock(&self.shelf).edition.replace(edition);
        if known.is_some_and(|known| known != edition) {
            self.condemn();
        }
        edition
    }

    fn lent(&self, conn: Conn, opened: Instant, era: u64, place: OwnedSemaphorePermit) -> Connection {
        Connection {
            conn: Some(conn),
            opened,
            era,
            is_whole: true,
            is_for_others: true,
            in_transaction: false,
            affected_rows: 0,
            warnings: 0,
            shelf: Arc::clone(&self.shelf),
            _place: place,
        }
    }

    /// Closes what is too old on the way.
    fn take_idle(&self) -> Option<(Idle, u64)> {
        let mut shelf = lock(&self.shelf);
        let (kept, old) = std::mem::take(&mut shelf.idle)
            .into_iter()
            .partition(|idle| idle.since.elapsed() < IDLE_MAX && idle.opened.elapsed() < AGE_MAX);
        shelf.idle = kept;
        let taken = shelf.idle.pop().map(|idle| (idle, shelf.era));
        drop(shelf);
        hang_up_all(old);
        taken
    }

    /// No connection that there is now is lent again.
    pub(crate) fn condemn(&self) {
        let mut shelf = lock(&self.shelf);
        shelf.era += 1;
        let idle = std::mem::take(&mut shelf.idle);
        drop(shelf);
        hang_up_all(idle);
    }

    /// Lends nothing any more, and says goodbye on what is idle.
    pub(crate) fn close(&self) {
        self.places.close();
        self.condemn();
    }
}

impl Connection {
    /// Executes a prepared statement, and gives all rows.
    pub(crate) async fn exec<R>(
        &mut self,
        statement: impl AsRef<str>,
        params: impl Into<Params>,
    ) -> Result<Vec<R>, MySqlError>
    where
        R: FromRow + Send + 'static,
    {
        let (statement, params) = (statement.as_ref().to_owned(), params.into());
        let outcome = executed(self.at_work()?, statement, params).await;
        self.answered(&outcome);
        outcome
    }

    /// The same, and gives the first row.
    pub(crate) async fn exec_first<R>(
        &mut self,
        statement: impl AsRef<str>,
        params: impl Into<Params>,
    ) -> Result<Option<R>, MySqlError>
    where
        R: FromRow + Send + 'static,
    {
        Ok(self.exec(statement, params).await?.into_iter().next())
    }

    /// The same, for what it does.
    pub(crate) async fn exec_drop(
        &mut self,
        statement: impl AsRef<str>,
        params: impl Into<Params>,
    ) -> Result<(), MySqlError> {
        self.exec::<Row>(statement, params).await.map(drop)
    }

    /// Gives a statement as text, and the first row of its answer.
    pub(crate) async fn query_first<R>(&mut self, statement: impl AsRef<str>) -> Result<Option<R>, MySqlError>
    where
        R: FromRow + Send + 'static,
    {
        let statement = statement.as_ref().to_owned();
        let outcome = self.at_work()?.query(statement).await;
        self.answered(&outcome);
        Ok(outcome?.into_iter().next())
    }

    /// Gives a statement as text.
    pub(crate) async fn query_drop(&mut self, statement: impl AsRef<str>) -> Result<(), MySqlError> {
        self.query_first::<Row>(statement).await.map(drop)
    }

    /// Asks for a sign of life.
    pub(crate) async fn ping(&mut self) -> Result<(), MySqlError> {
        let outcome = self.at_work()?.ping().await;
        self.answered(&outcome);
        outcome
    }

    /// The same connection, which is closed when it is dropped: with it, the server lets go of what it holds for it.
    pub(crate) fn closed_when_dropped(mut self) -> Self {
        self.is_for_others = false;
        self
    }

    /// Rows that the last statement changed.
    pub(crate) fn affected_rows(&self) -> u64 {
        self.affected_rows
    }

    /// Warnings of the last statement.
    pub(crate) fn get_warnings(&self) -> u16 {
        self.warnings
    }

    /// Begins a transaction that locks no gaps and sees what is committed, as all of the session does.
    pub(crate) async fn begin(mut self) -> Result<Transaction, MySqlError> {
        self.in_transaction = true;
        self.query_drop("START TRANSACTION").await?;
        Ok(Transaction(self))
    }

    /// Until the answer is there, the connection isn't whole.
    fn at_work(&mut self) -> Result<&mut Conn, MySqlError> {
        self.is_whole = false;
        self.conn
            .as_mut()
            .ok_or_else(|| DriverError::ConnectionClosed.into())
    }

    fn answered<T>(&mut self, outcome: &Result<T, MySqlError>) {
        self.is_whole = matches!(outcome, Ok(_) | Err(MySqlError::Server(_)));
        if let Some(conn) = &self.conn {
            self.affected_rows = conn.affected_rows();
            self.warnings = conn.get_warnings();
        }
    }
}

/// A statement with many parameters is closed at once: what it costs the server would stay as long as the connection.
async fn executed<R>(conn: &mut Conn, statement: String, params: Params) -> Result<Vec<R>, MySqlError>
where
    R: FromRow + Send + 'static,
{
    let count = match &params {
        Params::Empty => 0,
        Params::Named(values) => values.len(),
        Params::Positional(values) => values.len(),
    };
    if count <= PARAMS_KEPT_MAX {
        return conn.exec(statement, params).await;
    }
    let prepared = conn.prep(statement).await?;
    let rows = conn.exec(&prepared, params).await;
    conn.close(prepared).await?;
    rows
}

impl Transaction {
    /// What was done is done from now on.
    pub(crate) async fn commit(self) -> Result<(), MySqlError> {
        self.end("COMMIT").await
    }

    /// Nothing was done. The connection can be used again, unlike after a drop.
    pub(crate) async fn rollback(self) -> Result<(), MySqlError> {
        self.end("ROLLBACK").await
    }

    async fn end(mut self, how: &'static str) -> Result<(), MySqlError> {
        self.0.query_drop(how).await?;
        self.0.in_transaction = false;
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        &self.0
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        &mut self.0
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let Some(conn) = self.conn.take() else { return };
        let mut shelf = lock(&self.shelf);
        let is_clean = self.is_whole && self.is_for_others && !self.in_transaction;
        if is_clean && self.era == shelf.era {
            shelf.idle.push(Idle {
                conn,
                opened: self.opened,
                since: Instant::now(),
            });
        } else {
            drop(shelf);
            hang_up(conn);
        }
    }
}

fn hang_up_all(connections: Vec<Idle>) {
    connections.into_iter().for_each(|idle| hang_up(idle.conn));
}

/// Closes a connection now. The goodbye is given if the network takes it at once; nothing waits for it, here or elsewhere.
fn hang_up(conn: Conn) {
    let goodbye = pin!(conn.disconnect());
    let _said_or_not = goodbye.poll(&mut Context::from_waker(Waker::noop()));
}

fn lock(shelf: &Mutex<Shelf>) -> MutexGuard<'_, Shelf> {
    shelf.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may fail by panicking")]
mod tests {
    use super::*;
    use crate::Remedy;
    use std::time::Duration;

    const POLL_INTERVAL: Duration = Duration::from_millis(50);
    const POLLS_MAX: u32 = 400;

    fn connections() -> Connections {
        let url = std::env::var("LEDGER_URL").expect("LEDGER_URL is set by the local stack's env");
        Connections::new(url.into(), 1).unwrap()
    }

    async fn lend(connections: &Connections) -> Connection {
        connections.lend("test", Limits::OF_WORK).await.unwrap()
    }

    async fn id_of(connection: &mut Connection) -> u64 {
        let id = connection.query_first("SELECT CONNECTION_ID()").await;
        id.unwrap().unwrap()
    }

    /// Waits until the server has no such connection any more.
    async fn until_the_server_closed(id: u64) {
        let beside = connections();
        let query = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE id = {id}");
        for _ in 0..POLLS_MAX {
            let left: Option<u64> = lend(&beside).await.query_first(&query).await.unwrap();
            if left == Some(0) {
                return;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        panic!("connection {id} is left");
    }

    /// D1: MySQL says 4031 before it closes the connection, which the driver takes for a packet out of order; MariaDB closes it
    /// without a word.
    #[tokio::test]
    async fn d1_a_connection_that_the_server_closed_after_silence_asks_for_another_one() {
        let connections = connections();
        let mut silent = lend(&connections).await;
        let id = id_of(&mut silent).await;
        silent.query_drop("SET SESSION wait_timeout = 1").await.unwrap();
        drop(silent);
        until_the_server_closed(id).await;
        let mut closed = lend(&connections).await;
        let answer = closed.query_first::<u64>("SELECT 1").await.during("ask");
        let error = answer.unwrap_err();
        assert_eq!(error.remedy(), Remedy::Reconnect, "{error:?}");
        drop(closed);
        connections.condemn();
        assert_ne!(id_of(&mut lend(&connections).await).await, id);
    }

    #[tokio::test]
    async fn d1_a_transaction_that_is_dropped_is_closed_at_once_and_one_that_ended_is_lent_again() {
        let connections = connections();
        let transaction = lend(&connections).await.begin().await.unwrap();
        let mut ended = transaction;
        let id = id_of(&mut ended).await;
        ended.commit().await.unwrap();
        let mut again = lend(&connections).await;
        assert_eq!(id_of(&mut again).await, id);
        drop(again.begin().await.unwrap());
        until_the_server_closed(id).await;
    }

    #[tokio::test]
    async fn d1_a_call_that_is_dropped_half_way_leaves_no_connection_to_be_lent() {
        let connections = connections();
        let mut asked = lend(&connections).await;
        let id = id_of(&mut asked).await;
        let call = asked.query_drop("SELECT SLEEP(2)");
        assert!(timeout(Duration::from_millis(50), call).await.is_err());
        drop(asked);
        assert_ne!(id_of(&mut lend(&connections).await).await, id);
    }

    #[tokio::test]
    async fn the_session_is_limited_and_sees_what_is_committed() {
        let mut connection = lend(&connections()).await;
        let version: Option<String> = connection.query_first("SELECT VERSION()").await.unwrap();
        let query = if version.unwrap().contains("MariaDB") {
            "SELECT @@innodb_lock_wait_timeout, @@lock_wait_timeout, @@wait_timeout, \
             CAST(@@max_statement_time * 1000 AS UNSIGNED), @@tx_isolation"
        } else {
            "SELECT @@innodb_lock_wait_timeout, @@lock_wait_timeout, @@wait_timeout, \
             @@max_execution_time, @@transaction_isolation"
        };
        let session: Option<(u64, u64, u64, u64, String)> = connection.query_first(query).await.unwrap();
        assert_eq!(
            session.unwrap(),
            (30, 30, 300, 32_000, "READ-COMMITTED".to_owned())
        );
    }
}
