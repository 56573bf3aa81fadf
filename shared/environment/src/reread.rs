//! A setting that is read again every minute, so that what was taken out of its secret ends within a minute.
//!
//! Where Secrets Manager can't be asked, or what it holds can't be used, the last good value holds for ten more minutes, and the
//! log has the reason. After that there is none.

use crate::environment::{Environment, Reading};
use crate::secret::{Fetched, Kept, SecretReader, SecretVariable, Stage};
use aws_config::SdkConfig;
use secrecy::{ExposeSecret, SecretString};
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::sync::Mutex;

const READ_AGAIN_AFTER: Duration = Duration::from_secs(60);
const KNOWN_FOR_MAX: Duration = Duration::from_secs(600);
/// A request waits for it.
const READING_SECS_MAX: u64 = 5;

/// Makes the value of the text of its secret, or says why it can't. The reason shows nothing of the text.
pub type Parse<T> = fn(&str) -> Result<T, String>;

/// A setting whose secret is read again.
pub struct Reread<T> {
    kept: RereadKept<T>,
}

enum RereadKept<T> {
    /// In the environment itself.
    Plain(Arc<T>),
    InSecret {
        reader: SecretReader,
        parse: Parse<T>,
        known: Mutex<Known<T>>,
    },
}

struct Known<T> {
    value: Arc<T>,
    /// When it was read for the last time.
    read_at: Instant,
    /// When reading it was tried for the last time.
    tried_at: Instant,
}

impl<T> Reread<T> {
    /// The value of a setting, if it is set.
    pub async fn read(
        env: &mut Environment,
        setting: SecretVariable,
        parse: Parse<T>,
        aws: &SdkConfig,
    ) -> Reading<Option<Self>> {
        let kept = match env.kept(setting, aws).await? {
            None => return Ok(None),
            Some(Kept::Plain(text)) => {
                let value = parse(text.expose_secret()).map_err(|why| env.refuse(setting.plain, why))?;
                RereadKept::Plain(Arc::new(value))
            }
            Some(Kept::Fetched(Fetched { reader, text })) => {
                let value = parse(text.expose_secret()).map_err(|why| env.refuse(setting.arn, why))?;
                let now = Instant::now();
                let known = Mutex::new(Known {
                    value: Arc::new(value),
                    read_at: now,
                    tried_at: now,
                });
                RereadKept::InSecret { reader, parse, known }
            }
        };
        Ok(Some(Self { kept }))
    }

    /// The value that holds now. `None`: it could not be read for so long that there is none.
    pub async fn now(&self) -> Option<Arc<T>> {
        self.at(Instant::now()).await
    }

    /// Requests that come while it is read wait for that.
    async fn at(&self, now: Instant) -> Option<Arc<T>> {
        let (reader, parse, known) = match &self.kept {
            RereadKept::Plain(value) => return Some(value.clone()),
            RereadKept::InSecret { reader, parse, known } => (reader, parse, known),
        };
        let mut known = known.lock().await;
        if now.saturating_duration_since(known.tried_at) >= READ_AGAIN_AFTER {
            known.tried_at = now;
            match read(reader).await.and_then(|text| parse(text.expose_secret())) {
                Ok(value) => {
                    known.value = Arc::new(value);
                    known.read_at = now;
                }
                Err(why) => {
                    tracing::warn!(setting = reader.setting, "the secret can't be read again: {why}");
                }
            }
        }
        (now.saturating_duration_since(known.read_at) < KNOWN_FOR_MAX).then(|| known.value.clone())
    }
}

async fn read(reader: &SecretReader) -> Result<SecretString, String> {
    let limit = Duration::from_secs(READING_SECS_MAX);
    let read = tokio::time::timeout(limit, reader.read(Stage::Current)).await;
    read.unwrap_or_else(|_| Err(format!("no answer within {READING_SECS_MAX} s")))
}

impl<T> fmt::Debug for Reread<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reread").finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::aws;
    use crate::environment::Variable;
    use aws_sdk_secretsmanager::Client;

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

    fn parse(text: &str) -> Result<String, String> {
        match text {
            "bad" => Err("it is bad".to_owned()),
            good => Ok(good.to_owned()),
        }
    }

    #[tokio::test]
    async fn a_value_that_cannot_be_used_is_refused_at_the_start() {
        let mut env = Environment::from_variables([("GRANARY_TOKEN", "bad")]);
        let read = Reread::read(&mut env, SETTING, parse, &aws::sdk_config().await).await;
        let refusal = env.finish(|| read).unwrap_err().to_string();
        assert!(
            refusal.contains("GRANARY_TOKEN") && refusal.contains("it is bad"),
            "{refusal}"
        );
    }

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
        let token = Reread::read(&mut env, SETTING, parse, &aws::sdk_config().await).await;
        let token = env.finish(|| token).unwrap().unwrap();
        let begun = Instant::now();
        let after = async |secs| {
            let value = token.at(begun + Duration::from_secs(secs)).await;
            value.map(|value| value.to_string())
        };
        let put = async |text: &str| {
            let put = client.put_secret_value().secret_id(&arn).secret_string(text);
            put.send().await.unwrap();
        };
        put("new").await;
        assert_eq!(
            after(50).await.as_deref(),
            Some("old"),
            "it isn't read with each request"
        );
        assert_eq!(after(61).await.as_deref(), Some("new"));

        put("bad").await;
        assert_eq!(
            after(122).await.as_deref(),
            Some("new"),
            "what can't be used leaves the last good value"
        );
        put("newer").await;
        assert_eq!(after(183).await.as_deref(), Some("newer"));

        let deleted = client
            .delete_secret()
            .secret_id(&arn)
            .force_delete_without_recovery(true);
        deleted.send().await.unwrap();
        assert_eq!(
            after(700).await.as_deref(),
            Some("newer"),
            "it holds while the secret can't be read"
        );
        assert_eq!(after(784).await, None, "but not for ever");
    }
}
