//! `GET /doctor`: everything that Granary needs, looked at one by one, with what to do where it isn't well.
//!
//! Nothing is changed, and no message is read. What can be told only by doing it (whether the exporter may write to the bucket)
//! isn't told here but by the causes of failures. Each check stands alone and has its time: what can't be asked has failed,
//! and the others are told all the same. The answer is always 200; `GET /health/ready` is what a load balancer asks.

mod of_source;
mod of_ledger;
mod of_aws;
mod of_work;

use crate::queueing::queue_health;
use crate::services::Services;
use crate::web::answer::Answer;
use crate::web::caller::Caller;
use crate::web::fields::QueryFields;
use crate::web::problem::Problem;
use axum::Extension;
use axum::extract::State;
use granary_tokens::Role;
use serde::Serialize;
use std::sync::Arc;
use std::time::{Duration, Instant};
use tokio::time::timeout;
use utoipa::ToSchema;

/// All checks go on at once, and the whole request has ten seconds.
const CHECK_SECS_MAX: u64 = 5;

/// What an examination found.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct Examination {
    /// The worst that was found.
    status: Standing,
    /// How many checks came to what.
    counts: ExaminationCounts,
    /// Each check, in the order of a message's way.
    checks: Vec<ExaminedCheck>,
    /// What this token may do: `viewer` or `operator`.
    #[schema(examples("operator"))]
    role: &'static str,
    /// Granary's version.
    #[schema(examples("0.1.0"))]
    version: &'static str,
    /// The source's name.
    #[schema(examples("messages"))]
    source: String,
}

/// How it stands with something.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "lowercase")]
#[schema(as = ExaminedStanding)]
enum Standing {
    /// As it should.
    Ok,
    /// It works, and somebody should look at it.
    Warning,
    /// It keeps Granary from its work.
    Failed,
}

/// How many checks came to what.
#[derive(Debug, Serialize, ToSchema)]
struct ExaminationCounts {
    /// That all is well.
    ok: usize,
    /// That somebody should look.
    warning: usize,
    /// That Granary is kept from its work.
    failed: usize,
}

/// One thing that was looked at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
struct ExaminedCheck {
    /// Its name, which stays.
    #[schema(examples("deadLetters"))]
    check: &'static str,
    /// How it stands.
    status: Standing,
    /// What was found, for people.
    #[schema(examples("2 in dead-letters"))]
    found: String,
    /// What to do; `null` where it is well, or where `found` says so already.
    #[schema(examples("Move them back: granary redrive"))]
    remedy: Option<String>,
    /// What looking took.
    milliseconds: u64,
}

/// What a look came to.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Finding {
    standing: Standing,
    found: String,
    /// What to do; where it is `None` for what isn't well, `found` says so already.
    remedy: Option<String>,
}

impl Finding {
    fn ok(found: impl Into<String>) -> Self {
        Self {
            standing: Standing::Ok,
            found: found.into(),
            remedy: None,
        }
    }

    fn warning(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            standing: Standing::Warning,
            found: found.into(),
            remedy: Some(remedy.into()),
        }
    }

    fn failed(found: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            standing: Standing::Failed,
            found: found.into(),
            remedy: Some(remedy.into()),
        }
    }

    /// The same with words of its own about what to do.
    fn speaking_for_itself(standing: Standing, found: String) -> Self {
        Self {
            standing,
            found,
            remedy: None,
        }
    }

    /// What the queues' health found, in this form.
    fn of_health(finding: queue_health::Finding, well: &str, remedy: &str) -> Self {
        match finding {
            queue_health::Finding::Well => Self::ok(well),
            queue_health::Finding::Worrying(found) | queue_health::Finding::Unknown(found) => {
                Self::warning(found, remedy)
            }
        }
    }

    fn of_problem(problem: &Problem) -> Self {
        Self {
            standing: Standing::Failed,
            found: problem.reason().to_owned(),
            remedy: problem.what_to_do().map(str::to_owned),
        }
    }
}

