//! A lost ledger is made from the archive: the newest sound generation of each batch, and nothing that is guessed.

use crate::database::{database, ledger_in};
use crate::stand::{Stand, VISIBILITY};
use granary_domain::{Generation, Manifest, ObjectKey};
use granary_ledger::Ledger;
use granary_ledger::settings::Stage as Part;
use granary_test_database::Database;
use granary_verify::{
    RebuildArguments, RebuildProgress, RebuildReport, RebuildStep, Verdict, Verifier, VerifyArguments,
};

fn wanted(dry_run: bool) -> RebuildArguments {
    RebuildArguments {
        dry_run,
        batch_size: 10,
        reason: None,
        requested_by: "operator".to_owned(),
    }
}

/// An empty ledger beside the one that is lost, whose harvest and export are paused.
struct Anew {
    ledger: Ledger,
    verifier: Verifier,
    _database: Database,
}

impl Anew {
    async fn over(stand: &Stand) -> Self {
        let database = database().await;
        let ledger = ledger_in(&database).await;
        for stage in [Part::Harvest, Part::Export] {
            ledger.pause(stage, "test").await.unwrap();
        }
        let (source, archive) = (stand.source.clone(), stand.archive.clone());
        Self {
            verifier: Verifier::new(ledger.clone(), source, archive, VISIBILITY),
            ledger,
            _database: database,
        }
    }

    async fn step(&self, dry_run: bool, progress: Option<RebuildProgress>) -> RebuildStep {
        let step = self.verifier.rebuild_step(&wanted(dry_run), progress).await;
        step.unwrap()
    }

    /// To the end. The progress goes through JSON after every step, as it does in the ledger.
    async fn rebuild(&self, dry_run: bool) -> RebuildReport {
        let mut progress = None;
        loop {
            match self.step(dry_run, progress).await {
                RebuildStep::More(more) => {
                    let text = serde_json::to_string(&more).unwrap();
                    progress = Some(serde_json::from_str(&text).unwrap());
                }
                RebuildStep::Done(report) => return *report,
                RebuildStep::Refused(text) => panic!("{text}"),
            }
        }
    }

    async fn verdict(&self) -> Verdict {
        let arguments = VerifyArguments {
            from: Some(crate::stand::base() - jiff::SignedDuration::from_hours(24)),
            to: Some(crate::stand::base()),
            ..VerifyArguments::default()
        };
        let mut progress = None;
        loop {
            match self.verifier.step(&arguments, progress, u64::MAX).await.unwrap() {
                granary_verify::Step::More(more) => progress = Some(*more),
                granary_verify::Step::TooLarge { messages } => panic!("{messages} messages are too many"),
                granary_verify::Step::Done(report) => return report.verdict,
            }
        }
    }
}

/// The manifest of the first batch, with its key.
async fn first_manifest(stand: &Stand) -> (ObjectKey, Manifest) {
    let key = stand.keys("_manifests/").await.remove(0);
    let manifest = stand.archive.manifest(&key).await.unwrap().unwrap();
    (key, manifest)
}

/// The same batch as a next generation has it.
fn next_generation(stand: &Stand, manifest: &Manifest) -> (ObjectKey, Manifest) {
    let object = manifest.object.clone().unwrap();
    let (batch, hour, generation) = (manifest.batch_id, manifest.hour, Generation(2));
    let form = (object.format(), object.compression());
    let layout = stand.archive.layout();
    let next = Manifest {
        generation,
        object: Some(layout.object(hour, batch, generation, form)),
        ..manifest.clone()
    };
    (layout.manifest(hour, batch, generation), next)
}

/// The lines of these objects have no time, so the source is asked.
#[tokio::test]
async fn d6_a_rebuilt_ledger_is_complete_and_a_second_rebuild_finds_everything_there() {
    let (stand, _) = Stand::with_exported(40, 2).await;
    let anew = Anew::over(&stand).await;
    let foretold = anew.rebuild(true).await;
    let batches = stand.keys("_manifests/").await.len() as u64;
    assert_eq!(
        (foretold.batches, foretold.messages, foretold.objects),
        (batches, 40, batches)
    );
    let counts = anew.ledger.batches_by_status().await.unwrap();
    assert!(
        counts.iter().all(|count| count.batches == 0),
        "nothing is recorded"
    );
    let report = anew.rebuild(false).await;
    assert_eq!(
        (
            report.batches,
            report.messages,
            report.contradicting,
            report.times_of_hour
        ),
        (batches, 40, 0, 0),
        "{report:#?}"
    );
    assert_eq!(report.without_batch.count, 0);
    assert_eq!(anew.verdict().await, Verdict::Complete);
    let again = anew.rebuild(false).await;
    assert_eq!((again.batches, again.messages), (batches, 40));
}

