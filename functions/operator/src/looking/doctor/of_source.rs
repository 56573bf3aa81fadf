//! Elasticsearch: whether it answers, which version it is, and whether its index can be harvested.
//!
//! What is wrong with an index is the source's to find (`Source::survey`); here it is only told apart.

use super::{Check, Finding, Standing};
use crate::services::Services;
use granary_environment::Transport;
use granary_source::{Severity, SourceProblem, Survey};
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Mappings, settings, and a sample of documents' ids.
const CHECK_SECS_MAX: u64 = 6;

pub(super) async fn checks(services: &Services) -> Vec<Check> {
    let (server, [index, fields], metadata) = tokio::join!(
        Check::of("elasticsearch", async { Ok(server(services).await) }),
        index_and_fields(services),
        Check::of("metadata", async { Ok(metadata(services).await) }),
    );
    vec![server, connection(services), index, fields, metadata]
}

fn connection(services: &Services) -> Check {
    let finding = match services.source_transport() {
        Transport::Tls => Finding::ok("encrypted; the server's certificate is verified"),
        Transport::Local => Finding::ok("not encrypted; Elasticsearch is on this machine"),
        Transport::Plain => Finding::warning(
            "not encrypted, over a network",
            "Turn TLS on in Elasticsearch, or in a proxy before it, and begin GRANARY_ES_URL with https://.",
        ),
    };
    Check {
        name: "elasticsearchConnection",
        finding,
        took: Duration::ZERO,
    }
}

async fn server(services: &Services) -> Finding {
    match services.source.version().await {
        Ok(version) => Finding::ok(format!("Elasticsearch {version}")),
        Err(SourceProblem::Denied { status, .. }) => Finding::warning(
            format!("it answers, but doesn't tell its version ({status})"),
            "Nothing, where its version is known to be 7.17 or later: the credentials lack the cluster privilege `monitor`, \
             which nothing else needs.",
        ),
        Err(problem) => Finding::speaking_for_itself(Standing::Failed, problem.to_string()),
    }
}

/// One survey tells both.
async fn index_and_fields(services: &Services) -> [Check; 2] {
    let started = Instant::now();
    let looked = timeout(Duration::from_secs(CHECK_SECS_MAX), services.source.survey()).await;
    let took = started.elapsed();
    let [index, fields] = match looked {
        Ok(survey) => told_apart(services, &survey),
        Err(_) => [
            Finding::failed(
                format!("no answer within {CHECK_SECS_MAX} s"),
                "Check that the operator's network reaches GRANARY_ES_URL, and that the cluster isn't overloaded.",
            ),
            not_looked_at(),
        ],
    };
    [("index", index), ("fields", fields)].map(|(name, finding)| Check { name, finding, took })
}

fn not_looked_at() -> Finding {
    Finding::warning(
        "not looked at, since the index couldn't be read",
        "Repair that first.",
    )
}

/// What is wrong with the index as a whole, and what with its fields.
fn told_apart(services: &Services, survey: &Survey) -> [Finding; 2] {
    let settings = &services.config.source;
    let problems = survey.problems().iter();
    let (of_fields, of_index): (Vec<_>, Vec<_>) = problems.partition(|problem| problem.is_of_fields());
    let refusals = survey.refusals();
    let finding_of = |problems: &[&SourceProblem], well: &dyn Fn() -> String| {
        let is_refused = problems.iter().any(|problem| refusals.contains(problem));
        finding_of(problems, is_refused, well)
    };
    let index = finding_of(&of_index, &|| format!("{}, which may be read", settings.index));
    let fields = if of_fields.is_empty() && index.standing == Standing::Failed {
        not_looked_at()
    } else {
        finding_of(&of_fields, &|| {
            format!(
                "ids from {}, event times from {}",
                settings.id_field, settings.time_field
            )
        })
    };
    [index, fields]
}

/// Every source of metadata, in turn.
async fn metadata(services: &Services) -> Finding {
    let sources = &services.config.metadata.sources;
    let mut problems = Vec::new();
    for from in sources {
        problems.extend(services.source.survey_metadata(from).await);
    }
    let is_refused = problems
        .iter()
        .any(|problem| problem.severity() == Severity::Refused);
    let problems: Vec<&SourceProblem> = problems.iter().collect();
    finding_of(&problems, is_refused, || {
        format!("{} sources, which can be looked up by ids", sources.len())
    })
}

/// Some problems, in their own words. Refused: nothing is read because of one of them.
fn finding_of(problems: &[&SourceProblem], is_refused: bool, well: impl FnOnce() -> String) -> Finding {
    if problems.is_empty() {
        return Finding::ok(well());
    }
    let standing = if is_refused {
        Standing::Failed
    } else {
        Standing::Warning
    };
    let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
    Finding::speaking_for_itself(standing, texts.join("; "))
}
