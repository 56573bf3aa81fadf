//! Reading back, manifests, listings.

use crate::stand::{BATCH, FORMS, Message, Stand, WHOLE, incompressible, key};
use granary_archive::ArchiveError;
use granary_domain::{
    Compression, Format, Generation, Hour, IdDigest, Manifest, MessageId, MigrationId, WindowId,
};

const PLAIN: (Format, Compression) = (Format::Ndjson, Compression::None);
const PACKED: (Format, Compression) = (Format::Ndjson, Compression::Zstd);

#[tokio::test]
async fn e6_every_byte_of_a_message_comes_back() {
    let stand = Stand::new().await;
    let odd = [
        r#"{"n":9007199254740993,"e":1e400,"n":-0.0,"b":{"n":1,"n":2}}"#,
        r#"{"s":"\ud800\udc00 \ud800 \u0000 \/ \n \\","":"","  ":[ 1 ,2]}"#,
        "{\"raw\":\"\u{2028}\u{7f}\u{1F33E}\"}",
        "{\r\n\t\"pretty\" : [\n1\n]\n}",
    ];
    let messages: Vec<_> = odd
        .iter()
        .map(|body| Message::new(&format!("id \"{}\"", body.len()), *body))
        .collect();
    for form in FORMS {
        let spool = stand.spool(form, &messages);
        assert_eq!(spool.line_breaks_replaced, 5);
        stand
            .archive
            .put(&key(form, 1), BATCH, &spool, WHOLE)
            .await
            .unwrap();
        let mut lines = Vec::new();
        let keep = |id: &_, line: &[u8]| {
            lines.push((MessageId::clone(id), String::from_utf8(line.to_vec()).unwrap()))
        };
        stand
            .archive
            .read_lines(&key(form, 1), keep)
            .await
            .unwrap()
            .unwrap();
        for (message, (id, line)) in messages.iter().zip(&lines) {
            assert_eq!(*id, message.id);
            let expected = format!(
                r#"{{"message_id":{},"index":"messages-1","version":3,"seq_no":5,"primary_term":1,"message":{},"history":[{{"at":1}},{{"at":2}}]}}"#,
                serde_json::to_string(&message.id).unwrap(),
                message.body.replace(['\r', '\n'], " ")
            );
            assert_eq!(*line, expected);
        }
        assert_eq!(lines.len(), messages.len());
    }
}

#[tokio::test]
async fn ids_come_in_the_order_of_the_file() {
    let stand = Stand::new().await;
    let messages = ["b", "a", "c", "a"].map(|id| Message::new(id, "{}"));
    stand
        .archive
        .put(&key(PACKED, 1), BATCH, &stand.spool(PACKED, &messages), WHOLE)
        .await
        .unwrap();
    let mut ids = Vec::new();
    let read = stand
        .archive
        .read_ids(&key(PACKED, 1), |id| ids.push(id.to_string()))
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ids, ["b", "a", "c", "a"]);
    let mut digest = IdDigest::default();
    ids.iter().for_each(|id| digest.add(id.as_bytes()));
    assert_eq!(read.id_digest, digest);
}

#[tokio::test]
async fn e13_a_torn_object_is_corrupt_in_every_form() {
    let stand = Stand::new().await;
    for form in FORMS {
        let spool = stand.spool(form, &incompressible(20, 2000));
        let whole = std::fs::read(spool.path()).unwrap();
        for (generation, length) in (1..).zip([1, whole.len() / 2, whole.len() - 1]) {
            let key = key(form, generation);
            stand.put_foreign(&key, whole[..length].to_vec()).await;
            let error = stand.archive.read_back(&key).await.unwrap_err();
            assert!(
                matches!(error, ArchiveError::Corrupt { .. }),
                "{form:?}, {length} bytes: {error:?}"
            );
        }
    }
}

