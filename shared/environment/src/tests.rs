use super::*;
use granary_domain::{BatchId, Compression, Format, Generation, Hour, IdentitySetting};
use secrecy::ExposeSecret;
use std::time::Duration;

mod rotation;
mod transport;

/// A configuration of every section, as a function would have it.
#[derive(Debug)]
struct Everything {
    ledger: LedgerSection,
    source: SourceSection,
    metadata: MetadataSection,
    archive: ArchiveSection,
    queue: QueueSection,
    dead_letters: DeadLetterSection,
    retry: RetrySection,
}

async fn read(mut env: Environment) -> Result<Everything, InvalidEnvironment> {
    let aws = aws_config::SdkConfig::builder().build();
    let ledger = LedgerSection::read(&mut env, &aws).await;
    let source = SourceSection::read(&mut env, &aws).await;
    let metadata = MetadataSection::read(&mut env);
    let archive = ArchiveSection::read(&mut env);
    let queue = QueueSection::read(&mut env);
    let dead_letters = DeadLetterSection::read(&mut env);
    let retry = RetrySection::read(&mut env);
    env.finish(|| {
        Ok(Everything {
            ledger: ledger?,
            source: source?,
            metadata: metadata?,
            archive: archive?,
            queue: queue?,
            dead_letters: dead_letters?,
            retry: retry?,
        })
    })
}

const LEAST: [(&str, &str); 8] = [
    (
        "GRANARY_LEDGER_URL",
        "mysql://granary:pa%40ss@127.0.0.1:3307/granary",
    ),
    ("GRANARY_ES_URL", "http://127.0.0.1:9200"),
    ("GRANARY_SOURCE_INDEX", "messages-*"),
    ("GRANARY_SOURCE_TIME_FIELD", "@timestamp"),
    ("GRANARY_SOURCE_NAME", "messages"),
    ("GRANARY_BUCKET", "granary-archive"),
    ("GRANARY_QUEUE_URL", "http://127.0.0.1:4566/000000000000/batches"),
    (
        "GRANARY_PRIORITY_QUEUE_URL",
        "http://127.0.0.1:4566/000000000000/batches-priority",
    ),
];

/// The least environment, with some variables changed or added.
fn least_with<'a>(changes: &[(&'a str, &'a str)]) -> Environment {
    Environment::from_variables(LEAST.into_iter().chain(changes.iter().copied()))
}

fn url_of(ledger: &LedgerSection) -> String {
    ledger.url.current().0.url.expose_secret().to_owned()
}

async fn problems_with(changes: &[(&str, &str)]) -> String {
    read(least_with(changes)).await.unwrap_err().to_string()
}

#[tokio::test]
async fn the_least_environment_gets_the_documented_defaults() {
    let config = read(least_with(&[])).await.unwrap();
    assert_eq!(url_of(&config.ledger), LEAST[0].1);
    assert!(config.source.credentials.is_none());
    assert_eq!(
        (
            config.source.id_field.as_str(),
            config.source.doc_id_is_message_id
        ),
        ("_id", false)
    );
    assert_eq!((config.source.filter, config.metadata.sources.len()), (None, 0));
    assert_eq!(
        (config.archive.format, config.archive.compression),
        (Format::Ndjson, Compression::Zstd)
    );
    let hour = Hour::of("2026-11-22T06:00:00Z".parse().unwrap());
    assert_eq!(
        config
            .archive
            .layout
            .manifest(hour, BatchId(1), Generation(1))
            .as_str(),
        "source=messages/_manifests/dt=2026-11-22/batch-1-g1.json"
    );
    assert_eq!(config.queue.queue_url, LEAST[6].1);
    assert_eq!(config.dead_letters.dlq_url, None);
    assert_eq!(
        (config.retry.attempts_max, config.retry.backoff.first),
        (5, Duration::from_secs(5))
    );
}

