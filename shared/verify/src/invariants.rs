//! The invariants that the ledger can check by itself, over the batches of the hour in hand.

use crate::report::Finding;
use crate::{Account, FindingKind, Verifier, VerifyError};
use granary_domain::{BatchId, Hour, Subject};
use granary_ledger::integrity::{BatchSlice, Bounds};
use std::time::Duration;

const BATCHES_PAGE: u32 = 500;
/// The reaper raises an alert at each of its ticks; a verification doesn't complain about one that is under way.
const UNTOLD_MAX: Duration = Duration::from_secs(300);

impl Verifier {
    /// Names what contradicts itself. That leads to no verdict: whether a message is missing for it, the other findings
    /// say.
    pub(crate) async fn check_invariants(
        &self,
        hour: Hour,
        account: &mut Account,
    ) -> Result<(), VerifyError> {
        let bounds = Bounds {
            attempts_max: None,
            untold_max: UNTOLD_MAX,
        };
        let mut after = BatchId(0);
        loop {
            let batches = self.ledger.slice_of_hour(hour, after, BATCHES_PAGE).await?;
            let Some(last) = batches.last() else {
                return Ok(());
            };
            after = *last;
            let violations = self
                .ledger
                .violations_in(&BatchSlice::These(batches), &bounds)
                .await?;
            for violation in violations {
                let text = format!("{}: {violation}", violation.invariant);
                account.find(Finding {
                    batch: match violation.subject {
                        Subject::Batch(batch) => Some(batch),
                        Subject::Window(_) | Subject::Released | Subject::Archive => None,
                    },
                    messages: violation.ids.len() as u64 + violation.unnamed,
                    sample_ids: violation.ids,
                    ..Finding::of_hour(FindingKind::InvariantViolated, hour, text)
                });
            }
        }
    }
}
