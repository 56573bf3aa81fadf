//! TLS to the ledger's server: whom to trust, and what it means where that fails.
//!
//! Nothing but the address and the certificate authority decide: what else a URL says of TLS is left aside, so verification
//! can't be turned off. Trusted are the public authorities, those of Amazon RDS, and the deployment's own.

use granary_environment::{LedgerAddress, Service, Transport};
use mysql_async::{DriverError, Error as MySqlError, IoError, SslOpts};

/// The root certificates of Amazon RDS in its commercial regions, three each.
const RDS_ROOTS: &[u8] = include_bytes!("rds_roots.pem");

/// `None`: the server is on this machine, or a setting says that it is reached in the clear.
pub(crate) fn options(address: &LedgerAddress) -> Option<SslOpts> {
    match address.transport() {
        Transport::Tls => {}
        Transport::Local | Transport::Plain => return None,
    }
    let own = address.ca.as_ref().map(|ca| ca.pem().as_bytes().to_vec());
    let roots = [Some(RDS_ROOTS.to_vec()), own].into_iter().flatten();
    Some(SslOpts::default().with_root_certs(roots.map(Into::into).collect()))
}

/// What to do about a connection that can't be made over TLS. `None`: it failed for another reason.
pub(crate) fn remedy(error: &MySqlError) -> Option<String> {
    match error {
        MySqlError::Io(IoError::Io(io)) => Service::Ledger.distrust(&io.to_string()),
        // Before anything was asked.
        MySqlError::Io(IoError::Tls(tls)) => Some(format!(
            "the certificate of GRANARY_LEDGER_CA, or the host's name, can't be used: {tls}"
        )),
        MySqlError::Driver(DriverError::NoClientSslFlagFromServer) => Some(
            "the server offers no TLS. Turn it on there, or add ?require_ssl=false to GRANARY_LEDGER_URL (in production, name \
             ledger in GRANARY_ALLOW_PLAINTEXT as well)"
                .to_owned(),
        ),
        MySqlError::Driver(_) | MySqlError::Server(_) | MySqlError::Other(_) | MySqlError::Url(_) => None,
    }
}
