//! Turns: one tick of the reaper at a time, where Lambda may start several.
//!
//! A turn is a named lock of the server, held by a connection of its own. Not here: what a tick does. Ticks side by side lose
//! nothing, since each step may be repeated, but each of them would publish the same alerts and ask for the same jobs.
//!
//! When the holder dies, its connection is closed, and the server frees the lock; where the network hides that, after 300 s of
//! silence. When the holder's connection is lost, another tick may begin beside it: an alert may be published twice.

use crate::db::connections::Connection;
use crate::{Ledger, LedgerError};

/// A tick that died a moment ago may still have it.
const WAIT_SECS_MAX: u32 = 2;
/// 64 characters at most, as MySQL wants it. Databases whose names end alike wait for each other, which does no harm.
const LOCK_NAME: &str = "CONCAT('granary_reaper.', RIGHT(DATABASE(), 49))";

/// The turn of one tick. It ends when this is dropped.
#[derive(Debug)]
pub struct Turn {
    _connection: Connection,
}

impl Ledger {
    /// Takes the turn. `None`: another tick has it.
    pub async fn take_turn(&self) -> Result<Option<Turn>, LedgerError> {
        self.read("take the reaper's turn", |mut reader| async move {
            let query = format!("SELECT GET_LOCK({LOCK_NAME}, ?)");
            let taken: Option<Option<u8>> = reader.first(query, (WAIT_SECS_MAX,)).await?;
            Ok((taken.flatten() == Some(1)).then(|| Turn {
                _connection: reader.into_held_connection(),
            }))
        })
        .await
    }
}
