//! Ending conditions: an alert that lasted ends with one that says so, as soon as its cause holds no more.

use crate::reap::Reaper;

impl Reaper {
    /// Ends storms of parked batches and of exceptions that are over.
    pub(crate) async fn end_storms(&self) -> anyhow::Result<()> {
        Ok(self.ledger.end_storms().await?)
    }

    /// Ends those of the lasting conditions of a kind, each with the number of its alert, whose cause is not among `holding`.
    pub(crate) async fn end_all_but(
        &self,
        holding: &[&str],
        (kind, lasting): (&str, &[(String, u64)]),
        end: &str,
    ) -> anyhow::Result<()> {
        let over = lasting
            .iter()
            .filter(|(cause, _)| !holding.contains(&cause.as_str()));
        for (cause, alert) in over {
            let text = format!("{cause}: {end} (see alert {alert})");
            self.ledger.end_condition(kind, cause, &text).await?;
        }
        Ok(())
    }
}
