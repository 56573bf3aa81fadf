//! S3 answers late, wrongly or not at all.

use crate::stand::{BATCH, IN_PARTS, Message, Stand, WHOLE, config_at, endpoint, incompressible, key};
use crate::wire::{Fault, FaultyWire};
use granary_archive::{Archive, ArchiveError, ObjectFault, PutOutcome};
use granary_domain::{Cause, Compression, Failure, Format};

const PLAIN: (Format, Compression) = (Format::Ndjson, Compression::None);

const SLOW_DOWN: Fault = Fault::Answer("503 Slow Down", "SlowDown");
/// `100 Continue` may come before the body is sent: it is let through, the real answer is longer.
const INTERIM_ANSWER_BYTES: usize = 100;

/// A PUT is repeated and meets its own object. S3 answers the repeated completion of an upload as it did the first.
#[tokio::test]
async fn e12_a_write_whose_answer_is_lost_is_done_once() {
    let stand = Stand::new().await;
    let spool = stand.spool(PLAIN, &incompressible(6, 1024 * 1024));
    for (generation, settings, marker, expected) in [
        (1, WHOLE, "PUT /", PutOutcome::AlreadyThere),
        (2, IN_PARTS, "<CompleteMultipartUpload", PutOutcome::Written),
    ] {
        let wire = FaultyWire::to(
            &endpoint(),
            marker,
            1,
            Fault::LoseAnswerAfter(INTERIM_ANSWER_BYTES),
        )
        .await;
        let archive = stand.archive_at(&wire.address).await;
        let outcome = archive
            .put(&key(PLAIN, generation), BATCH, &spool, settings)
            .await
            .unwrap();
        assert_eq!(outcome, expected, "{marker}");
        assert!(wire.all_faults_happened());
        assert_eq!(
            archive.read_back(&key(PLAIN, generation)).await.unwrap().unwrap(),
            spool.contents
        );
        assert!(stand.has_no_unfinished_upload().await);
    }
}

#[tokio::test]
async fn e12_a_part_whose_answer_is_lost_is_sent_again() {
    let stand = Stand::new().await;
    let spool = stand.spool(PLAIN, &incompressible(11, 1024 * 1024));
    let wire = FaultyWire::to(
        &endpoint(),
        "partNumber=2",
        2,
        Fault::LoseAnswerAfter(INTERIM_ANSWER_BYTES),
    )
    .await;
    let archive = stand.archive_at(&wire.address).await;
    assert_eq!(
        archive
            .put(&key(PLAIN, 1), BATCH, &spool, IN_PARTS)
            .await
            .unwrap(),
        PutOutcome::Written
    );
    assert!(wire.all_faults_happened());
    assert_eq!(
        archive.read_back(&key(PLAIN, 1)).await.unwrap().unwrap(),
        spool.contents
    );
}

#[tokio::test]
async fn e12_a_write_that_met_another_one_or_lost_its_upload_starts_again() {
    let stand = Stand::new().await;
    let spool = stand.spool(PLAIN, &[Message::new("a", "{}")]);
    let conflict = Fault::Answer("409 Conflict", "ConditionalRequestConflict");
    let vanished = Fault::Answer("404 Not Found", "NoSuchUpload");
    for (generation, settings, marker, fault) in [
        (1, WHOLE, "PUT /", conflict),
        (2, IN_PARTS, "<CompleteMultipartUpload", conflict),
        (3, IN_PARTS, "<CompleteMultipartUpload", vanished),
    ] {
        let wire = FaultyWire::to(&endpoint(), marker, 2, fault).await;
        let archive = stand.archive_at(&wire.address).await;
        let outcome = archive
            .put(&key(PLAIN, generation), BATCH, &spool, settings)
            .await
            .unwrap();
        assert_eq!(outcome, PutOutcome::Written);
        assert!(wire.all_faults_happened());
        assert_eq!(
            archive.read_back(&key(PLAIN, generation)).await.unwrap().unwrap(),
            spool.contents
        );
        assert!(stand.has_no_unfinished_upload().await);
    }
}

#[tokio::test]
async fn bytes_that_changed_after_they_were_sealed_do_not_become_an_object() {
    let stand = Stand::new().await;
    let spool = stand.spool(PLAIN, &[Message::new("a", "{}")]);
    let changed = std::fs::read_to_string(spool.path()).unwrap().replace("{}", "[]");
    std::fs::write(spool.path(), changed).unwrap();
    let error = stand
        .archive
        .put(&key(PLAIN, 1), BATCH, &spool, WHOLE)
        .await
        .unwrap_err();
    assert!(matches!(error, ArchiveError::Refused { .. }), "{error:?}");
    assert_eq!(stand.archive.read_back(&key(PLAIN, 1)).await.unwrap(), None);
}

#[tokio::test]
async fn e12_slow_down_is_waited_out() {
    let stand = Stand::new().await;
    let wire = FaultyWire::to(&endpoint(), "PUT /", 3, SLOW_DOWN).await;
    let archive = stand.archive_at(&wire.address).await;
    let spool = stand.spool(PLAIN, &[Message::new("a", "{}")]);
    assert_eq!(
        archive.put(&key(PLAIN, 1), BATCH, &spool, WHOLE).await.unwrap(),
        PutOutcome::Written
    );
    assert!(wire.all_faults_happened());
}

