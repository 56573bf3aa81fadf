//! How connections to Elasticsearch and the ledger are protected on their way, and which ones production refuses.
//!
//! Whether a connection is encrypted follows from its address alone: by `https` or `http`, and for the ledger by where its
//! host is. An encrypted connection verifies the server's certificate, its name included; nothing turns that off.

use crate::ca::{ES_CA, LEDGER_CA};
use crate::deployment::Deployment;
use crate::environment::{Environment, Reading, Variable};
use std::net::IpAddr;
use url::{Host, Url};

const ALLOW_PLAINTEXT: Variable = Variable {
    name: "GRANARY_ALLOW_PLAINTEXT",
    holds: "elasticsearch, ledger, or both with a comma: what production may reach without TLS, or leave it out",
};

/// How a connection is protected on its way.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Transport {
    /// By TLS. The server's certificate is verified.
    Tls,
    /// It isn't encrypted, and doesn't leave this machine.
    Local,
    /// It isn't encrypted, and crosses a network.
    Plain,
}

impl Transport {
    /// Of an address of Elasticsearch.
    pub fn of_http(url: &Url) -> Self {
        match url.scheme() {
            "https" => Self::Tls,
            _ if is_this_machine(url) => Self::Local,
            _ => Self::Plain,
        }
    }

    /// Of an address of the ledger: TLS where `require_ssl` says so, and otherwise where the host is another machine.
    pub fn of_ledger(url: &Url) -> Self {
        let parameter = |name: &str| url.query_pairs().find(|(found, _)| found == name);
        let is_local = is_this_machine(url) || parameter("socket").is_some();
        match parameter("require_ssl") {
            Some((_, value)) if value == "true" => Self::Tls,
            None if !is_local => Self::Tls,
            Some(_) | None if is_local => Self::Local,
            Some(_) | None => Self::Plain,
        }
    }

    /// The name in answers of the API.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tls => "tls",
            Self::Local => "local",
            Self::Plain => "plain",
        }
    }
}

fn is_this_machine(url: &Url) -> bool {
    let is_loopback =
        |text: &str| text == "localhost" || text.parse::<IpAddr>().is_ok_and(|address| address.is_loopback());
    match url.host() {
        Some(Host::Domain(name)) => is_loopback(name),
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

/// A service that is reached over a network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Service {
    /// The source.
    Elasticsearch,
    /// MySQL or MariaDB.
    Ledger,
}

impl Service {
    /// Why a server's certificate isn't trusted and what to do, where that is what a connection failed for. Without the host's
    /// name, which is a part of the address.
    pub fn distrust(self, reason: &str) -> Option<String> {
        let (_, why) = reason.split_once("invalid peer certificate: ")?;
        let (ca, address) = match self {
            Self::Elasticsearch => (ES_CA, "GRANARY_ES_URL"),
            Self::Ledger => (LEDGER_CA, "GRANARY_LEDGER_URL, or the host in its secret,"),
        };
        Some(match why {
            why if why.starts_with("UnknownIssuer") || why.starts_with("BadSignature") => format!(
                "the server's certificate is not signed by an authority that is trusted here. Set {} or {} to the PEM of the \
                 authority that signed it",
                ca.plain.name, ca.arn.name
            ),
            why if why.starts_with("certificate not valid for name") => format!(
                "the server's certificate is for other host names. Set {address} to a name that the certificate has"
            ),
            why if why.starts_with("certificate expired") => {
                "the server's certificate has expired. Renew it on the server".to_owned()
            }
            other => format!("the server's certificate is invalid: {other}"),
        })
    }
}

/// Which services may be reached without TLS. By default all of them, as outside of production.
#[derive(Debug, Clone, Default)]
pub(crate) struct Plaintext {
    deployment: Deployment,
    allowed: Vec<Service>,
}

impl Plaintext {
    /// Reads `GRANARY_ENVIRONMENT` and `GRANARY_ALLOW_PLAINTEXT`.
    pub(crate) fn read(env: &mut Environment) -> Reading<Self> {
        let deployment = Deployment::read(env);
        let allowed = env.optional_parsed(ALLOW_PLAINTEXT, parse_services);
        Ok(Self {
            deployment: deployment?,
            allowed: allowed?.unwrap_or_default(),
        })
    }

    /// Refuses a connection that crosses a network in the clear, where production wasn't allowed to.
    pub(crate) fn check(&self, service: Service, transport: Transport) -> Result<(), String> {
        if self.deployment != Deployment::Production
            || transport != Transport::Plain
            || self.allowed.contains(&service)
        {
            return Ok(());
        }
        let (encrypted, name) = match service {
            Service::Elasticsearch => ("begin it with https://", "elasticsearch"),
            Service::Ledger => ("leave require_ssl=false out", "ledger"),
        };
        Err(format!(
            "the connection would not be encrypted, which production refuses: {encrypted}, or name {name} in {}",
            ALLOW_PLAINTEXT.name
        ))
    }
}

fn parse_services(text: &str) -> Result<Vec<Service>, String> {
    let names = text.split(',').map(str::trim).filter(|name| !name.is_empty());
    names
        .map(|name| match name {
            "elasticsearch" => Ok(Service::Elasticsearch),
            "ledger" => Ok(Service::Ledger),
            other => Err(format!("{other:?} is neither elasticsearch nor ledger")),
        })
        .collect()
}
