//! Who asks, as the header of each request, and another login where Elasticsearch refuses that one.
//!
//! Credentials are looked at with every request, so that one that was read again serves at once. Not responsible for reading
//! it: [`Login`] decides when.

use crate::error::SourceError;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use elasticsearch::http::headers::HeaderValue;
use granary_environment::{Edition, Login, Renewed, SourceCredentials};
use secrecy::{ExposeSecret, SecretString};
use url::Url;

/// Who asks.
#[derive(Debug)]
pub(crate) struct Authorization {
    login: Option<Login<SourceCredentials>>,
}

/// The header of one request, and whose it is.
pub(crate) struct Presented {
    pub(crate) header: Option<HeaderValue>,
    edition: Option<Edition>,
}

impl Authorization {
    /// Fails where the credentials can't be sent at all.
    pub(crate) fn new(login: Option<Login<SourceCredentials>>) -> Result<Self, SourceError> {
        let authorization = Self { login };
        authorization.present()?;
        Ok(authorization)
    }

    /// The header as it is now.
    pub(crate) fn present(&self) -> Result<Presented, SourceError> {
        let Some(login) = &self.login else {
            return Ok(Presented {
                header: None,
                edition: None,
            });
        };
        let (credentials, edition) = login.current();
        Ok(Presented {
            header: Some(header_of(&credentials)?),
            edition: Some(edition),
        })
    }

    /// Looks for another login where Elasticsearch has refused this one.
    pub(crate) async fn renew(&self, refused: &Presented) -> Renewed {
        match (&self.login, refused.edition) {
            (Some(login), Some(edition)) => login.renew(edition).await,
            (None, _) | (_, None) => Renewed::Same,
        }
    }
}

fn header_of(credentials: &SourceCredentials) -> Result<HeaderValue, SourceError> {
    let text = match credentials {
        SourceCredentials::User { name, password } => {
            let pair = format!("{name}:{}", password.expose_secret());
            format!("Basic {}", STANDARD.encode(pair))
        }
        SourceCredentials::ApiKey(key) => format!("ApiKey {}", key.expose_secret().trim()),
        SourceCredentials::Bearer(token) => format!("Bearer {}", token.expose_secret().trim()),
    };
    let mut header = HeaderValue::from_str(&text).map_err(|_| SourceError::Misconfigured {
        reason: "the API key or the token has characters that none has".to_owned(),
    })?;
    header.set_sensitive(true);
    Ok(header)
}

/// The URL as it may be joined and sent, and the credentials that stood in it.
pub(crate) fn without_credentials(url: &Url) -> Result<(Url, Option<SourceCredentials>), SourceError> {
    let unusable = |reason: &str| SourceError::Misconfigured {
        reason: reason.to_owned(),
    };
    let mut base = url.clone();
    if !matches!(base.scheme(), "http" | "https") {
        return Err(unusable("the URL must begin with http:// or https://"));
    }
    let found = (!url.username().is_empty()).then(|| SourceCredentials::User {
        name: decoded(url.username()),
        password: SecretString::from(decoded(url.password().unwrap_or_default())),
    });
    if base.set_username("").is_err() || base.set_password(None).is_err() {
        return Err(unusable("the URL has no host"));
    }
    if !base.path().ends_with('/') {
        base.set_path(&format!("{}/", url.path()));
    }
    Ok((base, found))
}

/// Undoes the percent-encoding of a user or a password in a URL.
fn decoded(text: &str) -> String {
    let pair = format!("x={}", text.replace('+', "%2B"));
    url::form_urlencoded::parse(pair.as_bytes())
        .map(|(_, value)| value.into_owned())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_the_url_are_taken_out_and_decoded() {
        let url = "https://us%40er:p%2Bw+d@host:9200/es".parse().unwrap();
        let (base, credentials) = without_credentials(&url).unwrap();
        assert_eq!(base.as_str(), "https://host:9200/es/");
        let Some(SourceCredentials::User { name, password }) = credentials else {
            panic!("none found")
        };
        assert_eq!((name.as_str(), password.expose_secret()), ("us@er", "p+w+d"));
    }

    #[test]
    fn each_kind_of_credential_has_a_header_of_its_own() {
        let header = |credentials| {
            let header = header_of(&credentials).unwrap();
            assert!(header.is_sensitive());
            header.to_str().unwrap().to_owned()
        };
        let user = SourceCredentials::User {
            name: "reader".to_owned(),
            password: "p:ss".into(),
        };
        assert_eq!(header(user), "Basic cmVhZGVyOnA6c3M=");
        assert_eq!(header(SourceCredentials::ApiKey("VnVh\n".into())), "ApiKey VnVh");
        assert_eq!(header(SourceCredentials::Bearer("AAEA".into())), "Bearer AAEA");
        let broken = header_of(&SourceCredentials::Bearer("a\nb".into()));
        assert!(matches!(broken, Err(SourceError::Misconfigured { .. })));
    }
}
