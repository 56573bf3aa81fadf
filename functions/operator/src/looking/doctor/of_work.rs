//! The work itself: what is paused, what is stuck on its way, what waits for people.

use super::{Check, Finding};
use crate::queueing::queue_health;
use crate::services::Services;
use crate::web::problem::Problem;
use granary_ledger::settings::Stage;

pub(super) async fn checks(services: &Services) -> Vec<Check> {
    let (pauses, outbox, leases, failures, alerts) = tokio::join!(
        Check::of("pauses", pauses(services)),
        Check::of("outbox", outbox(services)),
        Check::of("leases", leases(services)),
        Check::of("failures", failures(services)),
        Check::of("alerts", alerts(services)),
    );
    vec![pauses, outbox, leases, failures, alerts]
}

async fn pauses(services: &Services) -> Result<Finding, Problem> {
    let ledger = services.ledger().await?;
    let mut paused = Vec::new();
    for (stage, name) in [(Stage::Harvest, "harvest"), (Stage::Export, "export")] {
        if let Some(pause) = ledger.pause_of(stage).await? {
            paused.push(format!("{name} by {} since {}", pause.by, pause.since));
        }
    }
    Ok(if paused.is_empty() {
        Finding::ok("nothing is paused")
    } else {
        Finding::warning(
            format!("paused: {}", paused.join(", ")),
            "If nobody wants that any more: granary resume",
        )
    })
}

async fn outbox(services: &Services) -> Result<Finding, Problem> {
    Ok(Finding::of_health(
        queue_health::outbox(services).await?,
        "no batch waits to be sent for long",
        "See the checks of schedules and pauses; granary migrate process-all sends at once what is to be sent",
    ))
}

async fn leases(services: &Services) -> Result<Finding, Problem> {
    Ok(Finding::of_health(
        queue_health::leases(services).await?,
        "no attempt has lost its worker",
        "If it lasts, the reaper doesn't tick: see the check of schedules. At once: granary migrate complete-processing",
    ))
}

async fn failures(services: &Services) -> Result<Finding, Problem> {
    let counts = services.ledger().await?.batches_by_status().await?;
    let parked: u64 = counts.iter().map(|count| count.parked).sum();
    Ok(if parked == 0 {
        Finding::ok("no batch is parked")
    } else {
        Finding::warning(
            format!("{parked} batches are parked: no attempt is left to them"),
            "See the causes and what to do: granary failures. Once they are removed: granary failures retry",
        )
    })
}

async fn alerts(services: &Services) -> Result<Finding, Problem> {
    let open = services.ledger().await?.open_alerts().await?;
    Ok(if open == 0 {
        Finding::ok("none is open")
    } else {
        Finding::warning(
            format!("{open} are open"),
            "Read what they say: granary alerts --open",
        )
    })
}
