//! What most scenarios come to: every message is in the archive once, and nothing else is there.

use super::{Document, Stage};
use granary_verify::Verdict;
use std::collections::BTreeSet;

impl Stage {
    /// A verification in full says COMPLETE; the ids read back from all objects are those of the messages, none twice;
    /// every object and manifest in the bucket belongs to a batch that names it.
    pub(crate) async fn assert_archived(&self, messages: &[Document], from: &str, to: &str) {
        let report = self.verify(from, to).await;
        assert_eq!(report.verdict, Verdict::Complete, "{:?}", report.account.findings);
        assert_eq!(report.account.findings.len(), 0, "{:?}", report.account.findings);
        self.assert_each_once(messages).await;
    }

    /// The same without the verification: for a range that isn't archived as a whole.
    pub(crate) async fn assert_each_once(&self, messages: &[Document]) {
        let lines = self.bucket.lines().await;
        let found: BTreeSet<_> = lines.iter().map(|line| line.message_id.as_str()).collect();
        let wanted: BTreeSet<_> = messages.iter().map(|message| message.doc_id.as_str()).collect();
        let difference: Vec<_> = found.symmetric_difference(&wanted).take(10).collect();
        assert_eq!(
            (difference.len(), lines.len()),
            (0, wanted.len()),
            "{difference:?}"
        );

        let in_bucket: BTreeSet<String> = self
            .bucket
            .objects()
            .await
            .iter()
            .map(ToString::to_string)
            .collect();
        let on_record: BTreeSet<String> = self
            .rows("SELECT object_key FROM batch WHERE status = 'completed' AND object_key IS NOT NULL")
            .await
            .into_iter()
            .collect();
        assert_eq!(in_bucket, on_record);
        let kept = self.bucket.quarantine().await;
        let reasons: Vec<String> = self
            .rows("SELECT reason FROM message WHERE outcome = 'quarantined'")
            .await;
        for key in &kept {
            assert!(
                reasons.iter().any(|reason| reason.contains(key)),
                "nobody names {key}: {reasons:?}"
            );
        }
        let manifests = self.bucket.keys().await.len() - in_bucket.len() - kept.len();
        let completed: usize = self
            .row("SELECT COUNT(*) FROM batch WHERE status = 'completed'")
            .await;
        assert_eq!(manifests, completed, "one manifest for each completed batch");
    }
}