#[tokio::test]
async fn e12_slow_down_without_end_is_the_platforms_fault() {
    let stand = Stand::new().await;
    let wire = FaultyWire::to(&endpoint(), "PUT /", 100, SLOW_DOWN).await;
    let archive = stand.archive_at(&wire.address).await;
    let spool = stand.spool(PLAIN, &[Message::new("a", "{}")]);
    let error = archive
        .put(&key(PLAIN, 1), BATCH, &spool, WHOLE)
        .await
        .unwrap_err();
    assert!(
        error.is_platforms() && error.cause() == Cause::ArchiveUnavailable,
        "{error:?}"
    );
    assert!(
        Failure::new(error.cause(), &error).text.contains("SlowDown"),
        "{error:?}"
    );
}

#[tokio::test]
async fn e12_a_download_goes_on_where_the_connection_was_lost() {
    let stand = Stand::new().await;
    let spool = stand.spool(PLAIN, &incompressible(3, 1024 * 1024));
    stand
        .archive
        .put(&key(PLAIN, 1), BATCH, &spool, WHOLE)
        .await
        .unwrap();
    let wire = FaultyWire::to(&endpoint(), "GET /", 3, Fault::LoseAnswerAfter(700_000)).await;
    let archive = stand.archive_at(&wire.address).await;
    assert_eq!(
        archive.read_back(&key(PLAIN, 1)).await.unwrap().unwrap(),
        spool.contents
    );
    assert!(wire.all_faults_happened());

    let wire = FaultyWire::to(&endpoint(), "GET /", 100, Fault::LoseAnswerAfter(1_000)).await;
    let archive = stand.archive_at(&wire.address).await;
    assert!(
        archive
            .read_back(&key(PLAIN, 1))
            .await
            .unwrap_err()
            .is_platforms()
    );
}

#[tokio::test]
async fn s3_out_of_reach_is_the_platforms_fault_and_its_text_has_no_address() {
    let stand = Stand::new().await;
    let nowhere = stand.archive_at("http://127.0.0.1:9").await;
    let error = nowhere.check().await.unwrap_err();
    assert!(error.is_platforms(), "{error:?}");
    let text = Failure::new(error.cause(), &error).text;
    assert!(!text.contains("127.0.0.1"), "{text}");
}

#[tokio::test]
async fn a_bucket_that_is_not_there_is_refused_with_a_remedy() {
    let stand = Stand::new().await;
    stand.archive.check().await.unwrap();
    let config = config_at(&endpoint()).await;
    let archive = Archive::new(&config, "archive-of-nobody", stand.archive.layout().clone());
    let spool = stand.spool(PLAIN, &[Message::new("a", "{}")]);
    for error in [
        archive.check().await.unwrap_err(),
        archive
            .put(&key(PLAIN, 1), BATCH, &spool, WHOLE)
            .await
            .unwrap_err(),
        archive
            .put(&key(PLAIN, 1), BATCH, &spool, IN_PARTS)
            .await
            .unwrap_err(),
        archive.read_back(&key(PLAIN, 1)).await.unwrap_err(),
    ] {
        assert!(
            matches!(error, ArchiveError::Refused { .. }) && !error.is_platforms(),
            "{error:?}"
        );
        assert!(
            error
                .to_string()
                .contains("create the bucket, or correct GRANARY_BUCKET"),
            "{error}"
        );
    }
}

/// What S3 says of one object, of everything, and what passes, in the shapes that it has.
#[tokio::test]
async fn e13_a_refusal_of_one_object_is_told_from_a_refusal_of_everything_and_from_an_outage() {
    let stand = Stand::new().await;
    let spool = stand.spool(PLAIN, &[Message::new("a", "{}")]);
    let key = key(PLAIN, 1);
    stand.archive.put(&key, BATCH, &spool, WHOLE).await.unwrap();
    let denied = |fault: &ObjectFault| matches!(fault, ObjectFault::Denied(_));
    let locked = |fault: &ObjectFault| matches!(fault, ObjectFault::Locked(_));
    type Expected = fn(&ObjectFault) -> bool;
    let of_one: [(&str, &str, Expected); 4] = [
        ("403 Forbidden", "AccessDenied", denied),
        ("403 Forbidden", "InvalidObjectState", locked),
        ("400 Bad Request", "KMS.DisabledException", locked),
        ("400 Bad Request", "KMS.KMSInvalidStateException", locked),
    ];
    for (status, code, is_expected) in of_one {
        let wire = FaultyWire::to(&endpoint(), "GET /", 1, Fault::Answer(status, code)).await;
        let error = stand
            .archive_at(&wire.address)
            .await
            .read_back(&key)
            .await
            .unwrap_err();
        let fault = error.fault_of_object().expect(code);
        assert!(is_expected(&fault), "{code}: {fault:?}");
        assert!(
            error.to_string().contains(code) && error.to_string().contains(key.as_str()),
            "{error}"
        );
        assert!(!error.is_platforms());
    }
    for (status, code) in [
        ("403 Forbidden", "InvalidAccessKeyId"),
        ("301 Moved Permanently", "PermanentRedirect"),
        ("404 Not Found", "NoSuchBucket"),
        ("503 Slow Down", "SlowDown"),
        ("400 Bad Request", "ThrottlingException"),
        ("500 Internal Server Error", "KMS.InternalException"),
    ] {
        let wire = FaultyWire::to(&endpoint(), "GET /", 100, Fault::Answer(status, code)).await;
        let error = stand
            .archive_at(&wire.address)
            .await
            .read_back(&key)
            .await
            .unwrap_err();
        assert_eq!(error.fault_of_object(), None, "{code}: {error}");
    }
}
