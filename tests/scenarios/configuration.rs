//! Functions that are told nonsense, or that are pointed at a source that can't be harvested: they don't start, and they
//! say everything that is wrong at once, each with what to do, and no secret.

use crate::stage::{Document, Function, Stage};
use serde_json::json;
use std::collections::{BTreeMap, BTreeSet};

/// Stands in everything that is secret.
const SECRET: &str = "hunter2";

const ALL: &[&str] = &["harvester", "exporter", "reaper", "operator"];
const OF_THE_ARCHIVE: &[&str] = ALL;
const OF_METADATA: &[&str] = ALL;
const OF_THE_HARVEST: &[&str] = &["harvester", "reaper", "operator"];
const OF_RETRIES: &[&str] = &["exporter", "reaper", "operator"];
const OF_LEASES: &[&str] = &["harvester", "exporter"];

/// Settings that must be there, and who reads them.
const REQUIRED: [(&str, &[&str]); 9] = [
    ("GRANARY_LEDGER_URL", ALL),
    ("GRANARY_ES_URL", ALL),
    ("GRANARY_SOURCE_INDEX", ALL),
    ("GRANARY_SOURCE_TIME_FIELD", ALL),
    ("GRANARY_QUEUE_URL", ALL),
    ("GRANARY_PRIORITY_QUEUE_URL", ALL),
    ("GRANARY_SOURCE_NAME", OF_THE_ARCHIVE),
    ("GRANARY_BUCKET", OF_THE_ARCHIVE),
    ("GRANARY_ALERT_TOPIC_ARN", &["reaper"]),
];

/// Settings that are wrong, each in its own way, and who reads them. An empty one is missing.
const WRONG: [(&str, &str, &[&str]); 39] = [
    ("GRANARY_TOKENS", "hunter2", &["operator"]),
    ("GRANARY_ALLOW_PLAINTEXT", "mysql", ALL),
    ("GRANARY_LEDGER_CA", "/etc/ca.pem", ALL),
    ("GRANARY_ES_CA", "/etc/ca.pem", ALL),
    ("GRANARY_LEDGER_URL", "postgres://granary:hunter2@db/granary", ALL),
    ("GRANARY_ES_URL", "ftp://granary:hunter2@es:9200", ALL),
    ("GRANARY_SOURCE_INDEX", "messages/2026", ALL),
    ("GRANARY_SOURCE_TIME_FIELD", "", ALL),
    ("GRANARY_SOURCE_DOC_ID", "yes", ALL),
    ("GRANARY_SOURCE_FILTER", "{\"term\":", ALL),
    ("GRANARY_QUEUE_URL", "batches", ALL),
    ("GRANARY_PRIORITY_QUEUE_URL", "", ALL),
    (
        "GRANARY_METADATA_SOURCES",
        "[{\"name\":\"history\"}]",
        OF_METADATA,
    ),
    ("GRANARY_SOURCE_NAME", "Messages of 2026", OF_THE_ARCHIVE),
    ("GRANARY_BUCKET", "My_Bucket", OF_THE_ARCHIVE),
    ("GRANARY_PREFIX", "a//b", OF_THE_ARCHIVE),
    ("GRANARY_COMPRESSION", "rar", OF_THE_ARCHIVE),
    ("GRANARY_FORMAT", "xml", OF_THE_ARCHIVE),
    ("GRANARY_MAX_ATTEMPTS", "0", OF_RETRIES),
    ("GRANARY_RETRY_DELAY_MS", "5s", OF_RETRIES),
    ("GRANARY_HARVEST_INTERVAL", "1h", OF_THE_HARVEST),
    ("GRANARY_HARVEST_LAG_SECONDS", "-1", OF_THE_HARVEST),
    ("GRANARY_RESCAN_AFTER_SECONDS", "15m", OF_THE_HARVEST),
    ("GRANARY_RESCAN_DAYS", "365", OF_THE_HARVEST),
    ("GRANARY_VERIFY_AFTER_SECONDS", "1h", &["reaper"]),
    ("GRANARY_VERIFY_EVERY_DAYS", "monthly", &["reaper"]),
    ("GRANARY_VERIFY_QUIET_HOURS", "8", &["reaper"]),
    ("GRANARY_PURGE_AFTER_DAYS", "-1", &["reaper"]),
    ("GRANARY_RESCAN_HOUR", "24", OF_THE_HARVEST),
    ("GRANARY_BATCH_SIZE", "10001", OF_THE_HARVEST),
    ("GRANARY_LEASE_SECONDS", "soon", OF_LEASES),
    ("GRANARY_SWEEP_AGE_SECONDS", "60", &["reaper", "operator"]),
    ("GRANARY_VERIFY_LINES", "all", &["reaper", "operator"]),
    ("GRANARY_ALERT_TOPIC_ARN", "", &["reaper"]),
    ("GRANARY_FAILURE_RATE_THRESHOLD", "10%", &["reaper"]),
    ("GRANARY_HISTORY_DAYS", "a year", &["reaper"]),
    (
        "GRANARY_SEED_ES_URL",
        "ssh://granary:hunter2@es",
        &["reaper", "operator"],
    ),
    (
        "GRANARY_SEED_ES_SECRET",
        "{\"password\":\"hunter2\"}",
        &["reaper", "operator"],
    ),
    ("GRANARY_LISTEN", "8787", &["operator"]),
];

