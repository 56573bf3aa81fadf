//! Message ids as they are looked up: by the halves of their hashes, which the unique index holds.

use crate::db::shape::List;
use granary_domain::{IdDigest, MessageId};
use mysql_async::{Params, Value};

/// Follows the name of the message table where rows are looked up by their ids. Without it a server weighs the ids against the other
/// conditions of the statement. Where the table or the batch is small, it then reads and locks rows that were not asked for.
pub(crate) const BY_HASH: &str = "FORCE INDEX (message_hash)";
/// The same where they are looked up in one batch.
pub(crate) const IN_BATCH: &str = "FORCE INDEX (PRIMARY)";

/// Some ids. Their hashes lead to the rows, and the ids themselves say which of them are meant.
pub(crate) struct Ids {
    hashes: List,
    ids: List,
}

impl Ids {
    pub(crate) fn of<'a>(ids: impl Iterator<Item = &'a MessageId> + Clone) -> Self {
        let ids = ids.map(MessageId::as_str);
        Self {
            hashes: List::of(ids.clone().map(|id| IdDigest::halves(id.as_bytes()).0)),
            ids: List::of(ids),
        }
    }

    /// The condition that a row of `message m` has one of them.
    pub(crate) fn are_meant(&self) -> String {
        let Self { hashes, ids } = self;
        format!("m.hash_high IN ({hashes}) AND m.message_id IN ({ids})")
    }

    /// The parameters of a statement that has these before the condition, and none behind it.
    pub(crate) fn params_after<const N: usize>(&self, before: [Value; N]) -> Params {
        let own = [&self.hashes, &self.ids]
            .into_iter()
            .flat_map(|list| list.clone().into_values());
        Params::Positional(before.into_iter().chain(own).collect())
    }

    /// The parameters of a statement that has no others.
    pub(crate) fn params(&self) -> Params {
        self.params_after([])
    }
}