/// One thing, looked at.
struct Check {
    name: &'static str,
    finding: Finding,
    took: Duration,
}

impl Check {
    /// Waits for a look at something, but not for long.
    async fn of(name: &'static str, look: impl Future<Output = Result<Finding, Problem>>) -> Self {
        let started = Instant::now();
        let finding = match timeout(Duration::from_secs(CHECK_SECS_MAX), look).await {
            Ok(Ok(finding)) => finding,
            Ok(Err(problem)) => Finding::of_problem(&problem),
            Err(_) => Finding::failed(
                format!("no answer within {CHECK_SECS_MAX} s"),
                "Check that the operator's network reaches it: security groups, routes, VPC endpoints.",
            ),
        };
        Self {
            name,
            finding,
            took: started.elapsed(),
        }
    }

    fn shown(self) -> ExaminedCheck {
        ExaminedCheck {
            check: self.name,
            status: self.finding.standing,
            found: self.finding.found,
            remedy: self.finding.remedy,
            milliseconds: u64::try_from(self.took.as_millis()).unwrap_or(u64::MAX),
        }
    }
}

/// Look at everything that Granary needs, and say what to do where it isn't well
///
/// Elasticsearch, index and fields, the ledger with its schema, permissions and clock, bucket, queues and dead letters, topic,
/// schedules, consumers, and the work itself. Nothing is changed; each check has its time, and the answer is always 200.
#[utoipa::path(get, path = "/doctor")]
pub(crate) async fn examine(
    State(services): State<Arc<Services>>,
    Extension(caller): Extension<Caller>,
    QueryFields(query): QueryFields,
) -> Result<Answer<Examination>, Problem> {
    query.only(&[])?;
    // In the order of a message's way.
    let (source, ledger, aws, work) = tokio::join!(
        of_source::checks(&services),
        of_ledger::checks(&services),
        of_aws::checks(&services),
        of_work::checks(&services),
    );
    let checks: Vec<ExaminedCheck> = [source, ledger, aws, work, vec![of_role(caller.role())]]
        .into_iter()
        .flatten()
        .map(Check::shown)
        .collect();
    let count = |standing| checks.iter().filter(|check| check.status == standing).count();
    Ok(Answer::ok(Examination {
        status: worst(&checks),
        counts: ExaminationCounts {
            ok: count(Standing::Ok),
            warning: count(Standing::Warning),
            failed: count(Standing::Failed),
        },
        role: caller.role().as_str(),
        version: env!("CARGO_PKG_VERSION"),
        source: services.config.archive.source_name.clone(),
        checks,
    }))
}

fn worst(checks: &[ExaminedCheck]) -> Standing {
    let standings = checks.iter().map(|check| check.status);
    standings.max().unwrap_or(Standing::Ok)
}

fn of_role(role: Role) -> Check {
    let finding = match role {
        Role::Operator => Finding::ok("an operator's token, which may look and change"),
        Role::Viewer => Finding::warning(
            "a viewer's token, which may only look",
            "To change anything, use an operator's token.",
        ),
    };
    Check {
        name: "token",
        finding,
        took: Duration::ZERO,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::web::problem::Kind;

    #[tokio::test]
    async fn what_can_not_be_asked_has_failed_and_is_told_with_its_remedy() {
        let check = Check::of("queues", async {
            Err(Problem::new(Kind::Unavailable, "SQS is away.").remedy("Wait."))
        })
        .await;
        let shown = check.shown();
        assert_eq!(
            (shown.status, shown.found.as_str(), shown.remedy.as_deref()),
            (Standing::Failed, "SQS is away.", Some("Wait."))
        );
    }

    #[test]
    fn the_worst_finding_decides() {
        let well = Check {
            name: "well",
            finding: Finding::ok("well"),
            took: Duration::ZERO,
        };
        let warned = of_role(Role::Viewer);
        let checks = [well.shown(), warned.shown()];
        assert_eq!(worst(&checks), Standing::Warning);
        assert_eq!(worst(&checks[..1]), Standing::Ok);
    }
}
