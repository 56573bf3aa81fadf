//! A bearer token that is read again every minute, so that one that was replaced ends within a minute.
//!
//! Where Secrets Manager can't be asked, the last known token holds for ten more minutes; after that it is refused.

use crate::address::SecretFields;
use crate::environment::{Environment, Reading};
use crate::secret::{Fetched, Kept, SecretReader, SecretVariable, Stage};
use aws_config::SdkConfig;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

const READ_AGAIN_AFTER: Duration = Duration::from_secs(60);
const KNOWN_FOR_MAX: Duration = Duration::from_secs(600);
/// A request waits for it.
const READING_SECS_MAX: u64 = 5;

/// A bearer token.
pub struct Token {
    kept: TokenKept,
}

enum TokenKept {
    /// In the environment itself.
    Plain(SecretString),
    InSecret {
        reader: SecretReader,
        known: Mutex<Known>,
    },
}

struct Known {
    token: SecretString,
    /// When it was read for the last time.
    read_at: Instant,
    /// When reading it was tried for the last time.
    tried_at: Instant,
}

impl Token {
    /// The token of a setting, if it is set.
    pub async fn read(
        env: &mut Environment,
        setting: SecretVariable,
        aws: &SdkConfig,
    ) -> Reading<Option<Self>> {
        let kept = match env.kept(setting, aws).await? {
            None => return Ok(None),
            Some(Kept::Plain(text)) => {
                TokenKept::Plain(token_of(&text).map_err(|why| env.refuse(setting.plain, why))?)
            }
            Some(Kept::Fetched(Fetched { reader, text })) => {
                let token = token_of(&text).map_err(|why| env.refuse(setting.arn, why))?;
                let now = Instant::now();
                let known = Mutex::new(Known {
                    token,
                    read_at: now,
                    tried_at: now,
                });
                TokenKept::InSecret { reader, known }
            }
        };
        Ok(Some(Self { kept }))
    }

    /// The token that holds now. `None`: it could not be read for so long that it is refused.
    pub async fn now(&self) -> Option<SecretString> {
        self.at(Instant::now()).await
    }

    /// Requests that come while it is read wait for that.
    async fn at(&self, now: Instant) -> Option<SecretString> {
        let (reader, known) = match &self.kept {
            TokenKept::Plain(token) => return Some(token.clone()),
            TokenKept::InSecret { reader, known } => (reader, known),
        };
        let mut known = known.lock().await;
        if now.saturating_duration_since(known.tried_at) >= READ_AGAIN_AFTER {
            known.tried_at = now;
            match read(reader).await {
                Ok(token) => {
                    known.token = token;
                    known.read_at = now;
                }
                Err(why) => {
                    tracing::warn!(setting = reader.setting, "the token can't be read again: {why}");
                }
            }
        }
        (now.saturating_duration_since(known.read_at) < KNOWN_FOR_MAX).then(|| known.token.clone())
    }
}

async fn read(reader: &SecretReader) -> Result<SecretString, String> {
    let limit = Duration::from_secs(READING_SECS_MAX);
    let read = tokio::time::timeout(limit, reader.read(Stage::Current)).await;
    let text = read.unwrap_or_else(|_| Err(format!("no answer within {READING_SECS_MAX} s")))?;
    token_of(&text)
}

/// The text itself or, as the console of AWS makes it, the field `token` of a JSON object.
fn token_of(secret: &SecretString) -> Result<SecretString, String> {
    let text = match SecretFields::of(secret) {
        Some(fields) => fields.text("token").map(str::to_owned),
        None => Some(secret.expose_secret().to_owned()),
    };
    let text = text
        .map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty());
    text.map(SecretString::from)
        .ok_or_else(|| "the secret is a JSON object without \"token\", or blank".to_owned())
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Token").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws;
    use crate::environment::Variable;
    use aws_sdk_secretsmanager::Client;

    #[test]
    fn a_token_is_a_text_or_a_field_and_never_blank() {
        let token = |text: &str| token_of(&text.into()).map(|token| token.expose_secret().to_owned());
        assert_eq!(token("hunter2\n").unwrap(), "hunter2");
        assert_eq!(token("{\"token\":\"hunter2\"}").unwrap(), "hunter2");
        assert_eq!(token("12345").unwrap(), "12345");
        assert!(token(" ").is_err());
        assert!(!token("{\"tokens\":\"hunter2\"}").unwrap_err().contains("hunter2"));
    }

    const SETTING: SecretVariable = SecretVariable {
        plain: Variable {
            name: "GRANARY_TOKEN",
            holds: "a token",
        },
        arn: Variable {
            name: "GRANARY_TOKEN_SECRET_ARN",
            holds: "a secret that is a token",
        },
    };

    #[tokio::test]
    async fn d4_a_token_that_was_replaced_ends_within_a_minute() {
        let client = Client::new(&aws::sdk_config().await);
        let name = format!("granary-test-token-{}", uuid::Uuid::now_v7());
        let created = client
            .create_secret()
            .name(name)
            .secret_string("old")
            .send()
            .await;
        let arn = created.unwrap().arn.unwrap();
        let mut env = Environment::from_variables([("GRANARY_TOKEN_SECRET_ARN", arn.as_str())]);
        let token = Token::read(&mut env, SETTING, &aws::sdk_config().await).await;
        let token = env.finish(|| token).unwrap().unwrap();
        let begun = Instant::now();
        let after = async |secs| {
            let token = token.at(begun + Duration::from_secs(secs)).await;
            token.map(|token| token.expose_secret().to_owned())
        };
        let put = client.put_secret_value().secret_id(&arn).secret_string("new");
        put.send().await.unwrap();
        assert_eq!(
            after(50).await.as_deref(),
            Some("old"),
            "it isn't read with each request"
        );
        assert_eq!(after(61).await.as_deref(), Some("new"));

        let deleted = client
            .delete_secret()
            .secret_id(&arn)
            .force_delete_without_recovery(true);
        deleted.send().await.unwrap();
        assert_eq!(
            after(600).await.as_deref(),
            Some("new"),
            "it holds while the secret can't be read"
        );
        assert_eq!(after(662).await, None, "but not for ever");
    }
}
