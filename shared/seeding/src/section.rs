//! Whether test data may be written, where, and by whom.

use aws_config::SdkConfig;
use granary_environment::{Environment, Reading, SecretVariable, Variable};
use granary_source::SourceCredentials;
use secrecy::ExposeSecret;
use serde::Deserialize;
use std::fmt;
use url::Url;

const ALLOW_SEEDING: Variable = Variable {
    name: "GRANARY_ALLOW_SEEDING",
    holds: "true where test messages may be written into the source, or leave it out",
};
const ENVIRONMENT: Variable = Variable {
    name: "GRANARY_ENVIRONMENT",
    holds: "local, staging or production",
};
const PRODUCTION: &str = "production";
const SEED_ES_URL: Variable = Variable {
    name: "GRANARY_SEED_ES_URL",
    holds: "the address of Elasticsearch for writing test messages, https://host:port",
};
const SEED_ES_SECRET: SecretVariable = SecretVariable {
    plain: Variable {
        name: "GRANARY_SEED_ES_SECRET",
        holds: "{\"api_key\":…} or {\"username\":…,\"password\":…}, a credential that may write test messages",
    },
    arn: Variable {
        name: "GRANARY_SEED_ES_SECRET_ARN",
        holds: "the ARN of a Secrets Manager secret that holds such a credential",
    },
};

/// The permission to write test data, with the address and the credential for it. Only the environment gives it.
#[derive(Clone)]
pub struct SeedingSection {
    pub(crate) url: Url,
    pub(crate) credentials: Option<SourceCredentials>,
}

/// A credential as a secret holds it.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Credential {
    Key { api_key: String },
    User { username: String, password: String },
}

impl SeedingSection {
    /// Reads `GRANARY_ALLOW_SEEDING`, `GRANARY_SEED_ES_URL` and `GRANARY_SEED_ES_SECRET(_ARN)`. `None`: seeding is
    /// off. Allowing it in production is a problem on the list.
    pub async fn read(env: &mut Environment, aws: &SdkConfig) -> Reading<Option<Self>> {
        if !env.switch(ALLOW_SEEDING)? {
            return Ok(None);
        }
        if env.optional(ENVIRONMENT).as_deref() == Some(PRODUCTION) {
            return Err(env.refuse(ALLOW_SEEDING, "test messages are never written in production"));
        }
        let url = read_url(env);
        let credentials = read_credentials(env, aws).await;
        Ok(Some(Self {
            url: url?,
            credentials: credentials?,
        }))
    }
}

/// The address may hold a password, so what is wrong never quotes it.
fn read_url(env: &mut Environment) -> Reading<Url> {
    let Some(text) = env.optional(SEED_ES_URL) else {
        return Err(env.refuse(SEED_ES_URL, "it is empty, and seeding is allowed"));
    };
    match Url::parse(&text) {
        Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(url),
        Ok(_) => Err(env.refuse(SEED_ES_URL, "it is no http or https address")),
        Err(error) => Err(env.refuse(SEED_ES_URL, error)),
    }
}

async fn read_credentials(env: &mut Environment, aws: &SdkConfig) -> Reading<Option<SourceCredentials>> {
    let Some(secret) = env.optional_secret(SEED_ES_SECRET, aws).await? else {
        return Ok(None);
    };
    match serde_json::from_str(secret.expose_secret()) {
        Ok(Credential::Key { api_key }) => Ok(Some(SourceCredentials::ApiKey(api_key.into()))),
        Ok(Credential::User {
            username: user,
            password,
        }) => Ok(Some(SourceCredentials::Basic {
            user,
            password: password.into(),
        })),
        Err(_) => Err(env.refuse(SEED_ES_SECRET.plain, "it is no such JSON object")),
    }
}

/// Without the URL, which may hold a password, and the credentials.
impl fmt::Debug for SeedingSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeedingSection").finish_non_exhaustive()
    }
}
