//! One hour: the source, then the ledger, then the objects, then what they have in common.

use crate::scan::Scan;
use crate::{Account, Scope, Verifier, VerifyError};
use granary_domain::{Hour, IdDigest, TimeRange};
use granary_ledger::Standing;
use std::collections::HashMap;

/// Whether an hour was small enough.
pub(crate) enum Fit {
    Done,
    TooLarge { messages: u64 },
}

impl Verifier {
    /// Looks at one hour, or the part of it that is in the scope. The account is changed only by what was looked at
    /// to the end, so after an error it must not be used.
    pub(crate) async fn verify_hour(
        &self,
        scope: &Scope,
        part: TimeRange,
        messages_max: u64,
        account: &mut Account,
    ) -> Result<Fit, VerifyError> {
        let recorded: u64 = self
            .ledger
            .hours_of(part)
            .await?
            .iter()
            .map(|hour| hour.messages)
            .sum();
        if recorded > messages_max {
            return Ok(Fit::TooLarge { messages: recorded });
        }
        let fit = if scope.quick {
            self.compare_counts(scope, part, account).await?
        } else {
            self.compare_ids_and_objects(scope, part, messages_max, account)
                .await?
        };
        if let Fit::Done = fit {
            account.hours += 1;
        }
        Ok(fit)
    }

    async fn compare_ids_and_objects(
        &self,
        scope: &Scope,
        part: TimeRange,
        messages_max: u64,
        account: &mut Account,
    ) -> Result<Fit, VerifyError> {
        let listed = self.list_hour(Hour::of(part.from())).await?;
        let ids = match self.scan(part, scope.filter.as_ref(), messages_max).await? {
            Scan::Ids(ids) => ids,
            Scan::TooLarge { messages } => return Ok(Fit::TooLarge { messages }),
        };
        let digests = self.ledger.digests_of(part).await?;
        count_standings(&digests, account);
        account.counts.source += ids.digest.count;
        account.counts.without_id += ids.without_id;
        account.digests.source.merge(&ids.digest);
        self.check_objects(part, &listed, digest_of(&digests, Standing::OnRecord), account)
            .await?;
        self.compare_ids(
            scope,
            part,
            &ids,
            digest_of(&digests, Standing::OnRecord),
            account,
        )
        .await?;
        Ok(Fit::Done)
    }
}

fn digest_of(digests: &HashMap<Standing, IdDigest>, standing: Standing) -> IdDigest {
    digests.get(&standing).copied().unwrap_or_default()
}

fn count_standings(digests: &HashMap<Standing, IdDigest>, account: &mut Account) {
    let count = |standing| digest_of(digests, standing).count;
    let counts = &mut account.counts;
    counts.ledger += count(Standing::OnRecord);
    counts.tombstones += count(Standing::Missing);
    counts.quarantined += count(Standing::Quarantined);
    counts.open += count(Standing::Open);
    counts.released += count(Standing::Released);
    account
        .digests
        .ledger
        .merge(&digest_of(digests, Standing::OnRecord));
}
