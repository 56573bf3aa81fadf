//! What can go wrong at the ledger, and what each error asks for.
//!
//! [`Remedy`] and the table beside it are the only place that knows codes of servers. Callers branch on
//! [`LedgerError::remedy`], or only on whether waiting helps ([`LedgerError::is_platforms`]).

use mysql_async::{DriverError, Error as MySqlError};

/// Why the ledger did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// MySQL said no, or the connection broke.
    #[error("the ledger could not {operation}")]
    Database {
        /// What was asked, as a verb phrase.
        operation: &'static str,
        /// What MySQL or the connection said.
        #[source]
        source: MySqlError,
    },
    /// MySQL said nothing for as long as an answer is waited for. The connection is closed.
    #[error("the ledger could not {operation}: it gave no answer within {secs} s")]
    Silent {
        /// What was asked, as a verb phrase.
        operation: &'static str,
        /// How long the answer was waited for.
        secs: u64,
    },
    /// The database user lacks a right. The server's own text isn't shown: it holds the client's address.
    #[error("the ledger could not {operation}: the database user lacks the right {right}; grant it")]
    RightMissing {
        /// What was asked, as a verb phrase.
        operation: &'static str,
        /// The right, and on what.
        right: String,
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
    /// Another program is changing the schema.
    #[error("the ledger's schema is still being changed by another program; try again when it is done")]
    BeingMigrated,
    /// A migration could not be applied. Those before it are.
    #[error("the ledger's schema could not be changed to version {version}")]
    Schema {
        /// The migration's number.
        version: u32,
        /// Why not.
        #[source]
        source: MySqlError,
    },
    /// A migration that was applied isn't the one that this program has under its number.
    #[error(
        "version {version} of the ledger's schema was made by another migration than this version has: use the database of \
         this deployment"
    )]
    SchemaDiffers {
        /// The migration's number.
        version: u32,
    },
    /// The tables were made by migrations that were never released: nothing brings them up to date.
    #[error(
        "the ledger was made by an unreleased version, whose migration {version} is another one than this version's: recreate \
         it, in an empty database"
    )]
    SchemaUnreleased {
        /// The migration's number.
        version: u32,
    },
    /// The schema is older than this program needs.
    #[error(
        "the ledger has schema {found}, this version needs {needed}: run `granary schema migrate`, or deploy the stack"
    )]
    SchemaOlder {
        /// In the database; 0: it has no tables.
        found: u32,
        /// In this program.
        needed: u32,
    },
    /// The schema was made by a newer program, and doesn't allow this one.
    #[error(
        "the ledger has schema {found}, which only versions with schema {oldest} or later may use; this one has {known}: \
         deploy a newer version"
    )]
    SchemaNewer {
        /// In the database.
        found: u32,
        /// In this program.
        known: u32,
        /// What a program has to know at least.
        oldest: u32,
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

/// What an error asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Remedy {
    /// Repeat the transaction: another one was in its way, and it was rolled back.
    Repeat,
    /// Close the connection, and every other one that is as old: they lead to a server that can't do the work any more.
    Reconnect,
    /// Read the secret again: the login is refused, as while a password is rotated.
    FetchSecret,
    /// Wait until a person has mended whom to trust: the server can't be reached over TLS.
    Trust,
    /// Wait until the schema and the program fit: a deployment or an operator sees to it.
    Migrate,
    /// Wait: the server, or a proxy before it, has no room for one more.
    Wait,
    /// Ask for less: it took too long, or was too large. If that isn't possible, fail.
    Smaller,
    /// Refuse at once, and say why: a right is missing, or nothing can be done with these tables.
    Refuse,
    /// A defect, or a setting that a person has to change.
    Report,
}

/// What the answers of servers ask for. A code that isn't here asks for a person.
const BY_CODE: [(Remedy, &[u16]); 6] = [
    // A lock wait timeout, a deadlock, MariaDB's deadlock over the auto-increment counter that INSERT … SELECT locks, and a
    // statement that was interrupted (KILL QUERY).
    (Remedy::Repeat, &[1205, 1213, 1467, 1317]),
    // Read-only, as a writer is after a failover; shut down or shutting down; closed after silence (MySQL) or by an
    // administrator (MariaDB); reading from or writing to the network failed at the server's end.
    (
        Remedy::Reconnect,
        &[1290, 1792, 1836, 1053, 4031, 1927, 1158, 1159, 1160, 1161],
    ),
    // The password is wrong; the account is locked (MySQL, MariaDB).
    (Remedy::FetchSecret, &[1045, 3118, 4151]),
    // Too many connections to the server, of the user, of the account; out of memory; RDS Proxy found no connection to borrow.
    (Remedy::Wait, &[1040, 1203, 1226, 1041, 9501]),
    // The statement ran for too long (MariaDB, MySQL); its packet was too large.
    (Remedy::Smaller, &[1969, 3024, 1153]),
    // No right to the database, the table, the column; no administrative right.
    (Remedy::Refuse, &[1044, 1142, 1143, 1227]),
];

fn remedy_of_code(code: u16) -> Remedy {
    let known = BY_CODE.iter().find(|(_, codes)| codes.contains(&code));
    known.map_or(Remedy::Report, |(remedy, _)| *remedy)
}

impl Remedy {
    /// Whether the same call may succeed later, as it is: what it is for is not to blame.
    pub fn passes(self) -> bool {
        match self {
            Self::Repeat
            | Self::Reconnect
            | Self::FetchSecret
            | Self::Trust
            | Self::Migrate
            | Self::Wait
            | Self::Smaller => true,
            Self::Refuse | Self::Report => false,
        }
    }

