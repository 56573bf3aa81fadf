//! Reports: what people and metrics read of batches, workers, pace and failures. Nothing is decided by them.
//!
//! Not here: reports about one journey's own rows, such as lateness (`harvest`) or proof (`integrity`).

mod progress;
mod batches;
mod workers;
mod pace;
mod range_pace;
mod measure;
mod trace;
mod failures;
mod overview;
mod first_page;
mod timeline;

pub use batches::{AttemptRow, BatchFilter, BatchRow, ObjectOfBatch, Parked};
pub use failures::{Counted, ExceptionGroup, ExceptionSample, FailedGroup, FailureSample};
pub use first_page::FirstPage;
pub use measure::MeasuredExport;
pub use overview::{OldestOpen, Settled, Throughput, ThroughputBucket};
pub use pace::{OldestUnsent, SettledMinute};
pub use progress::{ParkedCount, Progress, StatusCount};
pub use range_pace::RangePace;
pub use timeline::{BatchesOfWindow, LeftOutOfWindow, TimelineFilter, WindowOnTimeline};
pub use trace::{MessageRow, ReplacedExport, WindowOfMigration};
pub use workers::{AttemptCounter, AttemptInFlight, InFlight, PausedStage};
