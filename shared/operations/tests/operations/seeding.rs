//! Seeding: the same arguments make the same documents, and only where it is allowed.

use crate::stand::{Stand, arguments, base};
use granary_domain::{Hour, TimeRange};
use granary_environment::Environment;
use granary_seeding::{SeedError, SeedStep, SeedingSection};
use std::time::{Duration, Instant};

#[tokio::test]
async fn seeding_twice_writes_the_same_documents() {
    let stand = Stand::new().await;
    stand.seed(&arguments(300, 6)).await;
    let first = stand.seeder.stats().await.unwrap();
    stand.seed(&arguments(300, 6)).await;
    assert_eq!(stand.seeder.stats().await.unwrap(), first);
    let count = |suffix| first.documents[&stand.name(suffix)];
    assert_eq!((count("messages"), count("status")), (300, 300));
    assert!((600..=900).contains(&count("history")) && (300..=600).contains(&count("processing")));
    let (earliest, latest) = stand.source.bounds(TimeRange::EVER, None).await.unwrap().unwrap();
    assert!(latest < base());
    assert_eq!(
        Hour::of(earliest).start(),
        "2026-03-01T06:00:00Z".parse().unwrap()
    );
}

#[tokio::test]
async fn the_stats_tell_what_became_of_the_messages() {
    let (stand, _) = Stand::with_exported(20, 1).await;
    stand.seed(&arguments(25, 1)).await;
    stand.harvest(None).await;
    let ledger = stand.seeder.stats().await.unwrap().ledger;
    assert_eq!((ledger["completed"], ledger["pending"]), (20, 5));
}

#[tokio::test]
async fn what_is_seeded_by_default_is_harvested_at_once_under_a_new_seed_number() {
    let stand = Stand::new().await;
    let before = stand.ledger.now().await.unwrap();
    let arguments = stand.seeder.arguments(10, None, None).await.unwrap();
    let after = stand.ledger.now().await.unwrap();
    assert!(arguments.base < before);
    assert_eq!((arguments.count, arguments.hours), (10, 6));
    let millis = before.as_millisecond() as u64..=after.as_millisecond() as u64;
    assert!(millis.contains(&arguments.seed), "{}", arguments.seed);
    for count in [0, 10_000_001] {
        let error = stand.seeder.arguments(count, None, None).await.unwrap_err();
        assert!(matches!(error, SeedError::OutOfRange { .. }), "{error}");
    }
}

/// A guard against a slip of an order of magnitude, not a benchmark.
#[tokio::test]
async fn ten_thousand_messages_take_seconds() {
    let stand = Stand::new().await;
    let began = Instant::now();
    let mut progress = None;
    while let SeedStep::More(more) = stand
        .seeder
        .seed_step(&arguments(10_000, 6), progress)
        .await
        .unwrap()
    {
        progress = Some(more);
    }
    let took = began.elapsed();
    assert!(took < Duration::from_secs(60), "{took:?}");
    let documents = stand.seeder.stats().await.unwrap().documents;
    assert_eq!(documents[&stand.name("messages")], 10_000);
    eprintln!("{} documents in {took:?}", documents.values().sum::<u64>());
}

#[tokio::test]
async fn s1_seeding_is_off_unless_allowed_and_refused_in_production() {
    let aws = granary_environment::aws::sdk_config().await;
    let url = ("GRANARY_SEED_ES_URL", "http://localhost:9200");
    let mut silent = Environment::from_variables([url]);
    assert!(matches!(SeedingSection::read(&mut silent, &aws).await, Ok(None)));
    let allowed = ("GRANARY_ALLOW_SEEDING", "true");
    for variables in [
        vec![allowed, url, ("GRANARY_ENVIRONMENT", "production")],
        vec![allowed],
    ] {
        let mut env = Environment::from_variables(variables);
        let section = SeedingSection::read(&mut env, &aws).await;
        let problems = env.finish(|| section).unwrap_err().to_string();
        assert!(problems.contains("GRANARY_"), "{problems}");
    }
}
