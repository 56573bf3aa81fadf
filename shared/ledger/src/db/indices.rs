//! The dictionary of concrete indices: a message row names the index that it was seen in by a number.
//!
//! Numbers are asked for within the transaction that writes messages, never remembered by a process: a ledger that was restored
//! may have given them to other names.

use crate::LedgerError;
use crate::db::connections::Transaction;
use crate::db::error::During;
use crate::db::shape::{List, row_placeholders};
use mysql_async::{Params, Value};
use std::collections::{BTreeSet, HashMap};

/// The numbers of some indices.
pub(crate) struct Indices(HashMap<String, u32>);

impl Indices {
    /// Those of these names. A name that is new gets a number.
    pub(crate) async fn of<'a>(
        transaction: &mut Transaction,
        operation: impl Into<&'static str>,
        names: impl IntoIterator<Item = &'a str>,
    ) -> Result<Self, LedgerError> {
        let operation = operation.into();
        let names: BTreeSet<&str> = names.into_iter().collect();
        let mut known = known(transaction, operation, &names).await?;
        let new: Vec<Value> = names
            .iter()
            .filter(|name| !known.contains_key(**name))
            .map(|name| Value::from(*name))
            .collect();
        if !new.is_empty() {
            let statement = format!(
                "INSERT IGNORE INTO source_index (name) VALUES {}",
                row_placeholders(new.len(), 1)
            );
            transaction
                .exec_drop(statement, Params::Positional(new))
                .await
                .during(operation)?;
            known = self::known(transaction, operation, &names).await?;
        }
        // INSERT IGNORE would cut a name that is too long.
        if let Some(lost) = names.iter().find(|name| !known.contains_key(**name)) {
            let reason = format!("the name of the index {lost:?} can't be kept");
            return Err(LedgerError::inconsistent(operation, reason));
        }
        Ok(Self(known))
    }

    /// The number of an index that was asked for.
    pub(crate) fn number(&self, name: &str) -> u32 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

async fn known(
    transaction: &mut Transaction,
    operation: &'static str,
    names: &BTreeSet<&str>,
) -> Result<HashMap<String, u32>, LedgerError> {
    if names.is_empty() {
        return Ok(HashMap::new());
    }
    let list = List::of(names.iter().copied());
    let query = format!("SELECT CONVERT(name USING utf8mb4), id FROM source_index WHERE name IN ({list})");
    let rows: Vec<(String, u32)> = transaction.exec(query, list.params()).await.during(operation)?;
    Ok(rows.into_iter().collect())
}
