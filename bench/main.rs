//! The benchmark (`make bench`): how fast Granary harvests and exports, against what Elasticsearch itself can give.
//!
//! All contestants read the same index of the same Elasticsearch and write to the same S3 endpoint, one after the other, round
//! after round. A ratio is formed within a round, a result is the median of all rounds, and the first round is a warm-up that
//! isn't counted. `docs/performance.md` describes the method.
//!
//! Correctness is proven by the tests, not here. A contestant that reads or archives another number of messages than the index
//! has ends the benchmark, and so does an error of a service.

#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a benchmark may fail by panicking"
)]
#![expect(
    clippy::disallowed_methods,
    reason = "a benchmark stands outside the product: it takes no steps"
)]
#![expect(clippy::print_stdout, reason = "the results are what people run it for")]
#![expect(
    dead_code,
    unused_imports,
    reason = "the stage has more verbs than a benchmark needs"
)]

#[path = "../tests/stage/mod.rs"]
mod stage;
mod settings;
mod dataset;
mod elasticsearch;
mod processes;
mod counters;
mod meter;
mod run;
mod bench;
mod contestants;
mod rounds;
mod summary;
mod results;
mod table;
mod report;

use bench::Bench;
use report::Report;
use settings::Settings;
use std::time::Instant;

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn main() {
    if cfg!(debug_assertions) {
        panic!("a debug build measures nothing: run `make bench`");
    }
    let begun = Instant::now();
    let bench = Bench::open(Settings::from_environment()).await;
    let rounds = rounds::run(&bench, begun).await;
    let report = Report::new(&bench, rounds, begun.elapsed()).await;
    bench.close().await;
    report.write();
    report.print();
}
