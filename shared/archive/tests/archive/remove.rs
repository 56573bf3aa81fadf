//! Looking from outside, and removing what is still what it was.

use crate::stand::{BATCH, Form, Message, Stand, WHOLE, key};
use granary_archive::{Removal, StoredObject};
use granary_domain::{Compression, Format};

const PACKED: Form = (Format::Ndjson, Compression::Zstd);

async fn listed(stand: &Stand) -> Vec<StoredObject> {
    stand.archive.list("", None).await.unwrap().objects
}

#[tokio::test]
async fn an_object_is_seen_from_outside_with_what_its_writer_noted() {
    let stand = Stand::new().await;
    assert_eq!(stand.archive.look_at(&key(PACKED, 1)).await.unwrap(), None);
    let spool = stand.spool(PACKED, &[Message::new("m", "{}")]);
    stand
        .archive
        .put(&key(PACKED, 1), BATCH, &spool, WHOLE)
        .await
        .unwrap();
    let seen = stand.archive.look_at(&key(PACKED, 1)).await.unwrap().unwrap();
    assert_eq!(seen.bytes, spool.contents.bytes_stored);
    assert_eq!(seen.sha256_noted, Some(spool.contents.sha256.to_string()));

    stand.put_foreign(&key(PACKED, 2), b"foreign".to_vec()).await;
    let seen = stand.archive.look_at(&key(PACKED, 2)).await.unwrap().unwrap();
    assert_eq!((seen.bytes, seen.sha256_noted), (7, None));
}

#[tokio::test]
async fn e12_what_was_put_at_a_key_after_it_was_listed_is_not_removed() {
    let stand = Stand::new().await;
    stand.put_foreign(&key(PACKED, 1), b"garbage".to_vec()).await;
    let before = listed(&stand).await.remove(0);
    stand.put_foreign(&key(PACKED, 1), b"another".to_vec()).await;
    assert_eq!(
        stand.archive.remove_unchanged(&before).await.unwrap(),
        Removal::Changed
    );
    let now = listed(&stand).await.remove(0);
    assert_ne!(now.etag, before.etag);

    assert_eq!(stand.archive.remove_unchanged(&now).await.unwrap(), Removal::Done);
    assert_eq!(listed(&stand).await, []);
    assert_eq!(
        stand.archive.remove_unchanged(&now).await.unwrap(),
        Removal::WasGone
    );
    let untold = StoredObject { etag: None, ..now };
    assert_eq!(
        stand.archive.remove_unchanged(&untold).await.unwrap(),
        Removal::Changed
    );
}