#[tokio::test]
async fn e13_a_damaged_or_foreign_object_is_corrupt() {
    let stand = Stand::new().await;
    for form in FORMS {
        let spool = stand.spool(form, &incompressible(20, 2000));
        let whole = std::fs::read(spool.path()).unwrap();
        let mut longer = whole.clone();
        longer.extend_from_slice(b"and more\n");
        let mut packed_damage = whole.clone();
        packed_damage[0] ^= 0x55;
        for (generation, bytes) in (1..).zip([longer, packed_damage, b"{\"some\":\"thing\"}\n".to_vec()]) {
            let key = key(form, generation);
            stand.put_foreign(&key, bytes).await;
            let error = stand.archive.read_back(&key).await.unwrap_err();
            assert!(
                matches!(error, ArchiveError::Corrupt { .. }),
                "{form:?}, case {generation}: {error:?}"
            );
            assert!(
                !error.to_string().contains("thing"),
                "an error doesn't quote: {error}"
            );
        }
    }
}

#[tokio::test]
async fn e13_an_object_that_lost_whole_lines_shows_it_by_its_checksum() {
    let stand = Stand::new().await;
    let spool = stand.spool(PLAIN, &[Message::new("a", "{}"), Message::new("b", "{}")]);
    let whole = std::fs::read(spool.path()).unwrap();
    let put = stand
        .client
        .put_object()
        .bucket(&stand.bucket)
        .key(key(PLAIN, 1).as_str());
    let put = put.metadata("sha256", spool.contents.sha256.to_string());
    put.body(whole[..whole.len() / 2].to_vec().into())
        .send()
        .await
        .unwrap();
    let error = stand.archive.read_back(&key(PLAIN, 1)).await.unwrap_err();
    assert!(error.to_string().contains("checksum"), "{error}");
}

#[tokio::test]
async fn what_is_not_there_is_no_error() {
    let stand = Stand::new().await;
    assert_eq!(stand.archive.read_back(&key(PACKED, 1)).await.unwrap(), None);
    assert_eq!(stand.archive.manifest(&key(PACKED, 1)).await.unwrap(), None);
    stand.archive.delete(&key(PACKED, 1)).await.unwrap();
    stand.archive.abort_upload(&key(PACKED, 1), "none").await.unwrap();
}

#[tokio::test]
async fn a_manifest_may_be_written_again() {
    let stand = Stand::new().await;
    let hour = Hour::of("2026-11-22T06:30:00Z".parse().unwrap());
    let key_of_it = stand.archive.layout().manifest(hour, BATCH, Generation(1));
    let mut manifest = Manifest {
        v: 1,
        source: "messages".to_owned(),
        batch_id: BATCH,
        generation: Generation(1),
        migration_id: MigrationId::new(),
        window_id: WindowId(1),
        hour,
        attempt: 1,
        object: Some(key(PACKED, 1)),
        messages: 3,
        exported: 3,
        exceptions: Vec::new(),
        first_id: None,
        last_id: None,
        id_digest: IdDigest::default(),
        metadata: [("history".to_owned(), 3)].into(),
        sha256: None,
        bytes_raw: 1,
        bytes_stored: 1,
    };
    for attempt in [1, 2] {
        manifest.attempt = attempt;
        stand.archive.put_manifest(&key_of_it, &manifest).await.unwrap();
        assert_eq!(
            stand.archive.manifest(&key_of_it).await.unwrap().as_ref(),
            Some(&manifest)
        );
    }
    stand.put_foreign(&key_of_it, b"{\"v\":\"word\"}".to_vec()).await;
    let error = stand.archive.manifest(&key_of_it).await.unwrap_err();
    assert!(
        matches!(error, ArchiveError::Corrupt { .. }) && !error.to_string().contains("word"),
        "{error:?}"
    );
}

#[tokio::test]
async fn a_listing_goes_on_where_it_stopped() {
    let stand = Stand::new().await;
    for generation in 1..=3 {
        stand.put_foreign(&key(PACKED, generation), b"123".to_vec()).await;
    }
    let page = stand.archive.list("dt=2026-11-22/", None).await.unwrap();
    assert_eq!((page.objects.len(), page.next), (3, None));
    assert_eq!(
        (&page.objects[0].key, page.objects[0].bytes),
        (&key(PACKED, 1), 3)
    );
    let rest = stand.archive.list("", Some(&key(PACKED, 2))).await.unwrap();
    assert_eq!(rest.objects, page.objects[2..]);
    assert!(
        stand
            .archive
            .list("dt=2026-11-23/", None)
            .await
            .unwrap()
            .objects
            .is_empty()
    );
    stand.archive.delete(&key(PACKED, 3)).await.unwrap();
    assert_eq!(stand.archive.list("", None).await.unwrap().objects.len(), 2);
}
