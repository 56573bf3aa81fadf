mod workers;
mod pace;
mod progress;
mod batches;
mod trace;
mod failures;
mod overview;
mod timeline;
