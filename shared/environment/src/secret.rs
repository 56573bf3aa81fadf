//! Secrets: from Secrets Manager by ARN or, on one machine, from the variable itself.
//!
//! A secret that can't be fetched is a problem on the list like any other. Its value is shown nowhere.

use crate::aws::RetryClockAndToken;
use crate::environment::{Environment, Reading, Variable};
use crate::invalid::Found;
use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::config::Builder;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use secrecy::SecretString;
use std::error::Error;
use std::fmt::Debug;

/// A setting that is secret as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SecretVariable {
    /// The secret itself, as in `GRANARY_API_TOKEN`. Completes the sentence "Set it to …".
    pub plain: Variable,
    /// The ARN of the secret that holds it, as in `GRANARY_API_TOKEN_SECRET_ARN`.
    pub arn: Variable,
}

impl Environment {
    /// A secret that must be there, in one of its two forms.
    pub async fn secret(&mut self, variable: SecretVariable, aws: &SdkConfig) -> Reading<SecretString> {
        match self.optional_secret(variable, aws).await? {
            Some(secret) => Ok(secret),
            None => Err(self.reject(variable.plain, Found::Nothing)),
        }
    }

    /// A secret that may be absent. Where both forms are set, neither is taken for the truth.
    pub async fn optional_secret(
        &mut self,
        variable: SecretVariable,
        aws: &SdkConfig,
    ) -> Reading<Option<SecretString>> {
        match self.kept(variable, aws).await? {
            None => Ok(None),
            Some(Kept::Plain(text)) => Ok(Some(text)),
            Some(Kept::Fetched(secret)) => Ok(Some(secret.text)),
        }
    }

    /// The same, with how it is read again.
    pub(crate) async fn kept(&mut self, variable: SecretVariable, aws: &SdkConfig) -> Reading<Option<Kept>> {
        let plain = self.text(variable.plain.name);
        let fetched = self.fetched(variable.arn, aws).await?;
        match (plain, fetched) {
            (Some(_), Some(_)) => {
                let why = format!("{} is set too; leave one of the two out", variable.arn.name);
                Err(self.refuse(variable.plain, why))
            }
            (Some(plain), None) => Ok(Some(Kept::Plain(plain.into()))),
            (None, fetched) => Ok(fetched.map(Kept::Fetched)),
        }
    }

    /// The secret that a variable names by ARN, if the variable is set.
    pub(crate) async fn fetched(&mut self, arn: Variable, aws: &SdkConfig) -> Reading<Option<Fetched>> {
        let Some(text) = self.text(arn.name) else {
            return Ok(None);
        };
        let reader = SecretReader::new(arn, text.clone(), aws);
        match reader.read(Stage::Current).await {
            Ok(text) => Ok(Some(Fetched { reader, text })),
            Err(why) => Err(self.reject(arn, Found::Text { text, why: Some(why) })),
        }
    }
}

/// Where a secret is kept.
pub(crate) enum Kept {
    /// In the environment itself.
    Plain(SecretString),
    /// In Secrets Manager.
    Fetched(Fetched),
}

/// A secret as it was read, and how it is read again.
pub(crate) struct Fetched {
    pub(crate) reader: SecretReader,
    pub(crate) text: SecretString,
}

/// Which version of a secret, by the labels that a rotation moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    /// The newest that a rotation has finished.
    Current,
    /// The one before it.
    Previous,
}

impl Stage {
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Current => "AWSCURRENT",
            Self::Previous => "AWSPREVIOUS",
        }
    }
}

/// One secret in Secrets Manager.
#[derive(Debug, Clone)]
pub(crate) struct SecretReader {
    client: Client,
    arn: String,
    /// The setting that names it.
    pub(crate) setting: &'static str,
}

impl SecretReader {
    pub(crate) fn new(variable: Variable, arn: String, aws: &SdkConfig) -> Self {
        let signing_again = Builder::from(aws).retry_classifier(RetryClockAndToken).build();
        Self {
            client: Client::from_conf(signing_again),
            arn,
            setting: variable.name,
        }
    }

    /// The text of the secret, or why it can't be had.
    pub(crate) async fn read(&self, stage: Stage) -> Result<SecretString, String> {
        let get = self.client.get_secret_value().secret_id(&self.arn);
        // Boxed: what waits for a connection to the ledger would have the layout of a whole AWS client in its own.
        let answer = Box::pin(get.version_stage(stage.label()).send())
            .await
            .map_err(|error| reason(&error))?;
        match answer.secret_string {
            Some(text) if !text.is_empty() => Ok(SecretString::from(text)),
            Some(_) | None => Err("the secret is empty or binary; it must be text".to_owned()),
        }
    }
}

/// Secrets Manager has one code for a secret and for its key that a role may not use: "Access to KMS is not allowed".
fn is_about_kms(message: &str) -> bool {
    message.contains("Access to KMS") || message.contains("perform: kms:")
}

/// Why a secret could not be fetched, with what to do where that is known.
fn reason<E: ProvideErrorMetadata + Error + 'static, R: Debug>(error: &SdkError<E, R>) -> String {
    match error.code() {
        Some("AccessDeniedException") if error.message().is_some_and(is_about_kms) => {
            "access to its KMS key denied; the parameter SecretsKmsKeyArn names the key, and the key's policy has to allow \
             kms:Decrypt to the function's role"
                .to_owned()
        }
        Some("AccessDeniedException") => {
            "access denied; the function's role needs secretsmanager:GetSecretValue on it".to_owned()
        }
        Some("DecryptionFailure") => {
            "its KMS key does not decrypt it; enable the key, or give the secret another one".to_owned()
        }
        Some("ResourceNotFoundException") => "there is no such secret in this account and region".to_owned(),
        Some(code) => format!("{code}: {}", error.message().unwrap_or("no message")),
        None => {
            let mut text = format!("Secrets Manager gave no answer: {error}");
            let mut source = error.source();
            while let Some(inner) = source {
                text.push_str(&format!(": {inner}"));
                source = inner.source();
            }
            text
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_secretsmanager::error::ErrorMetadata;
    use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;

    fn refused(code: &str, message: &str) -> String {
        let metadata = ErrorMetadata::builder().code(code).message(message).build();
        reason(&SdkError::service_error(
            GetSecretValueError::generic(metadata),
            "the answer",
        ))
    }

    #[test]
    fn a_key_that_refuses_is_told_from_a_secret_that_may_not_be_read() {
        for (message, permission) in [
            ("Access to KMS is not allowed", "kms:Decrypt"),
            (
                "User: arn:aws:sts::123456789012:assumed-role/reaper is not authorized to perform: kms:Decrypt on this resource",
                "kms:Decrypt",
            ),
            (
                "User: arn:aws:sts::123456789012:assumed-role/reaper is not authorized to perform: \
                 secretsmanager:GetSecretValue on resource: granary/ledger",
                "secretsmanager:GetSecretValue",
            ),
        ] {
            let told = refused("AccessDeniedException", message);
            assert!(told.contains(permission), "{message}: {told}");
        }
        let told = refused(
            "DecryptionFailure",
            "Secrets Manager can't decrypt the protected secret text.",
        );
        assert!(told.contains("enable the key"), "{told}");
    }
}
