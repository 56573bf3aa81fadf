//! Where the ledger is.

use crate::address::SecretFields;
use crate::environment::{Environment, Reading, Variable};
use crate::invalid::Found;
use aws_config::SdkConfig;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

const URL: Variable = Variable {
    name: "GRANARY_LEDGER_URL",
    holds: "mysql://user:password@host:port/database, or set GRANARY_LEDGER_SECRET_ARN to a secret that holds it",
};
const SECRET_ARN: Variable = Variable {
    name: "GRANARY_LEDGER_SECRET_ARN",
    holds: "the ARN of a Secrets Manager secret that holds mysql://user:password@host:port/database, \
            or {\"username\":…,\"password\":…} as RDS keeps it",
};
const NOT_A_LEDGER: &str = "it is not of the form mysql://user:password@host:port/database";

/// Where the ledger is, and who reads and writes it.
#[derive(Debug, Clone)]
pub struct LedgerSection {
    /// `mysql://user:password@host:port/database`, checked for its form; the query part is passed through.
    pub url: SecretString,
}

impl LedgerSection {
    /// Reads `GRANARY_LEDGER_URL` and `GRANARY_LEDGER_SECRET_ARN`.
    pub async fn read(env: &mut Environment, aws: &SdkConfig) -> Reading<Self> {
        let plain = env.text(URL.name);
        let url = match (plain, env.fetched(SECRET_ARN, aws).await?) {
            (None, None) => return Err(env.reject(URL, Found::Nothing)),
            (Some(plain), None) => complete(&plain).map_err(|why| env.refuse(URL, why))?,
            (plain, Some(secret)) => {
                combined(plain.as_deref(), &secret).map_err(|why| env.refuse(SECRET_ARN, why))?
            }
        };
        Ok(Self {
            url: SecretString::from(String::from(url)),
        })
    }
}

/// The URL of a secret: the secret itself, or a user and a password for an address that stands elsewhere.
fn combined(plain: Option<&str>, secret: &SecretString) -> Result<Url, String> {
    let Some(fields) = SecretFields::of(secret) else {
        return match plain {
            None => complete(secret.expose_secret()).map_err(|why| format!("the secret: {why}")),
            Some(_) => Err(format!(
                "the secret is a URL, and {} is set too; leave one of the two out",
                URL.name
            )),
        };
    };
    let (Some(user), Some(password)) = (fields.text("username"), fields.text("password")) else {
        return Err("the secret is JSON, but without \"username\" and \"password\"".to_owned());
    };
    let address = match (plain, fields.text("host"), fields.text("dbname")) {
        (Some(plain), _, _) => plain.to_owned(),
        (None, Some(host), Some(database)) => {
            format!("mysql://{host}:{}/{database}", fields.port().unwrap_or(3306))
        }
        (None, _, _) => {
            return Err(format!(
                "the secret names no \"host\" and \"dbname\"; set {} to mysql://host:port/database",
                URL.name
            ));
        }
    };
    let mut url = Url::parse(&address).map_err(|_| NOT_A_LEDGER.to_owned())?;
    url.set_username(user)
        .and_then(|()| url.set_password(Some(password)))
        .map_err(|()| NOT_A_LEDGER.to_owned())?;
    complete(url.as_str())
}

/// A URL that has all that it takes to connect. The reason never quotes it.
fn complete(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("it is not a URL: {error}"))?;
    let database = url.path().trim_start_matches('/');
    let has_all = url.scheme() == "mysql"
        && url.has_host()
        && !url.username().is_empty()
        && !database.is_empty()
        && !database.contains('/');
    if has_all {
        Ok(url)
    } else {
        Err(NOT_A_LEDGER.to_owned())
    }
}
