//! A certificate authority of the company's own, as PEM: whom to trust beside the public ones.
//!
//! Only its form is looked at here. What is no certificate inside of it shows where it is first used.

use crate::environment::{Environment, Reading, Variable};
use crate::secret::SecretVariable;
use aws_config::SdkConfig;
use secrecy::ExposeSecret;
use std::fmt;

/// Of Elasticsearch.
pub(crate) const ES_CA: SecretVariable = SecretVariable {
    plain: Variable {
        name: "GRANARY_ES_CA",
        holds: "the certificate authority of Elasticsearch as PEM, or leave it out for a public one",
    },
    arn: Variable {
        name: "GRANARY_ES_CA_SECRET_ARN",
        holds: "the ARN of a Secrets Manager secret that is the certificate authority of Elasticsearch as PEM",
    },
};
/// Of the ledger's server.
pub(crate) const LEDGER_CA: SecretVariable = SecretVariable {
    plain: Variable {
        name: "GRANARY_LEDGER_CA",
        holds: "the certificate authority of the ledger's server as PEM, or leave it out for Amazon RDS or a public one",
    },
    arn: Variable {
        name: "GRANARY_LEDGER_CA_SECRET_ARN",
        holds: "the ARN of a Secrets Manager secret that is the certificate authority of the ledger's server as PEM",
    },
};
const BEGIN: &str = "-----BEGIN CERTIFICATE-----";
const END: &str = "-----END CERTIFICATE-----";

/// One certificate or several, as PEM.
#[derive(Clone, PartialEq, Eq)]
pub struct Ca(String);

impl Ca {
    /// Reads PEM. A deployment's parameter has no line breaks: `\n` is taken for one.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let pem = text.replace("\\n", "\n");
        let count = pem.matches(BEGIN).count();
        if count > 0 && count == pem.matches(END).count() {
            Ok(Self(pem))
        } else {
            Err("it holds no PEM certificate (-----BEGIN CERTIFICATE----- … -----END CERTIFICATE-----)")
        }
    }

    /// The PEM.
    pub fn pem(&self) -> &str {
        &self.0
    }

    /// Reads `GRANARY_ES_CA` and `GRANARY_ES_CA_SECRET_ARN`.
    pub async fn of_elasticsearch(env: &mut Environment, aws: &SdkConfig) -> Reading<Option<Self>> {
        Self::read(env, ES_CA, aws).await
    }

    /// Reads `GRANARY_LEDGER_CA` and `GRANARY_LEDGER_CA_SECRET_ARN`.
    pub async fn of_ledger(env: &mut Environment, aws: &SdkConfig) -> Reading<Option<Self>> {
        Self::read(env, LEDGER_CA, aws).await
    }

    async fn read(env: &mut Environment, setting: SecretVariable, aws: &SdkConfig) -> Reading<Option<Self>> {
        let Some(text) = env.optional_secret(setting, aws).await? else {
            return Ok(None);
        };
        Self::parse(text.expose_secret())
            .map(Some)
            .map_err(|why| env.refuse(setting.plain, why))
    }
}

impl fmt::Debug for Ca {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} certificates", self.0.matches(BEGIN).count())
    }
}
