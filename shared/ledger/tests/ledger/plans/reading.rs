//! Every function that only asks.

use super::SYNTHETIC;
use super::asking::{Asking, ask};
use crate::stage::ATTEMPTS_MAX;
use crate::synthetic::Synthetic;
use granary_domain::{BatchId, Fence, MessageId, MigrationKind, MigrationState, Outcome, Part, WindowId};
use granary_ledger::Ledger;
use granary_ledger::export::ExceptionFilter;
use granary_ledger::handoff::QueueLane;
use granary_ledger::harvest::{MigrationFilter, RescanRules};
use granary_ledger::integrity::{BatchSlice, Bounds, ProofRules};
use granary_ledger::jobs::{AlertFilter, OperationFilter, OperationState};
use granary_ledger::reports::TimelineFilter;
use granary_ledger::settings::{AuditFilter, Stage};
use jiff::SignedDuration;
use std::time::Duration;

const HOUR: Duration = Duration::from_secs(3_600);

pub(super) async fn everything(asking: &mut Asking<'_>, ledger: &Ledger) {
    counts(asking, ledger).await;
    queues(asking, ledger).await;
    evidence(asking, ledger).await;
    invariants(asking, ledger).await;
    people(asking, ledger).await;
}

async fn counts(asking: &mut Asking<'_>, ledger: &Ledger) {
    let id = SYNTHETIC.migration();
    let all = SYNTHETIC.range();
    let off = SignedDuration::from_mins(17);
    let cut = granary_domain::TimeRange::new(all.from() + off, all.to() - off).unwrap();
    ask!(asking, ledger.progress_of(all));
    ask!(asking, ledger.progress_of(cut));
    ask!(asking, ledger.parked_in(cut));
    ask!(asking, ledger.batches_by_status());
    ask!(asking, ledger.window_counts(id));
    ask!(asking, ledger.windows_of(id, None, 100));
    ask!(asking, ledger.windows_of(id, Some(cut.from()), 100));
    ask!(asking, ledger.migration(id));
    let filter = MigrationFilter {
        state: Some(MigrationState::Open),
        kind: Some(MigrationKind::Continuous),
        from: Some(cut.from()),
        to: Some(cut.to()),
        before: None,
        limit: 50,
    };
    ask!(asking, ledger.migrations(filter));
    ask!(asking, ledger.migrations_to_harvest());
    ask!(asking, ledger.lateness(HOUR, None));
    ask!(asking, ledger.lateness(HOUR, Some(id)));
    ask!(asking, ledger.outside());
    ask!(asking, ledger.is_count_older(HOUR));
    ask!(asking, ledger.first_window_from());
    ask!(asking, ledger.late_in(WindowId(7)));
    let rules = RescanRules {
        after: HOUR,
        horizon: HOUR * 24 * 7,
        night_hour: 2,
    };
    ask!(asking, ledger.due_rescans(rules, &[], 10));
    ask!(asking, ledger.failure_rate(HOUR));
}

async fn queues(asking: &mut Asking<'_>, ledger: &Ledger) {
    ask!(asking, ledger.unsent(None, 100));
    for queue in QueueLane::ALL {
        ask!(asking, ledger.unsent(Some(queue), 100));
        ask!(asking, ledger.perhaps_lost(queue, HOUR, 100));
        ask!(asking, ledger.perhaps_hidden(queue, 100));
        ask!(asking, ledger.in_progress_from(queue));
    }
    ask!(asking, ledger.surely_lost(100));
    ask!(asking, ledger.believed_in(QueueLane::Normal));
    ask!(asking, ledger.noted_purges());
    ask!(asking, ledger.probes(20));
    ask!(asking, ledger.attempts_in_flight(BatchId(0), 50));
    ask!(asking, ledger.in_flight());
    ask!(asking, ledger.attempt_counter());
    ask!(asking, ledger.pause_of(Stage::Export));
    ask!(asking, ledger.settled_by_minute(60));
    ask!(asking, ledger.oldest_unsent());
    ask!(asking, ledger.messages_of(BatchId(7)));
    ask!(asking, ledger.restored());
    ask!(asking, ledger.deferrals());
    ask!(
        asking,
        ledger.deferrals_of(SYNTHETIC.migration(), Some(SYNTHETIC.range()))
    );
    ask!(asking, ledger.lasting_conditions("deferred"));
    ask!(asking, ledger.causes_ended_within("deferred", HOUR));
    ask!(asking, ledger.continuous_waits(HOUR));
    ask!(asking, ledger.superseded((BatchId(0), Fence(0)), 100));
}

async fn evidence(asking: &mut Asking<'_>, ledger: &Ledger) {
    let hour = SYNTHETIC.hour(7);
    let batches: Vec<BatchId> = (351..=400).map(BatchId).collect();
    ask!(asking, ledger.first_hour_of(SYNTHETIC.range()));
    ask!(asking, ledger.hours_of(hour.range()));
    ask!(asking, ledger.digests_of(hour.range()));
    ask!(asking, ledger.digests_of_batches(&batches));
    ask!(asking, ledger.objects_of_batches(&batches));
    ask!(asking, ledger.objects_of_hour(hour, BatchId(360), 100));
    ask!(asking, ledger.batches_at_keys(&batches));
    let part = Part::of(hour.range());
    let cut = part.cut().unwrap();
    ask!(asking, ledger.count_messages_in(hour.range()));
    ask!(asking, ledger.digests_of_part(&part));
    ask!(asking, ledger.digests_of_pieces(&cut));
    ask!(asking, ledger.ids_of_part(&part, 1_000));
    let ids: Vec<MessageId> = (1..=500)
        .map(|place| Synthetic::id(place * 199).try_into().unwrap())
        .collect();
    let borrowed: Vec<&MessageId> = ids.iter().collect();
    ask!(asking, ledger.standings_of_ids(&borrowed));
    ask!(asking, ledger.places_of_ids(&borrowed));
    ask!(asking, ledger.owners_on_record(&borrowed));
    ask!(asking, ledger.owners_of(&ids));
    ask!(asking, ledger.completed_owners_of(&ids));
    ask!(asking, ledger.sealed_ranges(SYNTHETIC.range(), 10));
    ask!(asking, ledger.sealed_up_to(hour));
    ask!(asking, ledger.is_sealed(hour));
    ask!(asking, ledger.first_sealed_hour_of(SYNTHETIC.range()));
    ask!(asking, ledger.next_hour_to_purge(SYNTHETIC.range()));
}

