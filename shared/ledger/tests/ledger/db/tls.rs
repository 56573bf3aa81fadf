//! TLS to a server that shows a certificate of a private authority.

use crate::certificates::{Authority, Certificate};
use granary_environment::{Ca, LedgerAddress, Login};
use granary_ledger::{Ledger, LedgerError, LedgerSettings};
use granary_test_database::LedgerServer;
use std::time::{Duration, Instant};

/// A connection that can't be trusted isn't tried for long.
const REFUSED_WITHIN: Duration = Duration::from_secs(5);

async fn server_with(certificate: &Certificate) -> LedgerServer {
    LedgerServer::with_certificate(&certificate.certificate, &certificate.key).await
}

/// The ledger on a server, by an address with this after the ?.
async fn connect(
    server: &LedgerServer,
    parameters: &str,
    ca: Option<&Authority>,
) -> Result<Ledger, LedgerError> {
    let address = LedgerAddress {
        url: format!("{}{parameters}", server.database_url()).into(),
        ca: ca.map(|authority| Ca::parse(&authority.pem()).unwrap()),
    };
    let settings = LedgerSettings {
        url: Login::fixed(address),
        connections_max: 2,
    };
    let ledger = Ledger::new(&settings)?;
    ledger.migrate_schema().await?;
    Ok(ledger)
}

#[tokio::test]
async fn s5_the_ledger_is_reached_over_tls_with_a_private_authority_and_with_no_other() {
    let (authority, another) = (Authority::new(), Authority::new());
    let server = server_with(&authority.sign("DNS:localhost,IP:127.0.0.1")).await;
    let ledger = connect(&server, "?require_ssl=true", Some(&authority))
        .await
        .unwrap();
    let cipher = ledger.cipher().await.unwrap();
    assert!(cipher.is_some_and(|cipher| cipher.starts_with("TLS_")));
    ledger.disconnect();

    let ledger = connect(&server, "", None).await.unwrap();
    assert_eq!(
        ledger.cipher().await.unwrap(),
        None,
        "on this machine nobody listens in between"
    );
    ledger.disconnect();

    for wrong in [None, Some(&another)] {
        for parameters in [
            "?require_ssl=true",
            "?require_ssl=true&verify_ca=false&verify_identity=false",
        ] {
            let begun = Instant::now();
            let error = connect(&server, parameters, wrong).await.unwrap_err();
            let text = error.to_string();
            assert!(
                text.contains("Set GRANARY_LEDGER_CA or GRANARY_LEDGER_CA_SECRET_ARN"),
                "{text}"
            );
            assert!(error.is_platforms(), "work waits for a person, and costs nothing");
            assert!(begun.elapsed() < REFUSED_WITHIN, "{:?}", begun.elapsed());
        }
    }
}

#[tokio::test]
async fn s5_a_certificate_for_another_name_is_not_taken() {
    let authority = Authority::new();
    let server = server_with(&authority.sign("DNS:db.example")).await;
    let error = connect(&server, "?require_ssl=true", Some(&authority))
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(
        text.contains("for other host names") && !text.contains("example"),
        "{text}"
    );
}

#[tokio::test]
async fn s5_a_server_without_a_certificate_or_with_one_that_nobody_signed_is_not_taken() {
    let server = LedgerServer::start().await;
    let error = connect(&server, "?require_ssl=true", None).await.unwrap_err();
    assert!(matches!(error, LedgerError::Tls { .. }), "{error}");
}
