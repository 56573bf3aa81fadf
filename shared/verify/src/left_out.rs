//! Indices behind the source's name whose mapping or settings keep them from being read: what they hold is in no comparison.
//!
//! Each is an exception, whatever the range: nothing tells which event times it holds. A verification is INCOMPLETE until it
//! can be read, or is accepted. Which indices these are is the source's to say (`granary_source::Survey`).

use crate::report::Finding;
use crate::{Account, FindingKind, Verifier, VerifyError, VerifyProgress};
use granary_domain::{ExceptionKind, Hour};
use granary_source::LeftOutIndex;

impl Verifier {
    /// Puts the indices that aren't read now into the account, each once.
    pub(crate) async fn note_left_out(
        &self,
        progress: &mut VerifyProgress,
        hour: Hour,
    ) -> Result<(), VerifyError> {
        if progress.scope.archive_only {
            return Ok(());
        }
        let survey = self.source.surveyed().await?;
        for left_out in survey.left_out() {
            progress.account.leave_out(hour, left_out);
        }
        Ok(())
    }
}

impl Account {
    fn leave_out(&mut self, hour: Hour, LeftOutIndex { index, problem }: LeftOutIndex<'_>) {
        if self.exceptions.messages_of(ExceptionKind::LeftOut, index) > 0 {
            return;
        }
        let text = format!("index {index} is not read: {problem}");
        self.find(Finding {
            messages: 1,
            ..Finding::of_hour(FindingKind::IndexLeftOut, hour, text)
        });
        self.except(ExceptionKind::LeftOut, index, 1);
    }
}
