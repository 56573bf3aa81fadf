//! Elasticsearch: whether it answers, which version it is, and whether its index can be harvested.
//!
//! What is wrong with an index is the source's to find (`Source::check`); here it is only told apart.

use super::{Check, Finding, Standing};
use crate::services::Services;
use granary_source::SourceProblem;
use std::time::{Duration, Instant};
use tokio::time::timeout;

/// Mappings, and a sample of the newest documents' ids.
const CHECK_SECS_MAX: u64 = 6;
const MAJOR_MIN: u32 = 7;
const MINOR_MIN_OF_7: u32 = 17;

pub(super) async fn checks(services: &Services) -> Vec<Check> {
    let (server, [index, fields]) = tokio::join!(
        Check::of("elasticsearch", async { Ok(server(services).await) }),
        index_and_fields(services),
    );
    vec![server, index, fields]
}

async fn server(services: &Services) -> Finding {
    match services.source.version().await {
        Ok(version) if is_old(&version) => Finding::failed(
            format!("Elasticsearch {version}, which is too old"),
            "Granary needs Elasticsearch 7.17 or later.",
        ),
        Ok(version) => Finding::ok(format!("Elasticsearch {version}")),
        Err(SourceProblem::Denied { status, .. }) => Finding::warning(
            format!("it answers, but doesn't tell its version ({status})"),
            "Nothing, where its version is known to be 7.17 or later: the credentials lack the cluster privilege `monitor`, \
             which nothing else needs.",
        ),
        Err(problem) => Finding::speaking_for_itself(Standing::Failed, problem.to_string()),
    }
}

fn is_old(version: &str) -> bool {
    let mut parts = version.split('.').map(|part| part.parse::<u32>().ok());
    let (Some(Some(major)), Some(Some(minor))) = (parts.next(), parts.next()) else {
        return false;
    };
    (major, minor) < (MAJOR_MIN, MINOR_MIN_OF_7)
}

/// One look tells both.
async fn index_and_fields(services: &Services) -> [Check; 2] {
    let started = Instant::now();
    let looked = timeout(Duration::from_secs(CHECK_SECS_MAX), services.source.check()).await;
    let took = started.elapsed();
    let [index, fields] = match looked {
        Ok(Ok(())) => well(services),
        Ok(Err(problems)) => told_apart(services, problems),
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

fn well(services: &Services) -> [Finding; 2] {
    let settings = &services.config.source;
    [
        Finding::ok(format!("{}, which may be read", settings.index)),
        Finding::ok(format!(
            "ids from {}, event times from {}",
            settings.id_field, settings.time_field
        )),
    ]
}

fn not_looked_at() -> Finding {
    Finding::warning(
        "not looked at, since the index couldn't be read",
        "Repair that first.",
    )
}

/// What is wrong with the index as a whole, and what with its fields.
fn told_apart(services: &Services, problems: Vec<SourceProblem>) -> [Finding; 2] {
    let (of_fields, of_index): (Vec<_>, Vec<_>) = problems.into_iter().partition(is_of_a_field);
    let [index_well, fields_well] = well(services);
    let failed = |problems: &[SourceProblem]| {
        let texts: Vec<String> = problems.iter().map(ToString::to_string).collect();
        Finding::speaking_for_itself(Standing::Failed, texts.join("; "))
    };
    match (of_index.is_empty(), of_fields.is_empty()) {
        (true, true) => [index_well, fields_well],
        (true, false) => [index_well, failed(&of_fields)],
        (false, true) => [failed(&of_index), not_looked_at()],
        (false, false) => [failed(&of_index), failed(&of_fields)],
    }
}

fn is_of_a_field(problem: &SourceProblem) -> bool {
    match problem {
        SourceProblem::UnknownField { .. }
        | SourceProblem::WrongType { .. }
        | SourceProblem::Unsorted { .. }
        | SourceProblem::DocIdDiffers { .. }
        | SourceProblem::Routed { .. } => true,
        SourceProblem::Unreachable { .. }
        | SourceProblem::NotElasticsearch { .. }
        | SourceProblem::Denied { .. }
        | SourceProblem::UnknownIndex { .. }
        | SourceProblem::Remote { .. }
        | SourceProblem::BadFilter { .. }
        | SourceProblem::Unchecked(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_is_old_before_7_17_and_never_where_nobody_can_tell() {
        let old = ["6.8.23", "7.16.3", "7.17.0", "8.19.8", "9.1.0", "next"].map(is_old);
        assert_eq!(old, [true, true, false, false, false, false]);
    }
}
