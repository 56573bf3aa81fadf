//! `granary queue probe`: test messages sent through a queue, and waited for until exporters have answered them.

use super::{Session, queue};
use crate::cli::Probe;
use crate::ending::Ending;
use crate::progress::{Meter, Position, say};
use crate::sheet::{Sheet, items};
use crate::wish::Wish;
use serde_json::{Value, json};
use std::time::{Duration, Instant};

const ASK_EVERY: Duration = Duration::from_millis(500);
const WAIT_MAX: Duration = Duration::from_secs(60);

pub(super) async fn run(session: &Session, options: &Probe) -> anyhow::Result<Ending> {
    let wish = Wish::new()
        .with("queue", Some(options.queue.clone()))
        .change(&options.change);
    let (path, wish) = match options.count {
        1 => ("/queue/test-publish", wish),
        count => ("/queue/test-batch", wish.with("count", Some(count))),
    };
    let sent = session.api.post(path, &wish.body()).await?;
    let is_dry = options.change.dry_run;
    if is_dry || options.no_wait {
        session.say_what_became(&sent);
        return session.show(&sent, |sent| {
            Sheet::new().table(items(&sent["probes"]), &queue::PROBES[..1])
        });
    }
    let ids: Vec<String> = items(&sent["probes"])
        .iter()
        .filter_map(|probe| probe["probeId"].as_str())
        .map(str::to_owned)
        .collect();
    let probes = arrived(session, &ids).await?;
    let have_arrived = probes.iter().filter(|probe| probe["status"] == "arrived").count();
    let missing = ids.len() - have_arrived;
    session.show(&json!({ "probes": probes }), |answer| {
        Sheet::new().table(items(&answer["probes"]), queue::PROBES)
    })?;
    anyhow::ensure!(
        missing == 0,
        "{missing} of {} probes have not arrived within {} s. Do the consumers run? granary queue health",
        ids.len(),
        WAIT_MAX.as_secs()
    );
    Ok(Ending::Done)
}

/// The probes as the monitoring shows them, once all have arrived or none comes any more.
async fn arrived(session: &Session, ids: &[String]) -> anyhow::Result<Vec<Value>> {
    let until = Instant::now() + WAIT_MAX;
    let mut meter = Meter::new("probes");
    loop {
        let monitoring = session.api.get("/queue/monitoring").await?;
        let ours: Vec<Value> = items(&monitoring["probes"])
            .iter()
            .filter(|probe| ids.iter().any(|id| probe["probeId"] == id.as_str()))
            .cloned()
            .collect();
        let arrived = ours.iter().filter(|probe| probe["status"] == "arrived").count();
        meter.show(&Position {
            done: arrived as u64,
            total: Some(ids.len() as u64),
            note: "arrived".to_owned(),
        });
        if arrived == ids.len() || Instant::now() >= until {
            meter.finish();
            if arrived == ids.len() {
                say("all probes have arrived");
            }
            return Ok(ours);
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}
