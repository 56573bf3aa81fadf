//! Raw bytes of messages that can't be exported.

use crate::stand::{BATCH, Stand};
use bytes::Bytes;
use granary_archive::{Kept, QUARANTINE_BYTES_MAX};
use granary_domain::{Hour, MessageId, ObjectKey};

fn key(stand: &Stand) -> ObjectKey {
    let hour = Hour::of("2026-11-22T06:00:00Z".parse().unwrap());
    let message = MessageId::try_from("no json".to_owned()).unwrap();
    stand.archive.layout().quarantine(hour, BATCH, &message)
}

#[tokio::test]
async fn e8_raw_bytes_are_kept_as_they_came_and_the_newest_replace_the_others() {
    let stand = Stand::new().await;
    let key = key(&stand);
    for raw in [&b"{/* */}"[..], b"\xff\x00\xed\xa0\x80", b""] {
        let kept = stand
            .archive
            .quarantine(&key, BATCH, Bytes::from_static(raw))
            .await
            .unwrap();
        assert_eq!(kept, Kept::Whole);
        let object = stand.client.get_object().bucket(&stand.bucket).key(key.as_str());
        let object = object.send().await.unwrap();
        assert_eq!(object.metadata.as_ref().unwrap()["batch-id"], "7");
        assert_eq!(object.body.collect().await.unwrap().to_vec(), raw);
    }
}

#[tokio::test]
async fn e7_raw_bytes_beyond_the_limit_are_not_kept() {
    let stand = Stand::new().await;
    let key = key(&stand);
    let raw = Bytes::from(vec![0; QUARANTINE_BYTES_MAX as usize + 1]);
    let kept = stand.archive.quarantine(&key, BATCH, raw).await.unwrap();
    assert_eq!(kept, Kept::TooLarge);
    let page = stand.archive.list("_quarantine/", None).await.unwrap();
    assert_eq!(page.objects, []);
}
