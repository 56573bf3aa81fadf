//! Whether test data may be written, where, and by whom.

use aws_config::SdkConfig;
use granary_environment::{
    Ca, Deployment, Environment, Login, Reading, SecretVariable, SourceCredentials, Variable,
};
use std::fmt;
use url::Url;

const ALLOW_SEEDING: Variable = Variable {
    name: "GRANARY_ALLOW_SEEDING",
    holds: "true where test messages may be written into the source, or leave it out",
};
const SEED_ES_URL: Variable = Variable {
    name: "GRANARY_SEED_ES_URL",
    holds: "the address of Elasticsearch for writing test messages, https://host:port",
};
const SEED_ES_SECRET: SecretVariable = SecretVariable {
    plain: Variable {
        name: "GRANARY_SEED_ES_SECRET",
        holds: "{\"api_key\":…}, {\"bearer\":…} or {\"username\":…,\"password\":…}, a credential that may write test messages",
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
    pub(crate) credentials: Option<Login<SourceCredentials>>,
    pub(crate) ca: Option<Ca>,
}

impl SeedingSection {
    /// Reads `GRANARY_ALLOW_SEEDING`, `GRANARY_SEED_ES_URL` and `GRANARY_SEED_ES_SECRET(_ARN)`. `None`: seeding is
    /// off. Allowing it in production is a problem on the list.
    pub async fn read(env: &mut Environment, aws: &SdkConfig) -> Reading<Option<Self>> {
        if !env.switch(ALLOW_SEEDING)? {
            return Ok(None);
        }
        if Deployment::read(env)? == Deployment::Production {
            return Err(env.refuse(ALLOW_SEEDING, "test messages are never written in production"));
        }
        let url = read_url(env);
        let credentials = read_credentials(env, aws).await;
        let ca = Ca::of_elasticsearch(env, aws).await;
        Ok(Some(Self {
            url: url?,
            credentials: credentials?.map(Login::fixed),
            ca: ca?,
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
    SourceCredentials::of_secret(&secret)
        .map(Some)
        .map_err(|why| env.refuse(SEED_ES_SECRET.plain, why))
}

/// Without the URL, which may hold a password, and the credentials.
impl fmt::Debug for SeedingSection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SeedingSection").finish_non_exhaustive()
    }
}
