//! Which connections are encrypted, and which ones production refuses.

use super::*;

fn transport_of_ledger(url: &str) -> Transport {
    Transport::of_ledger(&url.parse().unwrap())
}

#[test]
fn the_ledger_is_encrypted_where_it_is_another_machine_or_a_setting_says_so() {
    for (url, transport) in [
        ("mysql://u:p@db.example/g", Transport::Tls),
        ("mysql://u:p@10.0.0.7:3306/g", Transport::Tls),
        ("mysql://u:p@[fd00::7]/g", Transport::Tls),
        ("mysql://u:p@localhost.example/g", Transport::Tls),
        ("mysql://u:p@localhost/g?require_ssl=true", Transport::Tls),
        ("mysql://u:p@localhost/g", Transport::Local),
        ("mysql://u:p@127.0.0.1:3307/g", Transport::Local),
        ("mysql://u:p@[::1]/g", Transport::Local),
        (
            "mysql://u:p@db.example/g?socket=%2Frun%2Fmysqld.sock",
            Transport::Local,
        ),
        ("mysql://u:p@db.example/g?require_ssl=false", Transport::Plain),
    ] {
        assert_eq!(transport_of_ledger(url), transport, "{url}");
    }
}

#[test]
fn elasticsearch_is_encrypted_by_https_alone() {
    for (url, transport) in [
        ("https://es.example:9200", Transport::Tls),
        ("https://localhost:9200", Transport::Tls),
        ("http://127.0.0.1:9200", Transport::Local),
        ("http://[::1]:9200", Transport::Local),
        ("http://es.example:9200", Transport::Plain),
        ("http://127.0.0.1.example:9200", Transport::Plain),
    ] {
        assert_eq!(Transport::of_http(&url.parse().unwrap()), transport, "{url}");
    }
}

const PLAIN: [(&str, &str); 2] = [
    ("GRANARY_ES_URL", "http://es.example:9200"),
    (
        "GRANARY_LEDGER_URL",
        "mysql://u:hunter2@db.example/g?require_ssl=false",
    ),
];

#[tokio::test]
async fn s5_production_refuses_what_crosses_a_network_in_the_clear() {
    let in_production = |more: &[(&'static str, &'static str)]| {
        let settings = [&PLAIN, &[("GRANARY_ENVIRONMENT", "production")][..], more].concat();
        async move {
            read(least_with(&settings))
                .await
                .map_err(|error| error.to_string())
        }
    };
    let text = in_production(&[]).await.unwrap_err();
    assert!(text.starts_with("2 settings"), "{text}");
    for name in ["GRANARY_ES_URL", "GRANARY_LEDGER_URL"] {
        assert!(
            text.contains(&format!(
                "{name} can't be used: the connection would not be encrypted"
            )),
            "{text}"
        );
    }
    let text = in_production(&[("GRANARY_ALLOW_PLAINTEXT", "elasticsearch")])
        .await
        .unwrap_err();
    assert!(
        text.starts_with("one setting") && text.contains("GRANARY_LEDGER_URL"),
        "{text}"
    );
    let allowed = [("GRANARY_ALLOW_PLAINTEXT", "elasticsearch, ledger")];
    assert!(in_production(&allowed).await.is_ok());
    assert!(
        read(least_with(&PLAIN)).await.is_ok(),
        "staging may try things out"
    );
}

#[tokio::test]
async fn s5_what_is_misspelt_is_refused_and_does_not_take_the_care_of_production_away() {
    let text = problems_with(&[
        ("GRANARY_ENVIRONMENT", "prod"),
        ("GRANARY_ALLOW_PLAINTEXT", "mysql"),
    ])
    .await;
    assert!(
        text.starts_with("2 settings"),
        "each once, though two sections read it: {text}"
    );
    assert!(
        text.contains("no such environment") && text.contains("\"mysql\" is neither"),
        "{text}"
    );
}

#[tokio::test]
async fn s5_verification_can_not_be_turned_off_by_the_ledgers_address() {
    for parameter in ["verify_ca=false", "verify_identity=false", "built_in_roots=false"] {
        let url = format!("mysql://u:hunter2@db.example/g?require_ssl=true&{parameter}");
        let text = problems_with(&[("GRANARY_LEDGER_URL", &url)]).await;
        let name = parameter.split('=').next().unwrap();
        assert!(
            text.contains(name) && text.contains("GRANARY_LEDGER_CA"),
            "{text}"
        );
        assert!(!text.contains("hunter2"), "{text}");
    }
    for (parameter, said) in [
        ("require_ssl=no", "neither true nor false"),
        ("pool_max=9", "pool_max is Granary's"),
    ] {
        let url = format!("mysql://u:p@db.example/g?{parameter}");
        let text = problems_with(&[("GRANARY_LEDGER_URL", &url)]).await;
        assert!(text.contains(said), "{text}");
    }
}

#[tokio::test]
async fn an_authority_is_read_with_line_breaks_as_a_parameter_has_them() {
    let pem = "-----BEGIN CERTIFICATE-----\\nAAAA\\n-----END CERTIFICATE-----";
    let config = read(least_with(&[("GRANARY_ES_CA", pem), ("GRANARY_LEDGER_CA", pem)]))
        .await
        .unwrap();
    let expected = pem.replace("\\n", "\n");
    assert_eq!(config.source.ca.unwrap().pem(), expected);
    assert_eq!(config.ledger.url.current().0.ca.as_ref().unwrap().pem(), expected);
    let text = problems_with(&[("GRANARY_ES_CA", "/etc/ca.pem")]).await;
    assert!(
        text.contains("GRANARY_ES_CA can't be used: it holds no PEM certificate"),
        "{text}"
    );
}

#[test]
fn a_certificate_that_is_not_trusted_is_told_with_its_setting_and_without_the_host() {
    let told = |why: &str| {
        let reason = format!("could not connect: invalid peer certificate: {why}");
        Service::Ledger.distrust(&reason).unwrap()
    };
    assert!(told("UnknownIssuer").contains("Set GRANARY_LEDGER_CA or GRANARY_LEDGER_CA_SECRET_ARN"));
    let names = told("certificate not valid for name \"db.example\"; certificate is only valid for x");
    assert!(
        names.contains("GRANARY_LEDGER_URL") && !names.contains("example"),
        "{names}"
    );
    assert_eq!(Service::Elasticsearch.distrust("connection refused"), None);
}