    /// Whether it is worth asking again within the same call.
    pub(crate) fn is_to_be_repeated(self) -> bool {
        match self {
            Self::Repeat | Self::Reconnect | Self::Wait => true,
            Self::FetchSecret | Self::Trust | Self::Migrate | Self::Smaller | Self::Refuse | Self::Report => {
                false
            }
        }
    }
}

impl LedgerError {
    pub(crate) fn inconsistent(operation: impl Into<&'static str>, reason: impl Into<String>) -> Self {
        Self::Inconsistent {
            operation: operation.into(),
            reason: reason.into(),
        }
    }

    /// Two ids whose hashes are the same in all of their 128 bits: the ledger can't tell their messages apart.
    pub(crate) fn collision(operation: impl Into<&'static str>, one: &str, other: &str) -> Self {
        let reason = format!(
            "the message ids {one:?} and {other:?} have the same hash, so the ledger can hold only one of them: give one of \
             the messages another id, or leave it out by a filter"
        );
        Self::inconsistent(operation, reason)
    }

    pub(crate) fn silent(operation: &'static str, waited: std::time::Duration) -> Self {
        Self::Silent {
            operation,
            secs: waited.as_secs(),
        }
    }

    /// What this error asks for.
    pub fn remedy(&self) -> Remedy {
        match self {
            Self::Silent { .. } => Remedy::Reconnect,
            Self::Tls { .. } => Remedy::Trust,
            Self::RightMissing { .. } | Self::SchemaUnreleased { .. } => Remedy::Refuse,
            Self::BeingMigrated => Remedy::Wait,
            Self::SchemaOlder { .. } | Self::SchemaNewer { .. } => Remedy::Migrate,
            Self::Database { source, .. } | Self::Schema { source, .. } => remedy_of(source),
            Self::Address(_)
            | Self::SchemaDiffers { .. }
            | Self::OutOfNumbers { .. }
            | Self::Inconsistent { .. } => Remedy::Report,
        }
    }

    /// Whether the platform is at fault (overload, restart, fail-over, rotation, deadlock), so that the same call may succeed
    /// later, and an attempt that it broke off doesn't count. Everything else is a defect or a wrong setting, and
    /// repeating it would only hide it.
    pub fn is_platforms(&self) -> bool {
        self.remedy().passes()
    }

    /// Whether the server refuses the login, also after the secret was read again.
    pub fn is_login_refused(&self) -> bool {
        self.remedy() == Remedy::FetchSecret
    }

    /// Whether the same call may succeed at once if it asks for less.
    pub fn wants_less(&self) -> bool {
        self.remedy() == Remedy::Smaller
    }
}

pub(crate) fn remedy_of(error: &MySqlError) -> Remedy {
    match error {
        MySqlError::Io(_) => Remedy::Reconnect,
        MySqlError::Server(answer) => remedy_of_code(answer.code),
        MySqlError::Driver(DriverError::ConnectionClosed | DriverError::PoolDisconnected) => {
            Remedy::Reconnect
        }
        MySqlError::Driver(_) | MySqlError::Other(_) | MySqlError::Url(_) => Remedy::Report,
    }
}

/// The right that a server's refusal names, and on what.
fn right_in(refusal: &str) -> String {
    if let Some((right, rest)) = refusal.split_once(" command denied to user ") {
        let on = rest.split_once(" for ").map_or(rest, |(_, on)| on);
        return format!("{right} on {on}");
    }
    if let Some((_, database)) = refusal.rsplit_once(" to database ") {
        return format!("to use the database {database}");
    }
    match refusal.split_once("you need ") {
        Some((_, needed)) => needed.to_owned(),
        None => "that the operation needs".to_owned(),
    }
}

/// Gives a MySQL error the name of what was being done.
pub(crate) trait During<T> {
    /// `operation` is a verb phrase ("claim a batch"), or the step that is being taken.
    fn during(self, operation: impl Into<&'static str>) -> Result<T, LedgerError>;
}

impl<T> During<T> for Result<T, MySqlError> {
    fn during(self, operation: impl Into<&'static str>) -> Result<T, LedgerError> {
        self.map_err(|source| {
            let operation = operation.into();
            match &source {
                MySqlError::Server(answer) if remedy_of_code(answer.code) == Remedy::Refuse => {
                    LedgerError::RightMissing {
                        operation,
                        right: right_in(&answer.message),
                    }
                }
                MySqlError::Server(_)
                | MySqlError::Io(_)
                | MySqlError::Driver(_)
                | MySqlError::Other(_)
                | MySqlError::Url(_) => LedgerError::Database { operation, source },
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_asks_for_one_thing() {
        let mut codes: Vec<u16> = BY_CODE.iter().flat_map(|(_, codes)| *codes).copied().collect();
        codes.sort_unstable();
        let all = codes.len();
        codes.dedup();
        assert_eq!(codes.len(), all);
    }

    #[test]
    fn a_refusal_names_the_right_and_neither_the_user_nor_an_address() {
        let of = |text: &str| right_in(text);
        assert_eq!(
            of("INSERT command denied to user 'granary'@'10.0.0.7' for table `granary`.`message`"),
            "INSERT on table `granary`.`message`"
        );
        assert_eq!(
            of("Access denied for user 'granary'@'10.0.0.7' to database 'granary'"),
            "to use the database 'granary'"
        );
        assert_eq!(
            of("Access denied; you need (at least one of) the SUPER privilege(s) for this operation"),
            "(at least one of) the SUPER privilege(s) for this operation"
        );
    }
}
