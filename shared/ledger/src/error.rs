//! What can go wrong at the ledger, and whether it is worth another try.

use mysql_async::Error as MySqlError;

/// Why the ledger did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// MySQL said no, or said nothing.
    #[error("the ledger could not {operation}")]
    Database {
        /// What was asked, as a verb phrase.
        operation: &'static str,
        /// What MySQL or the connection said.
        #[source]
        source: MySqlError,
    },
    /// The server can't be connected to over TLS.
    #[error("the ledger can't be reached over TLS to {operation}: {remedy}")]
    Tls {
        /// What was asked.
        operation: &'static str,
        /// Why, and what to do.
        remedy: String,
    },
    /// The ledger's address can't be read. The address itself isn't shown: it may hold a password.
    #[error("the ledger's address is not a MySQL URL (mysql://user:password@host:3306/database)")]
    Address(#[source] mysql_async::UrlError),
    /// The schema couldn't be brought up to date.
    #[error("the ledger's schema could not be brought up to version {wanted}")]
    Schema {
        /// The version that this program needs.
        wanted: u32,
        /// Why not.
        #[source]
        source: Box<refinery::Error>,
    },
    /// The schema was made by a newer program.
    #[error(
        "the ledger's schema is version {found}, this program knows versions up to {known}; deploy the newer program"
    )]
    SchemaNewer {
        /// In the database.
        found: u32,
        /// In this program.
        known: u32,
    },
    /// The open block has too few batch numbers, or this process has reserved none yet.
    #[error("the ledger has no batch numbers left: a block has to be reserved first")]
    OutOfNumbers {
        /// How many are needed at once.
        needed: u64,
    },
    /// What stands in the ledger contradicts itself: a defect or a tampered row.
    #[error("the ledger could not {operation}: {reason}")]
    Inconsistent {
        /// What was asked.
        operation: &'static str,
        /// The contradiction.
        reason: String,
    },
}

const LOCK_WAIT_TIMEOUT: u16 = 1205;
const DEADLOCK: u16 = 1213;
/// What MariaDB calls a deadlock over the auto-increment counter, which INSERT … SELECT locks.
const COUNTER_DEADLOCK: u16 = 1467;
const TOO_MANY_CONNECTIONS: u16 = 1040;
const TOO_MANY_USER_CONNECTIONS: u16 = 1203;
const SERVER_SHUTDOWN: u16 = 1053;
const QUERY_INTERRUPTED: u16 = 1317;
const CONNECTION_KILLED: u16 = 1927;
/// What a server answers while it fails over: it became read-only under the connection.
const READ_ONLY: [u16; 3] = [1290, 1792, 1836];

/// A password that was rotated, or an account that is locked meanwhile (MySQL's code, and MariaDB's).
pub(crate) const LOGIN_REFUSED: [u16; 3] = [1045, 3118, 4151];

impl LedgerError {
    pub(crate) fn inconsistent(operation: impl Into<&'static str>, reason: impl Into<String>) -> Self {
        Self::Inconsistent {
            operation: operation.into(),
            reason: reason.into(),
        }
    }

    /// Whether the platform is at fault (overload, restart, fail-over, deadlock), so that the same call may succeed
    /// later. Everything else is a defect or a wrong setting, and repeating it would only hide it.
    ///
    /// A refused login and a certificate that isn't trusted wait for a person, and cost nothing meanwhile.
    pub fn is_platforms(&self) -> bool {
        self.is_worth_repeating() || self.is_login_refused() || matches!(self, Self::Tls { .. })
    }

    /// Whether the server refuses the login, also after the secret was read again.
    pub fn is_login_refused(&self) -> bool {
        let Self::Database { source, .. } = self else {
            return false;
        };
        matches!(source, MySqlError::Server(answer) if LOGIN_REFUSED.contains(&answer.code))
    }

    /// Whether the same call may succeed in some seconds.
    pub(crate) fn is_worth_repeating(&self) -> bool {
        let Self::Database { source, .. } = self else {
            return false;
        };
        match source {
            MySqlError::Io(_) => true,
            MySqlError::Server(answer) => {
                let transient = [
                    LOCK_WAIT_TIMEOUT,
                    DEADLOCK,
                    COUNTER_DEADLOCK,
                    TOO_MANY_CONNECTIONS,
                    TOO_MANY_USER_CONNECTIONS,
                    SERVER_SHUTDOWN,
                    QUERY_INTERRUPTED,
                    CONNECTION_KILLED,
                ];
                transient.contains(&answer.code) || READ_ONLY.contains(&answer.code)
            }
            MySqlError::Driver(driver) => matches!(
                driver,
                mysql_async::DriverError::ConnectionClosed | mysql_async::DriverError::PoolDisconnected
            ),
            MySqlError::Other(_) | MySqlError::Url(_) => false,
        }
    }
}

/// Gives a MySQL error the name of what was being done.
pub(crate) trait During<T> {
    /// `operation` is a verb phrase ("claim a batch"), or the step that is being taken.
    fn during(self, operation: impl Into<&'static str>) -> Result<T, LedgerError>;
}

impl<T> During<T> for Result<T, MySqlError> {
    fn during(self, operation: impl Into<&'static str>) -> Result<T, LedgerError> {
        self.map_err(|source| LedgerError::Database {
            operation: operation.into(),
            source,
        })
    }
}
