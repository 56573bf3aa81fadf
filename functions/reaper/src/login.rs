//! A ledger that refuses the login: the one thing that no row of the ledger can tell people.
//!
//! The secret was read again already, by whatever asked first, and will be as seldom as its schedule says. Where the login is
//! still refused after five ticks in a row, an alert goes to SNS directly, once, and another one when the ledger is back. What
//! was told is known to this process alone: a new one tells it again. Each such tick fails besides, and its log has the
//! reason. An alert that SNS doesn't take is tried again with the next tick.

use granary_alert::{Alert, Publisher, Sender};
use granary_ledger::LedgerError;
use jiff::Timestamp;
use std::sync::{Mutex, PoisonError};

/// A rotation takes some seconds, and a process finds the new secret within two minutes.
const TICKS_MIN: u32 = 5;

/// Alerts that the ledger refuses the login. Lives as long as the process.
pub(crate) struct LoginWatch {
    publisher: Publisher,
    sender: Sender,
    seen: Mutex<Seen>,
}

/// What the ticks so far came to.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Seen {
    /// In a row, with the login refused.
    refused_ticks: u32,
    /// The number of the alert that people were sent.
    told: Option<u64>,
}

impl LoginWatch {
    pub(crate) fn new(publisher: Publisher, sender: Sender) -> Self {
        Self {
            publisher,
            sender,
            seen: Mutex::default(),
        }
    }

    /// Looks at what a tick came to.
    pub(crate) async fn look<T>(&self, ticked: &Result<T, anyhow::Error>) {
        let refusal = ticked.as_ref().err().filter(|error| is_login_refused(error));
        let seen = {
            let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
            seen.refused_ticks = refusal.map_or(0, |_| seen.refused_ticks + 1);
            *seen
        };
        let told = match (refusal, seen.told) {
            (Some(error), None) if seen.refused_ticks >= TICKS_MIN => {
                let number = Timestamp::now().as_second().unsigned_abs();
                let text = format!("{error:#}, at {} ticks in a row", seen.refused_ticks);
                self.tell("ledger_login", (number, None), &text)
                    .await
                    .then_some(number)
            }
            (None, Some(number)) if ticked.is_ok() => {
                let text = format!("the ledger accepts the login again (see alert {number})");
                let is_told = self
                    .tell("ledger_login_over", (number + 1, Some(number)), &text)
                    .await;
                (!is_told).then_some(number)
            }
            (Some(_) | None, told) => told,
        };
        self.seen.lock().unwrap_or_else(PoisonError::into_inner).told = told;
    }

    /// Says whether SNS took it.
    async fn tell(&self, kind: &str, (number, resolves): (u64, Option<u64>), text: &str) -> bool {
        let alert = Alert {
            number,
            resolves,
            kind: kind.to_owned(),
            cause: String::new(),
            count: 1,
            since: Timestamp::now(),
            lines: vec![text.to_owned()],
        };
        match self.publisher.publish(&self.sender.message(&alert)).await {
            Ok(()) => true,
            Err(error) => {
                tracing::error!(kind, "{error}. {}", error.remedy());
                false
            }
        }
    }
}

/// Whether the ledger's server refuses the login.
pub(crate) fn is_login_refused(error: &anyhow::Error) -> bool {
    let mut causes = error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<LedgerError>());
    causes.any(LedgerError::is_login_refused)
}
