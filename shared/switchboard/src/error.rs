//! What can go wrong with a switch, told by who has to act.

use aws_sdk_scheduler::error::{ProvideErrorMetadata, SdkError};
use granary_environment::aws::{is_passing, reason};
use std::error::Error;

/// A switch that wasn't read or set.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SwitchError {
    /// The service is out of reach, throttling or broken. It passes.
    #[error("{service} is unavailable: {operation} of {subject}: {reason}")]
    Unavailable {
        /// `EventBridge Scheduler`, `Lambda`.
        service: &'static str,
        /// What was tried, by the name of the service's action.
        operation: &'static str,
        /// The schedule's name, or the consumer's id.
        subject: String,
        /// The service's own words, or those of the network.
        reason: String,
    },
    /// Somebody switches it at this moment. It passes within a minute.
    #[error("the consumer {subject} is being changed already")]
    BeingChanged {
        /// The consumer's id.
        subject: String,
    },
    /// The service won't do it until somebody repairs a name or a permission.
    #[error("{service} refused {operation} of {subject}: {reason}")]
    Refused {
        /// `EventBridge Scheduler`, `Lambda`.
        service: &'static str,
        /// What was tried, by the name of the service's action.
        operation: &'static str,
        /// The schedule's name, or the consumer's id.
        subject: String,
        /// The service's own words.
        reason: String,
    },
}

/// What is asked of a service.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Request<'a> {
    pub(crate) service: &'static str,
    pub(crate) operation: &'static str,
    pub(crate) subject: &'a str,
}

impl SwitchError {
    /// Whether it passes without anybody's doing.
    pub fn is_platforms(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::BeingChanged { .. } => true,
            Self::Refused { .. } => false,
        }
    }

    /// What a person can do about it.
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Unavailable { .. } => {
                "It passes by itself. If it lasts, check that the operator's network reaches the service (a NAT gateway or \
                 a VPC endpoint), and AWS's own status."
            }
            Self::BeingChanged { .. } => "Ask again in some seconds: AWS takes up to a minute to switch.",
            Self::Refused { .. } => {
                "Check that GRANARY_HARVESTER_SCHEDULE, GRANARY_REAPER_SCHEDULE, GRANARY_EXPORTER_FUNCTION and GRANARY_MIGRATOR_FUNCTION name what is deployed in this account and region, and that the operator's role \
                 may do what was refused."
            }
        }
    }

    pub(crate) fn new<E>(request: Request<'_>, error: &SdkError<E>) -> Self
    where
        E: ProvideErrorMetadata + Error + 'static,
    {
        let Request {
            service,
            operation,
            subject,
        } = request;
        let (subject, reason) = (subject.to_owned(), reason(error));
        if error.code() == Some("ResourceInUseException") {
            Self::BeingChanged { subject }
        } else if is_passing(error) || error.code().is_some_and(may_be_asked_again) {
            Self::Unavailable {
                service,
                operation,
                subject,
                reason,
            }
        } else {
            Self::Refused {
                service,
                operation,
                subject,
                reason,
            }
        }
    }
}

/// Two who change one thing at once, or too often: the later one may ask again.
fn may_be_asked_again(code: &str) -> bool {
    matches!(
        code,
        "ConflictException" | "ResourceConflictException" | "TooManyRequestsException"
    )
}
