//! Where the ledger is.

use crate::address::SecretFields;
use crate::ca::{Ca, LEDGER_CA};
use crate::environment::{Environment, Reading, Variable};
use crate::invalid::Found;
use crate::login::Login;
use crate::transport::{Plaintext, Service, Transport};
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
    /// The address with a user and a password, which may change while the process lives.
    pub url: Login<LedgerAddress>,
}

/// What it takes to connect to the ledger.
#[derive(Debug, Clone)]
pub struct LedgerAddress {
    /// `mysql://user:password@host:port/database`, and perhaps `?require_ssl=…`.
    pub url: SecretString,
    /// Whom to trust beside the public certificate authorities and those of Amazon RDS.
    pub ca: Option<Ca>,
}

impl LedgerAddress {
    /// How connections are protected. What is no address can't be connected to in any way, and counts as encrypted.
    pub fn transport(&self) -> Transport {
        Url::parse(self.url.expose_secret()).map_or(Transport::Tls, |url| Transport::of_ledger(&url))
    }
}

/// A login that never changes, at a server of this machine or with a certificate of a known authority.
impl From<SecretString> for Login<LedgerAddress> {
    fn from(url: SecretString) -> Self {
        Self::fixed(LedgerAddress { url, ca: None })
    }
}

impl From<String> for Login<LedgerAddress> {
    fn from(url: String) -> Self {
        SecretString::from(url).into()
    }
}

impl LedgerSection {
    /// Reads `GRANARY_LEDGER_URL`, `GRANARY_LEDGER_SECRET_ARN` and `GRANARY_LEDGER_CA`.
    pub async fn read(env: &mut Environment, aws: &SdkConfig) -> Reading<Self> {
        let (ca, plaintext) = (Ca::of_ledger(env, aws).await, Plaintext::read(env));
        let (plain, secret) = (env.text(URL.name), env.fetched(SECRET_ARN, aws).await?);
        // What is wrong with these is on the list, and doesn't keep the address from being looked at.
        let (known_ca, allowed) = (ca.clone().ok().flatten(), plaintext.clone().unwrap_or_default());
        let address = move |url: Url| -> Result<LedgerAddress, String> {
            allowed.check(Service::Ledger, Transport::of_ledger(&url))?;
            Ok(LedgerAddress {
                url: SecretString::from(String::from(url)),
                ca: known_ca.clone(),
            })
        };
        let url = match (plain, secret) {
            (None, None) => return Err(env.reject(URL, Found::Nothing)),
            (Some(plain), None) => complete(&plain)
                .and_then(address)
                .map(Login::fixed)
                .map_err(|why| env.refuse(URL, why))?,
            (plain, Some(secret)) => Login::of_secret(secret, move |secret| {
                combined(plain.as_deref(), secret).and_then(&address)
            })
            .map_err(|why| env.refuse(SECRET_ARN, why))?,
        };
        ca.and(plaintext).map(|_| Self { url })
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
    if let Some(engine) = fields.text("engine").filter(|engine| !is_mysql(engine)) {
        return Err(format!(
            "the secret is of the engine {engine:?}; the ledger is MySQL or MariaDB"
        ));
    }
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
    if !has_all {
        return Err(NOT_A_LEDGER.to_owned());
    }
    check_parameters(&url)?;
    Ok(url)
}

/// After the ? there is how the server is reached. Everything else is Granary's to set, and verification can't be turned off.
fn check_parameters(url: &Url) -> Result<(), String> {
    for (name, value) in url.query_pairs() {
        match (&*name, &*value) {
            ("require_ssl" | "verify_ca" | "verify_identity" | "built_in_roots", "true") => {}
            ("require_ssl", "false") | ("socket", _) => {}
            ("verify_ca" | "verify_identity" | "built_in_roots", _) => {
                return Err(format!(
                    "its {name} would turn off how the server's certificate is verified, which can't be done. Where the \
                     certificate is of an authority of your own, set {} or {} to it",
                    LEDGER_CA.plain.name, LEDGER_CA.arn.name
                ));
            }
            ("require_ssl", _) => return Err("its require_ssl is neither true nor false".to_owned()),
            _ => {
                return Err(format!(
                    "its {name} is Granary's to set; after the ? there may be require_ssl and socket"
                ));
            }
        }
    }
    Ok(())
}

/// As the consoles of AWS name them: `mysql`, `mariadb`, `aurora-mysql`, `aurora`.
fn is_mysql(engine: &str) -> bool {
    engine == "aurora" || engine.contains("mysql") || engine.contains("mariadb")
}
