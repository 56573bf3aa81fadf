//! Which documents are the messages, and where they are.

use crate::address::{SecretFields, decoded, parse_http};
use crate::ca::Ca;
use crate::environment::{Environment, Reading, Variable};
use crate::invalid::Found;
use crate::login::Login;
use crate::transport::{Plaintext, Service, Transport};
use aws_config::SdkConfig;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use secrecy::SecretString;
use serde_json::Value;
use url::Url;

const ES_URL: Variable = Variable {
    name: "GRANARY_ES_URL",
    holds: "the address of Elasticsearch, https://host:port; user:password@ may stand before the host",
};
const ES_SECRET_ARN: Variable = Variable {
    name: "GRANARY_ES_SECRET_ARN",
    holds: "the ARN of a Secrets Manager secret that holds {\"api_key\":…}, {\"bearer\":…} or \
            {\"username\":…,\"password\":…}",
};
const INDEX: Variable = Variable {
    name: "GRANARY_SOURCE_INDEX",
    holds: "the index that holds the messages, an alias, a pattern, or several separated by commas",
};
const TIME_FIELD: Variable = Variable {
    name: "GRANARY_SOURCE_TIME_FIELD",
    holds: "the name of the date field that holds a message's event time, such as @timestamp",
};
const ID_FIELD: Variable = Variable {
    name: "GRANARY_SOURCE_ID_FIELD",
    holds: "the name of the keyword field that holds the message id, or leave it out for _id",
};
const DOC_ID: Variable = Variable {
    name: "GRANARY_SOURCE_DOC_ID",
    holds: "message_id if every document's _id is its message id, or leave it out",
};
const FILTER: Variable = Variable {
    name: "GRANARY_SOURCE_FILTER",
    holds: "a query that only messages match, as query DSL in a JSON object such as {\"term\":{\"kind\":\"mail\"}}",
};

/// Which documents are the messages, and where they are.
#[derive(Debug, Clone)]
pub struct SourceSection {
    /// Elasticsearch's address: `http` or `https`, without user and password.
    pub url: Url,
    /// Who reads there. `None`: the cluster asks for no credentials.
    pub credentials: Option<Login<SourceCredentials>>,
    /// Whom to trust beside the public certificate authorities.
    pub ca: Option<Ca>,
    /// An index, an alias, a pattern or a list, as Elasticsearch takes it.
    pub index: String,
    /// The date field of event time.
    pub time_field: String,
    /// The field of the message id; `_id` by default.
    pub id_field: String,
    /// Whether somebody stated that every document's `_id` is its message id. To be proved on a sample.
    pub doc_id_is_message_id: bool,
    /// Query DSL, a JSON object: only what matches is a message.
    pub filter: Option<Value>,
}

/// Who reads from Elasticsearch.
#[derive(Debug, Clone)]
pub enum SourceCredentials {
    /// An API key, encoded as Elasticsearch gives it out.
    ApiKey(SecretString),
    /// A token, as a service account or an identity provider gives it out.
    Bearer(SecretString),
    /// A user.
    User {
        /// Not percent-encoded.
        name: String,
        /// Not percent-encoded.
        password: SecretString,
    },
}

impl SourceSection {
    /// Reads `GRANARY_ES_URL`, `GRANARY_ES_SECRET_ARN`, `GRANARY_ES_CA` and `GRANARY_SOURCE_*`.
    pub async fn read(env: &mut Environment, aws: &SdkConfig) -> Reading<Self> {
        let address = read_address(env);
        let ca = Ca::of_elasticsearch(env, aws).await;
        let secret = read_credentials(env, aws).await;
        let index = env.required_parsed(INDEX, parse_index);
        let time_field = env.required(TIME_FIELD);
        let id_field = env.optional(ID_FIELD).unwrap_or_else(|| "_id".to_owned());
        let doc_id_is_message_id = env.optional_parsed(DOC_ID, parse_doc_id);
        let filter = env.optional_parsed(FILTER, parse_filter);

        let (url, user) = address?;
        let credentials = match (user, secret?) {
            (Some(_), Some(_)) => {
                let why = format!(
                    "it names a user, and {} is set too; leave one of the two out",
                    ES_SECRET_ARN.name
                );
                return Err(env.refuse(ES_URL, why));
            }
            (user, secret) => secret.or(user.map(Login::fixed)),
        };
        Ok(Self {
            url,
            credentials,
            ca: ca?,
            index: index?,
            time_field: time_field?,
            id_field,
            doc_id_is_message_id: doc_id_is_message_id?.unwrap_or(false),
            filter: filter?,
        })
    }
}