#[tokio::test]
async fn d6_a_time_that_neither_line_nor_source_tell_is_that_of_the_hour_and_counted() {
    let (stand, _) = Stand::with_exported(20, 1).await;
    stand.delete_document(crate::stand::seeded_id(3).as_str()).await;
    let anew = Anew::over(&stand).await;
    let report = anew.rebuild(false).await;
    assert_eq!((report.messages, report.times_of_hour), (20, 1));
    assert_eq!(anew.verdict().await, Verdict::Drifted, "it was deleted since");
}

#[tokio::test]
async fn d6_the_newest_generation_that_is_sound_is_on_record() {
    let (stand, _) = Stand::with_exported(10, 1).await;
    let (_, manifest) = first_manifest(&stand).await;
    let (key, next) = next_generation(&stand, &manifest);
    stand.archive.put_manifest(&key, &next).await.unwrap();
    let without_object = Anew::over(&stand).await;
    let report = without_object.rebuild(false).await;
    assert_eq!(
        (report.batches, report.manifests, report.contradicting),
        (1, 2, 1),
        "{report:#?}"
    );
    assert_eq!(report.contradictions[0].key, key);
    let on_record = without_object
        .ledger
        .rebuilt_batches(&[manifest.batch_id])
        .await
        .unwrap();
    assert_eq!(on_record[&manifest.batch_id].generation, Generation(1));

    let bytes = stand.read(&manifest.object.clone().unwrap()).await;
    stand.overwrite(&next.object.clone().unwrap(), bytes).await;
    let with_object = Anew::over(&stand).await;
    let report = with_object.rebuild(false).await;
    assert_eq!(
        (report.batches, report.contradicting, report.older.count),
        (1, 0, 1),
        "{report:#?}"
    );
    let on_record = with_object
        .ledger
        .rebuilt_batches(&[manifest.batch_id])
        .await
        .unwrap();
    assert_eq!(on_record[&manifest.batch_id].generation, Generation(2));

    // The first ledger has another generation on record: nothing is changed.
    let report = without_object.rebuild(false).await;
    assert_eq!((report.batches, report.contradicting), (1, 1), "{report:#?}");
    assert!(
        report.contradictions[0].text.contains("generation 1"),
        "{report:#?}"
    );
}

#[tokio::test]
async fn d6_a_manifest_that_denies_itself_is_named_and_its_object_has_no_batch() {
    let (stand, _) = Stand::with_exported(10, 1).await;
    let (key, manifest) = first_manifest(&stand).await;
    let wrong = Manifest {
        messages: manifest.messages + 1,
        ..manifest
    };
    stand.archive.put_manifest(&key, &wrong).await.unwrap();
    let anew = Anew::over(&stand).await;
    let report = anew.rebuild(false).await;
    assert_eq!(
        (report.batches, report.contradicting, report.without_batch.count),
        (0, 1, 1),
        "{report:#?}"
    );
}

#[tokio::test]
async fn d6_a_rebuild_that_is_not_alone_is_refused_at_each_step_and_a_dry_run_says_why() {
    let (stand, _) = Stand::with_exported(10, 1).await;
    let anew = Anew::over(&stand).await;
    let RebuildStep::More(progress) = anew.step(false, None).await else {
        panic!("there is more to do");
    };
    anew.ledger.resume(Part::Harvest).await.unwrap();
    let refused = anew.step(false, Some(*progress)).await;
    assert!(
        matches!(&refused, RebuildStep::Refused(text) if text.contains("harvest")),
        "{refused:?}"
    );
    let foretold = anew.rebuild(true).await;
    assert!(foretold.obstacle.is_some_and(|text| text.contains("harvest")));
    assert_eq!(foretold.messages, 10);
}
