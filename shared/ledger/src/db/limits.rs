//! How long anything that is asked of the server may take, and how a session is set up for it.
//!
//! The server has the first word, since it can say what kept it: a lock that was waited for, then a statement that ran for
//! too long. If it says nothing at all, the client's limit comes a moment later, and the connection is closed.

use crate::LedgerError;
use crate::db::tls;
use granary_environment::LedgerAddress;
use granary_steps::Step;
use mysql_async::{Opts, OptsBuilder};
use secrecy::ExposeSecret;
use std::time::Duration;

/// How long the ledger is waited for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Until a connection is made and set up, or an idle one shows that it still answers.
    pub(crate) connect: Duration,
    /// For one attempt of a call, with all its statements.
    pub(crate) call: Duration,
    /// The same of a call that writes thousands of rows.
    pub(crate) page: Duration,
    /// How long after its beginning a call may still be tried again.
    pub(crate) again: Duration,
}

impl Limits {
    /// Of a worker: longer than the server's own limits.
    pub(crate) const OF_WORK: Self = Self {
        connect: Duration::from_secs(5),
        call: Duration::from_secs(35),
        page: Duration::from_secs(60),
        again: Duration::from_secs(10),
    };
    /// Of a request that a person waits for.
    pub(crate) const OF_ANSWERS: Self = Self {
        connect: Duration::from_secs(2),
        call: Duration::from_secs(20),
        page: Duration::from_secs(20),
        again: Duration::from_secs(2),
    };

    /// How long an attempt at a step may take. A change of the schema takes as long as it needs.
    pub(crate) fn of(self, step: Step) -> Option<Duration> {
        if step == Step::MigrateSchema {
            None
        } else if WRITE_THOUSANDS.contains(&step) {
            Some(self.page)
        } else {
            Some(self.call)
        }
    }
}

/// Steps that write the rows of a page, or of some batches, in one transaction.
const WRITE_THOUSANDS: [Step; 13] = [
    Step::RecordPage,
    Step::RecordExceptions,
    Step::SplitBatch,
    Step::ReleaseCancelled,
    Step::RecordFound,
    Step::RecordCopied,
    Step::RebuildBatch,
    Step::RecallExceptions,
    Step::ForgetBatch,
    Step::ForgetUnowned,
    Step::MakeHistory,
    Step::SealHour,
    Step::PurgeBatches,
];

/// Strict mode and UTC. Each statement sees what is committed, and locks no gaps. Rows and tables are waited for for 30 s,
/// and a statement ends 2 s later, unless the server's own limit is shorter: MySQL has one for SELECT alone, MariaDB for
/// all. On MySQL alone, no list of keys for which the optimizer lacks memory, and so reads the whole table
/// (`LOOKED_UP_KEYS_MAX` keeps them short). A connection that is idle for 300 s is closed by the server: a function that was frozen never says goodbye.
const SESSION: [&str; 2] = [
    "SET time_zone = '+00:00', \
     sql_mode = 'STRICT_ALL_TABLES,NO_ZERO_DATE,NO_ZERO_IN_DATE,ERROR_FOR_DIVISION_BY_ZERO,NO_ENGINE_SUBSTITUTION', \
     innodb_lock_wait_timeout = 30, lock_wait_timeout = 30, wait_timeout = 300 \
     /*!80000 , range_optimizer_max_mem_size = 0 */ \
     /*!80000 , max_execution_time = \
     CAST(IF(@@max_execution_time > 0, LEAST(@@max_execution_time, 32000), 32000) AS UNSIGNED) */ \
     /*M!100100 , max_statement_time = IF(@@max_statement_time > 0, LEAST(@@max_statement_time, 32), 32) */",
    "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED",
];
/// A change of the schema may take as long as it needs. Only the lock that it waits for has a limit.
pub(crate) const NO_STATEMENT_LIMIT: &str =
    "SET @schema = 1 /*!80000 , max_execution_time = 0 */ /*M!100100 , max_statement_time = 0 */";

/// Shorter than the server waits before it closes an idle connection.
pub(crate) const IDLE_MAX: Duration = Duration::from_secs(240);
/// An idle connection is asked whether it still answers before it is lent.
pub(crate) const IDLE_TRUSTED: Duration = Duration::from_secs(5);
/// After a failover an old connection may lead to a server that is no longer in use.
pub(crate) const AGE_MAX: Duration = Duration::from_secs(900);
const KEEPALIVE_AFTER: Duration = Duration::from_secs(30);
/// Prepared statements that a connection keeps. What one costs the server grows with its parameters; those with
/// more than [`PARAMS_KEPT_MAX`](crate::db::shape::PARAMS_KEPT_MAX) aren't kept.
pub(crate) const STATEMENTS_KEPT_MAX: usize = 32;

/// The options of every connection.
pub(crate) fn options(address: &LedgerAddress) -> Result<Opts, LedgerError> {
    let opts = Opts::from_url(address.url.expose_secret()).map_err(LedgerError::Address)?;
    Ok(OptsBuilder::from_opts(opts)
        .ssl_opts(tls::options(address))
        .prefer_socket(false)
        .tcp_keepalive(Some(KEEPALIVE_AFTER))
        .stmt_cache_size(STATEMENTS_KEPT_MAX)
        .setup(SESSION.to_vec())
        .into())
}
