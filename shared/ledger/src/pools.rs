//! The pool of connections, made anew where the login has changed.
//!
//! A server that refuses the login (its password was rotated) has the secret read again, as seldom as [`Login`] says. Where
//! another login is found, everything that asks for a connection from then on gets one of a new pool; connections of the old one end
//! when they come back. Where none is found, the refusal is the caller's error: it waits as for an outage.

use crate::connect::LedgerSettings;
use crate::error::{LOGIN_REFUSED, LedgerError};
use crate::tls;
use granary_environment::{Edition, LedgerAddress, Login, Renewed};
use mysql_async::{Conn, Error as MySqlError, Opts, OptsBuilder, Pool};
use secrecy::ExposeSecret;
use std::sync::{PoisonError, RwLock};

/// Of one question: the login that was held, and two others that its secret may hold.
const LOGINS_MAX: u32 = 3;

/// The connections of one process.
#[derive(Debug)]
pub(crate) struct Pools {
    login: Login<LedgerAddress>,
    /// What holds for every connection, whoever asks.
    with: fn(OptsBuilder, usize) -> OptsBuilder,
    connections_max: usize,
    current: RwLock<(Edition, Pool)>,
}

impl Pools {
    /// Connects to nothing yet.
    pub(crate) fn new(
        settings: &LedgerSettings,
        with: fn(OptsBuilder, usize) -> OptsBuilder,
    ) -> Result<Self, LedgerError> {
        let (login, connections_max) = (settings.url.clone(), settings.connections_max);
        let (address, edition) = login.current();
        let pool = pool_of(&address, with, connections_max)?;
        Ok(Self {
            login,
            with,
            connections_max,
            current: RwLock::new((edition, pool)),
        })
    }

    /// The pool of the login that is held now.
    pub(crate) fn pool(&self) -> Result<Pool, LedgerError> {
        Ok(self.current()?.1)
    }

    /// A connection.
    pub(crate) async fn conn(&self, operation: &'static str) -> Result<Conn, LedgerError> {
        self.ask(operation, |pool| async move { pool.get_conn().await })
            .await
    }

    /// Asks for a connection or a transaction, with another login where the server refuses this one.
    pub(crate) async fn ask<T, Fut>(
        &self,
        operation: &'static str,
        ask: impl Fn(Pool) -> Fut,
    ) -> Result<T, LedgerError>
    where
        Fut: Future<Output = Result<T, MySqlError>>,
    {
        let mut logins = 1;
        loop {
            let (edition, pool) = self.current()?;
            let source = match ask(pool).await {
                Ok(given) => return Ok(given),
                Err(error) => error,
            };
            if is_login_refused(&source)
                && logins < LOGINS_MAX
                && self.login.renew(edition).await == Renewed::Changed
            {
                logins += 1;
                continue;
            }
            return Err(match tls::remedy(&source) {
                Some(remedy) => LedgerError::Tls { operation, remedy },
                None => LedgerError::Database { operation, source },
            });
        }
    }

    fn current(&self) -> Result<(Edition, Pool), LedgerError> {
        let (address, edition) = self.login.current();
        let held = self.current.read().unwrap_or_else(PoisonError::into_inner);
        if held.0 == edition {
            return Ok((edition, held.1.clone()));
        }
        drop(held);
        let mut held = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if held.0 != edition {
            let pool = pool_of(&address, self.with, self.connections_max)?;
            let (_, old) = std::mem::replace(&mut *held, (edition, pool));
            // It ends when the last of its connections has come back.
            tokio::spawn(old.disconnect());
        }
        Ok((edition, held.1.clone()))
    }
}

fn pool_of(
    address: &LedgerAddress,
    with: fn(OptsBuilder, usize) -> OptsBuilder,
    connections_max: usize,
) -> Result<Pool, LedgerError> {
    let opts = Opts::from_url(address.url.expose_secret()).map_err(LedgerError::Address)?;
    let builder = OptsBuilder::from_opts(opts).ssl_opts(tls::options(address));
    Ok(Pool::new(with(builder, connections_max)))
}

fn is_login_refused(error: &MySqlError) -> bool {
    matches!(error, MySqlError::Server(answer) if LOGIN_REFUSED.contains(&answer.code))
}
