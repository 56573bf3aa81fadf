//! `granary seed`: test messages.

use super::{Format, Session, confirm, operation};
use crate::cli::Seed;
use crate::ending::Ending;
use crate::progress::{Position, say};
use crate::show::{self, grouped, number};
use serde_json::{Value, json};

pub(super) async fn run(session: &Session, options: &Seed) -> anyhow::Result<Ending> {
    if options.stats {
        return stats(session).await;
    }
    if options.clear {
        confirm("Delete all test messages, and what was recorded and archived of them?", options.yes)?;
        return clear(session).await;
    }
    write(session, options).await
}