/// A function that is told this and where AWS is, and nothing else.
fn told(function: &str, settings: &[(&str, &str)]) -> Function {
    let mut environment: BTreeMap<String, String> = std::env::vars()
        .filter(|(name, _)| name.starts_with("AWS_"))
        .collect();
    environment.extend(
        settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    Function::new(function, &environment)
}

/// The settings that a function complains of, each in a numbered line with its remedy, and all of them in one line of
/// the log.
fn complaints(written: &str) -> BTreeSet<&str> {
    let numbered = written.lines().filter_map(|line| line.split_once(". GRANARY_"));
    let numbered: Vec<_> = numbered
        .filter(|(number, _)| number.parse::<u32>().is_ok())
        .collect();
    let expected: Vec<String> = (1..=numbered.len()).map(|number| number.to_string()).collect();
    assert!(
        numbered.iter().map(|(number, _)| *number).eq(expected),
        "{written}"
    );
    assert!(
        numbered.iter().all(|(_, text)| text.contains(" Set it to ")),
        "{written}"
    );
    let log: Vec<_> = written
        .lines()
        .filter(|line| line.contains("can't start"))
        .collect();
    assert_eq!(log.len(), 1, "{written}");
    let names = numbered.iter().map(|(_, text)| text.split(' ').next().unwrap());
    let names: BTreeSet<_> = names.collect();
    assert!(names.iter().all(|name| log[0].contains(name)), "{written}");
    names
}

fn read_by<'a>(
    function: &str,
    settings: impl Iterator<Item = (&'a str, &'a [&'a str])>,
) -> BTreeSet<&'a str> {
    settings
        .filter(|(_, readers)| readers.contains(&function))
        .map(|(name, _)| name.strip_prefix("GRANARY_").unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_function_that_is_told_nothing_says_everything_that_it_needs() {
    for function in ALL {
        let written = told(function, &[]).refusal().await;
        assert_eq!(
            complaints(&written),
            read_by(function, REQUIRED.into_iter()),
            "{function}"
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s2_everything_that_is_wrong_is_said_at_once_and_no_secret() {
    let mut settings: Vec<_> = WRONG.map(|(name, value, _)| (name, value)).into();
    settings.extend([("GRANARY_ALLOW_SEEDING", "true"), ("GRANARY_LOG", "trace")]);
    for function in ALL {
        let written = told(function, &settings).refusal().await;
        let wrong = WRONG.into_iter().map(|(name, _, readers)| (name, readers));
        assert_eq!(complaints(&written), read_by(function, wrong), "{function}");
        assert!(!written.contains(SECRET), "{function}: {written}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn s1_seeding_in_production_keeps_whoever_could_do_it_from_starting() {
    let stage = Stage::new("production").await;
    let settings = [
        ("GRANARY_ENVIRONMENT", "production"),
        ("GRANARY_ALLOW_SEEDING", "true"),
        ("GRANARY_SEED_ES_URL", "http://127.0.0.1:1"),
    ];
    for function in ["reaper", "operator"] {
        let written = stage.another(function, &settings).refusal().await;
        assert_eq!(complaints(&written), BTreeSet::from(["ALLOW_SEEDING"]));
        assert!(written.contains("never written in production"), "{written}");
    }
    stage.finish().await;
}

/// What a harvester says that is pointed at something else than its stage's index, and leaves the ledger untouched.
async fn refusal_of_source(stage: &Stage, settings: &[(&str, &str)]) -> String {
    let written = stage.another("harvester", settings).refusal().await;
    let opening = "the source can't be harvested:";
    let (_, problems) = written
        .rsplit_once(opening)
        .unwrap_or_else(|| panic!("{written}"));
    let rows: u64 = stage
        .row("SELECT (SELECT COUNT(*) FROM migration) + (SELECT COUNT(*) FROM harvest_window) + (SELECT COUNT(*) FROM message)")
        .await;
    assert_eq!(rows, 0);
    problems.trim().to_owned()
}

/// Field cases 3 and 4: whether the remote cluster is there or not, nothing is read of a source that names it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h15_e2_a_remote_cluster_among_the_names_is_refused_at_start_and_by_the_doctor() {
    let mut stage = Stage::new("remote").await;
    let index = stage.indices.messages.clone();
    for names in [format!("{index},r:{index}"), "*:*".to_owned()] {
        let problems = refusal_of_source(&stage, &[("GRANARY_SOURCE_INDEX", &names)]).await;
        let remote = names.rsplit(',').next().unwrap();
        assert!(
            problems.starts_with(&format!("- {remote:?} names a remote cluster"))
                && problems.lines().count() == 1,
            "{problems}"
        );
    }
    stage.tell(&[("GRANARY_SOURCE_INDEX", &format!("{index},r:{index}"))]);
    let operator = stage.listen(&[]).await;
    let examination = operator.granary("--json doctor").await.json();
    let checks = examination["checks"].as_array().unwrap();
    let of_index = checks.iter().find(|check| check["check"] == "index").unwrap();
    assert_eq!(of_index["status"], "failed", "{of_index:#}");
    let (status, answer) = operator
        .ask(
            "POST /verify",
            Some(json!({"from": "2026-03-01T10:00:00Z", "to": "2026-03-01T11:00:00Z"})),
        )
        .await;
    assert!(
        !answer.to_string().contains("COMPLETE"),
        "nothing is proven by what a search happens to reach: {status} {answer}"
    );
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_harvester_that_is_pointed_nowhere_says_what_to_check() {
    let stage = Stage::new("nowhere").await;
    let absent = format!("absent-{}", stage.id);
    let problems = refusal_of_source(&stage, &[("GRANARY_SOURCE_INDEX", &absent)]).await;
    assert_eq!(
        problems,
        format!(
            "- {absent:?} stands for no index, or one of its names doesn't. Create it, or correct GRANARY_SOURCE_INDEX"
        )
    );

    // Nothing listens on port 1, and what listens where AWS is isn't Elasticsearch.
    let nobody = format!("http://granary:{SECRET}@127.0.0.1:1");
    let problems = refusal_of_source(&stage, &[("GRANARY_ES_URL", &nobody)]).await;
    assert!(
        problems.starts_with("- Elasticsearch can't be reached: could not connect"),
        "{problems}"
    );
    assert!(
        problems.contains("Check scheme, host and port in GRANARY_ES_URL"),
        "{problems}"
    );
    assert!(
        !problems.contains(SECRET) && !problems.contains("127.0.0.1"),
        "{problems}"
    );

    let aws = std::env::var("AWS_ENDPOINT_URL").unwrap();
    let problems = refusal_of_source(&stage, &[("GRANARY_ES_URL", &aws)]).await;
    assert!(
        problems.contains("at GRANARY_ES_URL is not Elasticsearch 7.17 or later"),
        "{problems}"
    );
    stage.finish().await;
}

/// The one index is unfit (the id is text, the time isn't there), and so is the filter.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn h15_h9_a_source_with_several_problems_is_refused_before_the_first_page_with_all_of_them() {
    let stage = Stage::new("unfit").await;
    let indices = &stage.indices;
    let unfit = &indices.more_messages;
    let text = json!({"mappings": {"dynamic": false, "properties": {"message_id": {"type": "text"}}}});
    indices.create(unfit, text).await;
    indices
        .write(unfit, &[Document::message("m-0", "2026-03-01T10:30:00Z")])
        .await;
    let settings = [
        ("GRANARY_SOURCE_INDEX", unfit.as_str()),
        ("GRANARY_SOURCE_FILTER", "{\"no_such_query\":{}}"),
    ];
    let problems = refusal_of_source(&stage, &settings).await;
    let problems: Vec<&str> = problems.lines().collect();
    assert_eq!(problems.len(), 3, "{problems:#?}");
    let missing = format!(
        "- the field \"created_at\" (GRANARY_SOURCE_TIME_FIELD) isn't mapped in {unfit}, which hold documents. Correct the \
         name, or map it there"
    );
    assert_eq!(problems[1], missing);
    assert!(
        problems[0].starts_with("- GRANARY_SOURCE_FILTER isn't a query that Elasticsearch takes: "),
        "{problems:#?}"
    );
    let text = format!(
        "- the field \"message_id\" (GRANARY_SOURCE_ID_FIELD) must be a keyword or a whole number, but is text in {unfit}. \
         Name its keyword sub-field (often \"message_id.keyword\") if every index has one, or reindex these"
    );
    assert_eq!(problems[2], text);
    stage.finish().await;
}
