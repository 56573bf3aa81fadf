//! Refusals, by what they concern: everything (the bucket, its region, the credentials), or one object.
//!
//! A job over many objects ends where everything is refused: a person has to correct the deployment first. Where one
//! object is refused, or isn't whole, the job names it and continues. Which of the two a code means is decided here; an
//! outage is neither ([`ArchiveError::Unavailable`]).

use crate::error::ArchiveError;
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_s3::operation::get_object::GetObjectError;
use granary_domain::ObjectKey;
use std::any::Any;
use std::fmt;

/// Why S3 refuses one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// S3's error code, or the HTTP status where it gave none.
    pub code: String,
    /// Where S3 named it: `GLACIER`.
    pub storage_class: Option<String>,
    /// What a person can do.
    pub remedy: &'static str,
}

/// What is wrong with one object; the text is for people and contains no message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ObjectFault {
    /// It is no whole object of ours.
    Corrupt(String),
    /// A permission or a policy refuses it.
    Denied(String),
    /// Nobody can read it as it is: cold storage, a disabled key.
    Locked(String),
}

impl ObjectFault {
    /// The text.
    pub fn into_reason(self) -> String {
        match self {
            Self::Corrupt(reason) | Self::Denied(reason) | Self::Locked(reason) => reason,
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.code)?;
        if let Some(class) = &self.storage_class {
            write!(f, ", storage class {class}")?;
        }
        write!(f, ": {}", self.remedy)
    }
}

impl ArchiveError {
    /// What is wrong, where it concerns one object and work on others can continue. `None`: an outage, or a refusal that
    /// concerns everything.
    pub fn fault_of_object(&self) -> Option<ObjectFault> {
        match self {
            Self::Corrupt { reason, .. } => Some(ObjectFault::Corrupt(reason.clone())),
            Self::ObjectRefused { refusal, .. } => {
                let reason = refusal.to_string();
                let is_denied = matches!(refusal.code.as_str(), "AccessDenied" | "401" | "403");
                Some(if is_denied {
                    ObjectFault::Denied(reason)
                } else {
                    ObjectFault::Locked(reason)
                })
            }
            Self::Unavailable { .. } | Self::Refused { .. } | Self::Spool(_) => None,
        }
    }

    /// Sorts an error of a request that names an object.
    pub(crate) fn of_object<E>(operation: &'static str, key: &ObjectKey, error: SdkError<E>) -> Self
    where
        E: std::error::Error + ProvideErrorMetadata + Send + Sync + 'static,
    {
        let storage_class = storage_class_of(&error);
        match Self::of(operation, key.as_str(), error) {
            Self::Refused {
                operation,
                code,
                remedy,
                source,
                ..
            } if !concerns_everything(&code) => Self::ObjectRefused {
                operation,
                key: key.clone(),
                refusal: Refusal {
                    code,
                    storage_class,
                    remedy,
                },
                source,
            },
            other @ (Self::Unavailable { .. }
            | Self::Refused { .. }
            | Self::ObjectRefused { .. }
            | Self::Corrupt { .. }
            | Self::Spool(_)) => other,
        }
    }
}

/// S3 names it where a GET meets cold storage.
fn storage_class_of<E: 'static>(error: &SdkError<E>) -> Option<String> {
    let error: &dyn Any = error.as_service_error()?;
    let GetObjectError::InvalidObjectState(state) = error.downcast_ref()? else {
        return None;
    };
    state.storage_class.as_ref().map(ToString::to_string)
}

/// Codes about the bucket, its region, the credentials, the clock, the account or the request itself.
fn concerns_everything(code: &str) -> bool {
    const ABOUT_EVERYTHING: [&str; 19] = [
        "NoSuchBucket",
        "PermanentRedirect",
        "TemporaryRedirect",
        "301",
        "AuthorizationHeaderMalformed",
        "InvalidAccessKeyId",
        "SignatureDoesNotMatch",
        "InvalidSignatureException",
        "InvalidSecurity",
        "InvalidToken",
        "ExpiredToken",
        "TokenRefreshRequired",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "InvalidClientTokenId",
        "AllAccessDisabled",
        "AccountProblem",
        "NotSignedUp",
        NO_ANSWER,
    ];
    ABOUT_EVERYTHING.contains(&code)
}

/// The code of a request that was never sent.
pub(crate) const NO_ANSWER: &str = "no answer";

pub(crate) fn remedy_for(status: Option<u16>, code: &str) -> &'static str {
    match (code, status) {
        ("NoSuchBucket", _) | ("NotFound" | "404", Some(404)) => {
            "create the bucket, or correct GRANARY_BUCKET"
        }
        ("PermanentRedirect" | "AuthorizationHeaderMalformed", _) | (_, Some(301)) => {
            "the bucket is in another region: set AWS_REGION to the bucket's"
        }
        ("BadDigest" | "InvalidDigest" | "XAmzContentChecksumMismatch", _) => {
            "the bytes changed on their way; try again"
        }
        ("InvalidObjectState", _) => {
            "the object is in cold storage: restore it (s3:RestoreObject) or move it to a class that can be read at once"
        }
        (code, _) if code.starts_with("KMS.") => {
            "enable the KMS key that encrypts the object, or allow the role kms:GenerateDataKey and kms:Decrypt on it"
        }
        (_, Some(401 | 403)) => {
            "allow the role s3:GetObject, s3:PutObject, s3:DeleteObject and s3:AbortMultipartUpload on the prefix, \
             s3:ListBucket and s3:ListBucketMultipartUploads on the bucket"
        }
        (_, None) => "the request could not be built: check the region and the credentials",
        _ => "look the code up among the error codes of the S3 API",
    }
}