async fn invariants(asking: &mut Asking<'_>, ledger: &Ledger) {
    let bounds = Bounds {
        attempts_max: Some(ATTEMPTS_MAX),
        untold_max: HOUR,
    };
    let hour = SYNTHETIC.hour(7);
    let of_hour = ask!(asking, ledger.slice_of_hour(hour, BatchId(0), 50));
    let slices: [Option<BatchSlice>; 3] = [
        ask!(asking, ledger.slice_after(BatchId(100), 50)),
        Some(ask!(asking, ledger.slice_of_recent(HOUR, 50))),
        Some(BatchSlice::These(of_hour)),
    ];
    for slice in slices.into_iter().flatten() {
        ask!(asking, ledger.violations_in(&slice, &bounds));
        ask!(asking, ledger.objects_in(&slice));
    }
    ask!(asking, ledger.inspected_up_to());
}

/// What the operator's pages ask.
async fn desk(asking: &mut Asking<'_>, ledger: &Ledger) {
    let id = SYNTHETIC.migration();
    let (from, to) = (SYNTHETIC.hour(3).start(), SYNTHETIC.hour(30).start());
    ask!(asking, ledger.throughput(Duration::from_secs(900), 96));
    ask!(asking, ledger.oldest_open());
    ask!(asking, ledger.lag());
    // A page of all windows there are has all batches, and reading them from end to end is the best plan then.
    let windows = TimelineFilter {
        limit: 5,
        ..TimelineFilter::default()
    };
    ask!(asking, ledger.timeline(&windows));
    let some_windows = TimelineFilter {
        from: Some(from),
        to: Some(to),
        migration: Some(id),
        before: Some((to, WindowId(30))),
        limit: 5,
    };
    ask!(asking, ledger.timeline(&some_windows));
    ask!(asking, ledger.failed_by_cause());
    ask!(asking, ledger.failure_samples(5));
    ask!(asking, ledger.exceptions());
    ask!(
        asking,
        ledger.batches_with_exceptions(&ExceptionFilter::default(), BatchId(7), 10)
    );
    ask!(asking, ledger.exception_samples(Outcome::Missing, 10));
    ask!(asking, ledger.exception_samples(Outcome::Quarantined, 10));
    ask!(asking, ledger.message(&Synthetic::id(99).try_into().unwrap()));
    ask!(asking, ledger.window(WindowId(7)));
    ask!(asking, ledger.replaced_exports_of(BatchId(7)));
    let alerts = AlertFilter {
        kind: Some("parked".into()),
        open: Some(true),
        from: Some(SYNTHETIC.range().from()),
        to: Some(SYNTHETIC.range().to()),
        before: Some(1_000),
        limit: 50,
    };
    ask!(asking, ledger.alerts(&alerts));
    ask!(asking, ledger.open_alerts());
    let operations = OperationFilter {
        kind: Some("verify".into()),
        states: vec![OperationState::Waiting],
        before: Some(uuid::Uuid::from_bytes(*b"granaryoperation")),
        from: Some(SYNTHETIC.range().from()),
        to: Some(SYNTHETIC.range().to()),
        limit: 50,
    };
    ask!(asking, ledger.operations_by(&operations));
    ask!(asking, ledger.verdicts("verify", 5));
    let audit = AuditFilter {
        who: Some("operator".into()),
        action: Some("tune".into()),
        from: Some(from),
        to: Some(to),
        before: Some(1_000),
        limit: 50,
    };
    ask!(asking, ledger.audit_entries(&audit));
    ask!(asking, ledger.tuning());
    ask!(asking, ledger.tuned_settings());
    ask!(asking, ledger.accepted_exceptions());
    ask!(asking, ledger.accepted_outside(SYNTHETIC.range()));
    ask!(asking, ledger.settled_up_to(HOUR));
    ask!(asking, ledger.history());
}

async fn people(asking: &mut Asking<'_>, ledger: &Ledger) {
    ask!(asking, ledger.first_page("verify"));
    desk(asking, ledger).await;
    ask!(asking, ledger.unpublished_alerts(100));
    ask!(asking, ledger.operations(&OperationFilter::newest("verify", 20)));
    ask!(
        asking,
        ledger.operation(uuid::Uuid::from_bytes(*b"granaryoperation"))
    );
    ask!(asking, ledger.is_operation_due("sweep", "schedule", HOUR));
    let rules = ProofRules {
        after: HOUR,
        horizon: HOUR,
        every: Some(HOUR * 24 * 3_650),
    };
    ask!(asking, ledger.due_proof(&rules));
    ask!(asking, ledger.were_final(SYNTHETIC.range()));
    ask!(asking, ledger.proof_state(None));
    ask!(asking, ledger.failing_windows());
    ask!(asking, ledger.seeded_by_status("seed-"));
}
