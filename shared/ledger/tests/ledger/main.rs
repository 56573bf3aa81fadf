//! What the ledger promises, on a real MySQL or MariaDB: `LEDGER_URL` names a server and a user that may create
//! databases named `granary…`. Every test has a database of its own and drops it. Time passes by SQL, never by sleeping.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

mod stage;
mod reserved_words;
mod forwarder;
mod db;
mod harvest;
mod handoff;
mod export;
mod integrity;
mod jobs;
mod settings;
mod reports;
mod test_data;
#[path = "../synthetic/mod.rs"]
mod synthetic;
mod plans;
mod large;
#[path = "../../../../tests/stage/certificates.rs"]
mod certificates;