#[tokio::test]
async fn d5_an_identity_is_what_the_sections_say_and_no_address_holds_a_password() {
    let config = read(least_with(&[
        ("GRANARY_PREFIX", "/archive/"),
        ("GRANARY_ES_URL", "http://granary:secret@127.0.0.1:9200"),
    ]))
    .await
    .unwrap();
    let aws = aws_config::SdkConfig::builder().build();
    let identity = identity_of(&config.archive, &config.source, &config.queue, &aws);
    let values: Vec<_> = IdentitySetting::ALL
        .iter()
        .map(|setting| identity.value(*setting))
        .collect();
    let expected = [
        Some("messages"),
        Some("granary-archive"),
        Some("archive"),
        Some("000000000000"),
        None,
        Some("_id"),
        Some("@timestamp"),
    ];
    assert_eq!(values, expected, "the region isn't known");
    let settings = source_settings_of(&config.source, &config.metadata);
    let values: Vec<&str> = settings.iter().map(|(_, value)| value.as_str()).collect();
    assert_eq!(values, ["messages-*", "", "[]", "http://127.0.0.1:9200/"]);
}

#[tokio::test]
async fn everything_that_is_wrong_is_told_at_once_in_the_order_of_reading() {
    let text = problems_with(&[
        ("GRANARY_BUCKET", ""),
        ("GRANARY_COMPRESSION", "lz4"),
        ("GRANARY_MAX_ATTEMPTS", "0"),
        ("GRANARY_SOURCE_FILTER", "[1]"),
    ])
    .await;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(
        lines,
        [
            "4 settings are missing or wrong:",
            "1. GRANARY_SOURCE_FILTER is `[1]` (it is JSON, but not an object). Set it to a query that only \
             messages match, as query DSL in a JSON object such as {\"term\":{\"kind\":\"mail\"}}.",
            "2. GRANARY_BUCKET is not set. Set it to the name of the S3 bucket that the archive lies in.",
            "3. GRANARY_COMPRESSION is `lz4` (\"lz4\" is not a compression; it is one of: zstd, gzip, none). \
             Set it to zstd (which it is if unset), gzip or none.",
            "4. GRANARY_MAX_ATTEMPTS is `0`. Set it to how often a batch is tried before it is parked: a whole \
             number from 1 to 100, 5 if unset.",
        ]
    );
}

#[tokio::test]
async fn an_empty_environment_lists_every_required_variable_once() {
    let text = read(Environment::from_variables([]))
        .await
        .unwrap_err()
        .to_string();
    for (name, _) in LEAST {
        assert_eq!(
            text.matches(&format!("{name} is not set")).count(),
            1,
            "{name} in:\n{text}"
        );
    }
    assert_eq!(text.lines().count(), LEAST.len() + 1, "{text}");
}

