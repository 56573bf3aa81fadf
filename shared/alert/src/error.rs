//! What can go wrong with publishing, told by who has to act.

use aws_sdk_sns::error::{ProvideErrorMetadata, SdkError};
use granary_environment::aws::{is_passing, reason};
use std::error::Error;

/// An alert that SNS didn't take. It stays in the ledger as unpublished.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AlertError {
    /// SNS is out of reach, throttling or broken. It passes.
    #[error("SNS is unavailable: {operation} on the topic {topic}: {reason}")]
    Unavailable {
        /// What was tried, by the name of SNS's action.
        operation: &'static str,
        /// The topic's name.
        topic: String,
        /// SNS's own words, or those of the network.
        reason: String,
    },
    /// SNS won't do it until somebody repairs the topic, its ARN or a permission.
    #[error("SNS refused {operation} on the topic {topic}: {reason}")]
    Refused {
        /// What was tried, by the name of SNS's action.
        operation: &'static str,
        /// The topic's name.
        topic: String,
        /// SNS's own words.
        reason: String,
    },
}

impl AlertError {
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
                "It passes by itself. If it lasts, check that the function's network reaches SNS \
                 (a NAT gateway or a VPC endpoint), and AWS's own status."
                    .to_owned()
            }
            Self::Refused { operation, topic, .. } => format!(
                "Check that GRANARY_ALERT_TOPIC_ARN names a topic of this account and region, and that the \
                 function's role may sns:{operation} on {topic}."
            ),
        }
    }

    /// An answer about the topic that lacks an attribute.
    pub(crate) fn without(attribute: &str, topic: &str) -> Self {
        Self::Refused {
            operation: "GetTopicAttributes",
            topic: topic.to_owned(),
            reason: format!("the answer has no number {attribute}"),
        }
    }

    pub(crate) fn new<E>(operation: &'static str, topic: &str, error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let topic = topic.to_owned();
        let reason = reason(error);
        if is_passing(error) {
            Self::Unavailable {
                operation,
                topic,
                reason,
            }
        } else {
            Self::Refused {
                operation,
                topic,
                reason,
            }
        }
    }
}
