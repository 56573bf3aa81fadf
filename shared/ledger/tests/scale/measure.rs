//! How long things take: medians of twenty, after some to warm up.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

const ROUNDS: usize = 20;
/// As many as there are hours that a measure goes round.
pub(crate) const WARM_UPS: u64 = 5;
const HOT_MILLIS_MAX: u128 = 100;

#[derive(Default)]
pub(crate) struct Measures {
    hot: Vec<(&'static str, Vec<Duration>)>,
    reported: BTreeMap<&'static str, Vec<Duration>>,
}

impl Measures {
    /// What has to be fast.
    pub(crate) async fn of<T, Fut: Future<Output = T>>(
        &mut self,
        name: &'static str,
        work: impl Fn() -> Fut,
    ) {
        self.of_prepared(name, &async || {}, work).await;
    }

    /// The same, where each time needs something to be there first, which isn't measured.
    pub(crate) async fn of_prepared<T, Fut: Future<Output = T>>(
        &mut self,
        name: &'static str,
        prepare: &impl AsyncFn(),
        work: impl Fn() -> Fut,
    ) {
        for _ in 0..WARM_UPS {
            prepare().await;
            work().await;
        }
        let mut times = Vec::with_capacity(ROUNDS);
        for _ in 0..ROUNDS {
            prepare().await;
            let began = Instant::now();
            work().await;
            times.push(began.elapsed());
        }
        self.hot.push((name, times));
    }

    /// What is worth knowing.
    pub(crate) fn report(&mut self, name: &'static str, took: Duration) {
        self.reported.entry(name).or_default().push(took);
    }

    /// Prints the table, and fails where something hot is too slow.
    pub(crate) fn conclude(mut self) {
        let mut slow = Vec::new();
        println!("{:<42} {:>10} {:>10}", "", "median ms", "worst ms");
        for (name, times) in &mut self.hot {
            times.sort_unstable();
            let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
            println!("{name:<42} {:>10.1} {:>10.1}", millis(median), millis(worst));
            if median.as_millis() >= HOT_MILLIS_MAX {
                slow.push(*name);
            }
        }
        println!("not bounded:");
        for (name, times) in &mut self.reported {
            times.sort_unstable();
            let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
            println!("{name:<42} {:>10.1} {:>10.1}", millis(median), millis(worst));
        }
        assert!(slow.is_empty(), "slower than {HOT_MILLIS_MAX} ms: {slow:?}");
    }
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1_000.0
}