#[tokio::test]
async fn nothing_secret_is_shown_in_an_error_or_in_a_configuration() {
    for (name, value) in [
        ("GRANARY_LEDGER_URL", "postgres://granary:hunter2@db/granary"),
        ("GRANARY_LEDGER_URL", "mysql://granary:hunter2@db"),
        ("GRANARY_LEDGER_URL", "hunter2"),
        ("GRANARY_LEDGER_URL", "mysql://granary:hunter2@db:99999/granary"),
        ("GRANARY_ES_URL", "elastic:hunter2@es:9200"),
        ("GRANARY_ES_URL", "https://elastic:hunter2@es:9200/?x=1"),
        ("GRANARY_ES_URL", "https://hunter2@es:9200"),
        ("GRANARY_ES_URL", "https://elastic:hunter2%ff@es:9200"),
    ] {
        let text = problems_with(&[(name, value)]).await;
        assert!(text.contains(name) && !text.contains("hunter2"), "{text}");
    }
    let config = read(least_with(&[
        ("GRANARY_ES_URL", "https://elastic:hunter2@es:9200"),
        ("GRANARY_LEDGER_URL", "mysql://granary:hunter2@db/granary"),
    ]))
    .await
    .unwrap();
    assert!(!format!("{config:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_user_in_the_address_of_elasticsearch_becomes_a_credential() {
    let config = read(least_with(&[(
        "GRANARY_ES_URL",
        "https://ela%40stic:p%3Ass@es:9200/path",
    )]))
    .await
    .unwrap();
    assert_eq!(config.source.url.as_str(), "https://es:9200/path");
    let (credentials, _) = config.source.credentials.unwrap().current();
    let SourceCredentials::User { name, password } = &*credentials else {
        panic!("no user")
    };
    assert_eq!((name.as_str(), password.expose_secret()), ("ela@stic", "p:ss"));
}

#[tokio::test]
async fn metadata_sources_that_cannot_be_read_are_named_by_position() {
    let wrong_at =
        |json: &'static str| async move { problems_with(&[("GRANARY_METADATA_SOURCES", json)]).await };
    let text = wrong_at("[{\"name\":\"history\",\"index\":\"h\"}]").await;
    assert!(text.contains("missing field `key` at line 1 column 31"), "{text}");
    let text = wrong_at("[{\"name\":\"message\",\"index\":\"h\",\"key\":\"k\"}]").await;
    assert!(text.contains("is one of a line's own fields"), "{text}");
    let text = wrong_at("[{\"name\":\"dt\",\"index\":\"h\",\"key\":\"k\"}]").await;
    assert!(text.contains("is one of the archive's partitions"), "{text}");
    let twice =
        "[{\"name\":\"a\",\"index\":\"h\",\"key\":\"k\"},{\"name\":\"a\",\"index\":\"i\",\"key\":\"k\"}]";
    let text = wrong_at(twice).await;
    assert!(text.contains("two of them have the name \"a\""), "{text}");
}

/// A table over the archive takes `name=value` in a prefix for a column as well.
#[tokio::test]
async fn a_prefix_whose_folders_would_be_columns_twice_is_refused() {
    for (prefix, part) in [
        ("archive/version=2", "is one of a line's own fields"),
        ("archive/dt=2020-01-01", "is one of the archive's partitions"),
        ("Hour=1/archive", "is one of the archive's partitions"),
        (
            "env=a/ENV=b",
            "the folders env=… as a column, which would be there twice",
        ),
    ] {
        let text = problems_with(&[("GRANARY_PREFIX", prefix)]).await;
        assert!(text.contains("GRANARY_PREFIX") && text.contains(part), "{text}");
    }
    let sources = r#"[{"name":"status","index":"s","key":"k"}]"#;
    let with_prefix =
        |prefix: &'static str| [("GRANARY_PREFIX", prefix), ("GRANARY_METADATA_SOURCES", sources)];
    let text = problems_with(&with_prefix("archive/status=live")).await;
    assert!(
        text.contains("is also a folder of GRANARY_PREFIX (status=…)"),
        "{text}"
    );
    read(least_with(&with_prefix("archive/env=live"))).await.unwrap();
}

#[tokio::test]
async fn gz_is_another_word_for_gzip() {
    let config = read(least_with(&[
        ("GRANARY_COMPRESSION", "gz"),
        ("GRANARY_FORMAT", "json"),
    ]))
    .await
    .unwrap();
    assert_eq!(
        (config.archive.compression, config.archive.format),
        (Compression::Gzip, Format::Json)
    );
}

#[test]
fn a_problem_that_only_the_caller_sees_stops_the_function_too() {
    const BUCKET: Variable = Variable {
        name: "GRANARY_BUCKET",
        holds: "a bucket",
    };
    let mut env = Environment::from_variables([]);
    let _ = env.refuse(BUCKET, "it is in another region");
    let error = env.finish(|| Ok(())).unwrap_err().to_string();
    assert!(error.ends_with("1. GRANARY_BUCKET can't be used: it is in another region. Set it to a bucket."));
}

/// `local/` writes the environment of the local stack; what it writes must be what is read here.
#[tokio::test]
async fn the_environment_of_the_local_stack_is_valid() {
    if let Err(error) = read(Environment::from_process()).await {
        panic!("start the local stack with `make up` and read .local/env; {error}");
    }
}

/// The secrets of these tests are real ones, in the Secrets Manager of the local stack.
mod secrets {
    use super::*;
    use aws_sdk_secretsmanager::Client;

    pub(super) struct Kept {
        client: Client,
        pub(super) arn: String,
    }

    impl Kept {
        pub(super) async fn new(name: &str, text: &str) -> Self {
            assert!(
                std::env::var("AWS_ENDPOINT_URL").is_ok(),
                "AWS_ENDPOINT_URL is not set: start the local stack with `make up` and read .local/env"
            );
            let client = Client::new(&aws::sdk_config().await);
            let unique = format!("granary-test-{name}-{}", uuid::Uuid::now_v7());
            let created = client
                .create_secret()
                .name(unique)
                .secret_string(text)
                .send()
                .await
                .unwrap();
            Self {
                client,
                arn: created.arn.unwrap(),
            }
        }

        /// The new text is the current version, and the one before it the previous one.
        pub(super) async fn rotate(&self, text: &str) {
            let put = self.client.put_secret_value().secret_id(&self.arn);
            put.secret_string(text).send().await.unwrap();
        }

        pub(super) async fn forget(self) {
            let deleted = self
                .client
                .delete_secret()
                .secret_id(self.arn)
                .force_delete_without_recovery(true);
            deleted.send().await.unwrap();
        }
    }

    async fn ledger(variables: &[(&str, &str)]) -> Result<String, InvalidEnvironment> {
        let mut env = Environment::from_variables(variables.iter().copied());
        let ledger = LedgerSection::read(&mut env, &aws::sdk_config().await).await;
        env.finish(|| ledger).map(|ledger| url_of(&ledger))
    }

    #[tokio::test]
    async fn the_ledger_is_read_from_a_url_or_from_the_fields_that_rds_keeps() {
        let url = Kept::new("url", "mysql://u:p@db:3306/granary").await;
        let both = Kept::new(
            "both",
            "{\"username\":\"u\",\"password\":\"p@/\",\"host\":\"db\",\"dbname\":\"g\"}",
        )
        .await;
        assert_eq!(
            ledger(&[("GRANARY_LEDGER_SECRET_ARN", &url.arn)]).await.unwrap(),
            "mysql://u:p@db:3306/granary"
        );
        assert_eq!(
            ledger(&[("GRANARY_LEDGER_SECRET_ARN", &both.arn)]).await.unwrap(),
            "mysql://u:p%40%2F@db:3306/g"
        );
        let proxied = ledger(&[
            ("GRANARY_LEDGER_SECRET_ARN", &both.arn),
            ("GRANARY_LEDGER_URL", "mysql://proxy:3306/h"),
        ])
        .await;
        assert_eq!(proxied.unwrap(), "mysql://u:p%40%2F@proxy:3306/h");
        url.forget().await;
        both.forget().await;
    }

    #[tokio::test]
    async fn a_secret_that_is_not_there_is_one_of_the_problems() {
        let arn = "arn:aws:secretsmanager:us-east-1:000000000000:secret:granary-absent-AbCdEf";
        let text = ledger(&[("GRANARY_LEDGER_SECRET_ARN", arn)])
            .await
            .unwrap_err()
            .to_string();
        assert!(
            text.contains(arn) && text.contains("there is no such secret"),
            "{text}"
        );
    }

    #[tokio::test]
    async fn an_api_key_is_read_and_a_malformed_secret_is_not_quoted() {
        let key = Kept::new("key", "{\"api_key\":\"hunter2\"}").await;
        let config = read_source(&key.arn).await.unwrap();
        let (credentials, _) = config.credentials.unwrap().current();
        let SourceCredentials::ApiKey(read) = &*credentials else {
            panic!("no API key")
        };
        assert_eq!(read.expose_secret(), "hunter2");
        key.forget().await;

        let wrong = Kept::new("wrong", "hunter2").await;
        let text = read_source(&wrong.arn).await.unwrap_err().to_string();
        assert!(
            text.contains("not a JSON object") && !text.contains("hunter2"),
            "{text}"
        );
        wrong.forget().await;
    }

    async fn read_source(arn: &str) -> Result<SourceSection, InvalidEnvironment> {
        let mut env = least_with(&[("GRANARY_ES_SECRET_ARN", arn)]);
        let source = SourceSection::read(&mut env, &aws::sdk_config().await).await;
        env.finish(|| source)
    }
}

#[test]
fn every_variable_of_a_section_is_in_the_table() {
    let table = include_str!("lib.rs");
    let sections = [
        include_str!("ledger.rs"),
        include_str!("source.rs"),
        include_str!("metadata.rs"),
        include_str!("archive.rs"),
        include_str!("queue.rs"),
        include_str!("retry.rs"),
        include_str!("deployment.rs"),
        include_str!("transport.rs"),
        include_str!("ca.rs"),
    ];
    for section in sections {
        for name in section
            .split("name: \"GRANARY_")
            .skip(1)
            .filter_map(|rest| rest.split('"').next())
        {
            assert!(
                table.contains(&format!("| `{name}` |")),
                "{name} is not in the table of lib.rs"
            );
        }
    }
}