/// The address, and the user that stood in it. It may hold a password, so what is wrong never quotes it.
fn read_address(env: &mut Environment) -> Reading<(Url, Option<SourceCredentials>)> {
    let plaintext = Plaintext::read(env);
    let Some(text) = env.text(ES_URL.name) else {
        return Err(env.reject(ES_URL, Found::Nothing));
    };
    let address = parse_address(&text).map_err(|why| env.refuse(ES_URL, why))?;
    plaintext?
        .check(Service::Elasticsearch, Transport::of_http(&address.0))
        .map_err(|why| env.refuse(ES_URL, why))?;
    Ok(address)
}

fn parse_address(text: &str) -> Result<(Url, Option<SourceCredentials>), String> {
    let mut url = parse_http(text)?;
    if url.query().is_some() || url.fragment().is_some() {
        return Err("it has a part after ? or #".to_owned());
    }
    let user = match (url.username(), url.password()) {
        ("", None) => None,
        (name, Some(password)) if !name.is_empty() => {
            let password = SecretString::from(decoded(password)?);
            Some(SourceCredentials::User {
                name: decoded(name)?,
                password,
            })
        }
        _ => return Err("it has a user without a password, or a password without a user".to_owned()),
    };
    url.set_username("")
        .and_then(|()| url.set_password(None))
        .map_err(|()| "it has no host".to_owned())?;
    Ok((url, user))
}

async fn read_credentials(
    env: &mut Environment,
    aws: &SdkConfig,
) -> Reading<Option<Login<SourceCredentials>>> {
    let Some(secret) = env.fetched(ES_SECRET_ARN, aws).await? else {
        return Ok(None);
    };
    Login::of_secret(secret, SourceCredentials::of_secret)
        .map(Some)
        .map_err(|why| env.refuse(ES_SECRET_ARN, why))
}

impl SourceCredentials {
    /// Reads a secret, as people, Elasticsearch and the consoles of AWS write it: `{"api_key":…}`, also with the key's `id` or
    /// in the form `encoded`; `{"bearer":…}`; or `{"username":…,"password":…}`. Other fields are left aside.
    pub fn of_secret(secret: &SecretString) -> Result<Self, String> {
        let fields = SecretFields::of(secret).ok_or("the secret is not a JSON object")?;
        let key = match (fields.text("encoded"), fields.text("api_key"), fields.text("id")) {
            (Some(encoded), _, _) => Some(encoded.to_owned()),
            (None, Some(key), Some(id)) => Some(STANDARD.encode(format!("{id}:{key}"))),
            (None, key, _) => key.map(str::to_owned),
        };
        let user = fields.text("username").zip(fields.text("password"));
        match (key, fields.text("bearer"), user) {
            (Some(key), None, None) => Ok(Self::ApiKey(key.into())),
            (None, Some(token), None) => Ok(Self::Bearer(token.into())),
            (None, None, Some((name, password))) => Ok(Self::User {
                name: name.to_owned(),
                password: password.into(),
            }),
            _ => Err(
                "the secret has none, or several, of \"api_key\", \"bearer\", and \"username\" with \"password\""
                    .to_owned(),
            ),
        }
    }
}

/// A login that never changes.
impl From<SourceCredentials> for Login<SourceCredentials> {
    fn from(credentials: SourceCredentials) -> Self {
        Self::fixed(credentials)
    }
}

fn parse_index(text: &str) -> Result<String, String> {
    let forbidden = |char: char| char.is_whitespace() || matches!(char, '/' | '\\' | '?' | '#' | '"' | '|');
    match text.chars().find(|char| forbidden(*char)) {
        Some(char) => Err(format!("the name of an index can't have {char:?}")),
        None => Ok(text.to_owned()),
    }
}

fn parse_doc_id(text: &str) -> Result<bool, &'static str> {
    if text == "message_id" {
        Ok(true)
    } else {
        Err("it can only state one thing")
    }
}

fn parse_filter(text: &str) -> Result<Value, String> {
    match serde_json::from_str(text).map_err(|error| error.to_string())? {
        Value::Object(query) if !query.is_empty() => Ok(Value::Object(query)),
        Value::Object(_) => Err("the object is empty".to_owned()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) => {
            Err("it is JSON, but not an object".to_owned())
        }
    }
}
