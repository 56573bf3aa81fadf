//! Writing exactly once.

use crate::stand::{BATCH, FORMS, IN_PARTS, Message, Stand, WHOLE, incompressible, key};
use futures::future::join_all;
use granary_archive::{PutOutcome, PutSettings};
use granary_domain::{Compression, Format};

const PLAIN: (Format, Compression) = (Format::Ndjson, Compression::None);
const PACKED: (Format, Compression) = (Format::Ndjson, Compression::Zstd);

#[tokio::test]
async fn every_form_reads_back_as_it_was_spooled() {
    let stand = Stand::new().await;
    for form in FORMS {
        let spool = stand.spool(
            form,
            &[
                Message::new("a", "{}"),
                Message::new("\u{e9}", "[1]"),
                Message::new("z ", "2"),
            ],
        );
        let outcome = stand
            .archive
            .put(&key(form, 1), BATCH, &spool, PutSettings::default())
            .await
            .unwrap();
        assert_eq!(outcome, PutOutcome::Written);
        let read = stand.archive.read_back(&key(form, 1)).await.unwrap().unwrap();
        assert_eq!(read, spool.contents, "{form:?}");
        assert_eq!((read.exported, read.last_id.unwrap().as_str()), (3, "z "));
    }
}

#[tokio::test]
async fn an_object_names_its_batch_and_its_checksum() {
    let stand = Stand::new().await;
    let spool = stand.spool(PACKED, &incompressible(2, 1000));
    for (generation, settings) in [(1, WHOLE), (2, IN_PARTS)] {
        stand
            .archive
            .put(&key(PACKED, generation), BATCH, &spool, settings)
            .await
            .unwrap();
        let head = stand
            .client
            .head_object()
            .bucket(&stand.bucket)
            .key(key(PACKED, generation).as_str());
        let metadata = head.send().await.unwrap().metadata.unwrap();
        assert_eq!(
            (metadata["batch-id"].as_str(), &metadata["sha256"]),
            ("7", &spool.contents.sha256.to_string())
        );
    }
}

#[tokio::test]
async fn a_large_object_goes_up_in_parts_and_is_the_same() {
    let stand = Stand::new().await;
    let spool = stand.spool(PACKED, &incompressible(17, 1024 * 1024));
    assert!(
        spool.contents.bytes_stored > 12 * 1024 * 1024,
        "it takes three parts at least"
    );
    let outcome = stand
        .archive
        .put(&key(PACKED, 1), BATCH, &spool, IN_PARTS)
        .await
        .unwrap();
    assert_eq!(outcome, PutOutcome::Written);
    let read = stand.archive.read_back(&key(PACKED, 1)).await.unwrap();
    assert_eq!(read.as_ref(), Some(&spool.contents));
    assert!(stand.has_no_unfinished_upload().await);
}

#[tokio::test]
async fn e13_a_second_put_finds_the_object_and_leaves_it_as_it_is() {
    let stand = Stand::new().await;
    let first = stand.spool(PLAIN, &[Message::new("a", "{}")]);
    let second = stand.spool(PLAIN, &[Message::new("a", "{\"updated\":true}")]);
    stand
        .archive
        .put(&key(PLAIN, 1), BATCH, &first, WHOLE)
        .await
        .unwrap();
    for settings in [WHOLE, IN_PARTS] {
        let outcome = stand
            .archive
            .put(&key(PLAIN, 1), BATCH, &second, settings)
            .await
            .unwrap();
        assert_eq!(outcome, PutOutcome::AlreadyThere);
    }
    assert_eq!(
        stand.archive.read_back(&key(PLAIN, 1)).await.unwrap().unwrap(),
        first.contents
    );
    assert!(stand.has_no_unfinished_upload().await);
}

#[tokio::test]
async fn e11_of_writers_at_one_key_exactly_one_writes() {
    let stand = Stand::new().await;
    for (generation, settings) in [(1, WHOLE), (2, IN_PARTS)] {
        let key = key(PLAIN, generation);
        let spools: Vec<_> = (0..6)
            .map(|_| stand.spool(PLAIN, &incompressible(6, 1024 * 1024)))
            .collect();
        let puts = spools
            .iter()
            .map(|spool| stand.archive.put(&key, BATCH, spool, settings));
        let outcomes: Vec<_> = join_all(puts).await.into_iter().map(Result::unwrap).collect();
        let winners: Vec<_> = outcomes
            .iter()
            .zip(&spools)
            .filter(|(outcome, _)| **outcome == PutOutcome::Written)
            .collect();
        assert_eq!(winners.len(), 1, "{outcomes:?}");
        assert_eq!(
            stand.archive.read_back(&key).await.unwrap().unwrap(),
            winners[0].1.contents
        );
        assert!(stand.has_no_unfinished_upload().await);
    }
}

#[tokio::test]
async fn e12_an_upload_that_fails_is_aborted() {
    let stand = Stand::new().await;
    let spool = stand.spool(PLAIN, &[Message::new("a", "{}")]);
    std::fs::remove_file(spool.path()).unwrap();
    let error = stand
        .archive
        .put(&key(PLAIN, 1), BATCH, &spool, IN_PARTS)
        .await
        .unwrap_err();
    assert!(
        matches!(error, granary_archive::ArchiveError::Spool(_)),
        "{error:?}"
    );
    assert!(stand.has_no_unfinished_upload().await);
    assert_eq!(stand.archive.read_back(&key(PLAIN, 1)).await.unwrap(), None);
}
