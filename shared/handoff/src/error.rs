//! What can go wrong with a queue, told by who has to act.

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};
use granary_environment::aws::{is_passing, reason};
use std::error::Error;

/// A request that SQS didn't carry out. Queues are told by name, not by address.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HandoffError {
    /// SQS is out of reach, throttling or broken. It passes; nothing is lost, since the ledger knows what is unsent.
    #[error("SQS is unavailable: {operation} on the queue {queue}: {reason}")]
    Unavailable {
        /// What was tried, by the name of SQS's action.
        operation: &'static str,
        /// The queue's name.
        queue: String,
        /// SQS's own words, or those of the network.
        reason: String,
    },
    /// SQS won't do it until somebody repairs the queue, its address or a permission.
    #[error("SQS refused {operation} on the queue {queue}: {reason}")]
    Refused {
        /// What was tried, by the name of SQS's action.
        operation: &'static str,
        /// The queue's name.
        queue: String,
        /// SQS's own words.
        reason: String,
    },
}

impl HandoffError {
    /// Whether it passes without anybody's doing.
    pub fn is_platforms(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Refused { .. } => false,
        }
    }

    /// What a person can do about it.
    pub fn remedy(&self) -> String {
        match self {
            Self::Unavailable { .. } => {
                "It passes by itself. If it lasts, check that the function's network reaches SQS \
                 (a NAT gateway or a VPC endpoint), and AWS's own status."
                    .to_owned()
            }
            Self::Refused { operation, queue, .. } => format!(
                "Check that GRANARY_QUEUE_URL and GRANARY_PRIORITY_QUEUE_URL name queues of this account and region, \
                 and that the function's role may sqs:{operation} on {queue}."
            ),
        }
    }

    pub(crate) fn new<E>(operation: &'static str, queue: &str, error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let queue = queue.to_owned();
        let reason = reason(error);
        if is_passing(error) || error.code() == Some("OverLimit") {
            Self::Unavailable {
                operation,
                queue,
                reason,
            }
        } else {
            Self::Refused {
                operation,
                queue,
                reason,
            }
        }
    }
}
