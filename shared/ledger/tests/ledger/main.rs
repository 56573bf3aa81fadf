//! What the ledger promises, on a real MySQL or MariaDB: `LEDGER_URL` names a server and a user that may create
//! databases named `granary…`. Every test has a database of its own and drops it. Time passes by SQL, never by sleeping.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test may fail by panicking")]

mod stage;
mod reserved_words;
mod schema;
mod view;
mod window;
mod rescan;
mod over;
mod left_out;
mod rescan_and_cancel;
mod record;
mod faults;
mod forwarder;
mod limits;
mod outbox;
mod waiting;
mod probe;
mod purged_queue;
mod workers;
mod pace;
mod claim;
mod settle;
mod split;
mod suspect;
mod reap;
mod turn;
mod deferral;
mod transitions;
mod cancel;
mod progress;
mod jobs;
mod closing;
mod trace;
mod failures;
mod overview;
mod lag;
mod timeline;
mod proof;
mod evidence;
mod parts;
mod repair;
mod rebuild;
mod re_export;
mod recall;
mod unowned;
mod invariants;
mod operation;
mod alert;
mod lists;
mod tune;
mod identity;
mod accepted;
mod audit;
mod retention;
mod seeded;
mod history;
mod purge;
#[path = "../synthetic/mod.rs"]
mod synthetic;
mod plans;
#[path = "../../../../tests/stage/certificates.rs"]
mod certificates;
mod tls;
