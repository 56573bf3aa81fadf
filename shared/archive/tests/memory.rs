//! Memory is bounded, whatever the object. Alone in its binary, since it measures the whole process.

#![allow(clippy::unwrap_used, reason = "a test ends where its ground gives way")]
#![allow(
    clippy::disallowed_methods,
    reason = "a test stands outside the product: it takes no steps"
)]

#[path = "archive/stand.rs"]
#[allow(dead_code, reason = "this test needs a part of it")]
mod stand;

use granary_archive::{PutOutcome, PutSettings, Spool};
use granary_domain::{Compression, Format};
use stand::{BATCH, Stand, incompressible, key};

const MIB: u64 = 1024 * 1024;
const OBJECT_MIB: u64 = 192;
const GROWTH_MIB_MAX: u64 = 48;

#[tokio::test]
async fn e7_an_object_of_any_size_is_spooled_put_and_read_with_flat_memory() {
    let form = (Format::Ndjson, Compression::None);
    let stand = Stand::new().await;
    let messages = incompressible(1, MIB as usize);
    let before = peak_memory_mib();

    let mut spool = Spool::create(stand.temp.path(), form.0, form.1).unwrap();
    (0..OBJECT_MIB).for_each(|_| messages[0].write_to(&mut spool));
    let spool = spool.seal().unwrap();
    let outcome = stand
        .archive
        .put(&key(form, 1), BATCH, &spool, PutSettings::default())
        .await
        .unwrap();
    let read = stand.archive.read_back(&key(form, 1)).await.unwrap();
    let growth = peak_memory_mib() - before;

    assert_eq!(
        (outcome, read),
        (PutOutcome::Written, Some(spool.contents.clone()))
    );
    assert!(
        growth <= GROWTH_MIB_MAX,
        "{growth} MiB for an object of {OBJECT_MIB} MiB"
    );
}

/// The most memory that this process ever had.
fn peak_memory_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024
}
