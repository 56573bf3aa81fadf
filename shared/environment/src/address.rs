//! Addresses of services, and the secrets that belong to them.

use percent_encoding::percent_decode_str;
use secrecy::{ExposeSecret, SecretString};
use serde_json::{Map, Value};
use url::Url;

/// An `http` or `https` URL. The reason never quotes it: it may hold a password.
pub(crate) fn parse_http(text: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("it is not a URL: {error}"))?;
    if matches!(url.scheme(), "http" | "https") {
        Ok(url)
    } else {
        Err("it begins with neither http:// nor https://".to_owned())
    }
}

/// A user or a password as it stood in a URL, without the percent-encoding.
pub(crate) fn decoded(userinfo: &str) -> Result<String, String> {
    let text = percent_decode_str(userinfo).decode_utf8();
    text.map(String::from)
        .map_err(|_| "the percent-encoding of its user or password is not UTF-8".to_owned())
}

/// The fields of a secret that is a JSON object, as RDS and people keep them.
pub(crate) struct SecretFields(Map<String, Value>);

impl SecretFields {
    /// `None` where the secret isn't a JSON object.
    pub(crate) fn of(secret: &SecretString) -> Option<Self> {
        serde_json::from_str(secret.expose_secret()).ok().map(Self)
    }

    pub(crate) fn text(&self, field: &str) -> Option<&str> {
        self.0
            .get(field)
            .and_then(Value::as_str)
            .filter(|text| !text.is_empty())
    }

    /// A port as a number or, as some tools write it, as text.
    pub(crate) fn port(&self) -> Option<u16> {
        let port = self.0.get("port")?;
        let number = port.as_u64().and_then(|number| u16::try_from(number).ok());
        number.or_else(|| port.as_str().and_then(|text| text.parse().ok()))
    }
}
