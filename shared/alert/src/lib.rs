//! Publishing alerts to people, through SNS.
//!
//! An alert is a row of the ledger before it is published here, so a topic that is down loses none: the reaper
//! publishes the row again until SNS took it. People may therefore read one twice, and tell it by its number. Not
//! responsible for deciding what is worth an alert, nor for remembering what was published.

mod message;
mod publisher;
mod error;

pub use error::AlertError;
pub use message::{Alert, Message, Sender};
pub use publisher::{Publisher, Subscriptions};
