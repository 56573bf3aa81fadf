//! The hand-off: batch ids on their way from the ledger to the exporter, through SQS.
//!
//! A message is a hint that a batch is due, never the truth about it: the ledger decides who may work. So a message
//! may come twice, late, out of order or for a batch that is long done, and a lost one is sent again. Not
//! responsible for knowing what is due, nor for remembering what was sent: both are the ledger's.
//!
//! The AWS SDK has retried already what comes back as an error. [`HandoffError::is_platforms`] tells what will pass
//! from what somebody has to repair.

mod message;
mod handoff;
mod outbox;
mod probe;
mod emptying;
mod redrive;
mod error;

pub use error::HandoffError;
pub use handoff::{Depth, Handoff, Lane, Outgoing, QueueDepth, QueueUrls, Receipt, Sent};
pub use message::{HandOffMessage, Message, UnreadableMessage};
pub use outbox::{Sending, send, send_some, send_unsent};
pub use probe::ProbesSent;
pub use redrive::{MoveStart, MoveTask, Moved};
