//! What the migrator does: it waits for its turn, has the ledger apply its migrations, and writes down who wanted it.
//!
//! Each request gets an answer within the function's time, with what to do where it is a refusal: of CloudFormation at its address, of a
//! person as the function's answer. Repeating it is harmless, and goes on where the one before ended. When the process
//! dies, the server ends the statement at work, and keeps the lock as long.

use crate::answer;
use crate::config::Config;
use crate::event::{Asked, Event, StackRequest, Wish};
use aws_config::SdkConfig;
use granary_environment::Deadline;
use granary_ledger::db::SchemaChange;
use granary_ledger::settings::Audit;
use granary_ledger::{Ledger, LedgerError, LedgerSettings, Remedy};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tokio::time::{sleep, timeout_at};

/// One that looks, and the one that changes the schema.
const LEDGER_CONNECTIONS_MAX: usize = 2;
const AGAIN_AFTER: Duration = Duration::from_secs(2);
/// How long a ledger that is out of reach is waited for: as long as a failover takes.
const AWAY_SECS_MAX: u64 = 60;
const ACTION: &str = "schema.migrate";
const BY_A_DEPLOYMENT: &str = "deployment";
const BY_HAND: &str = "by hand";

/// Answers CloudFormation or a person.
pub(crate) async fn handle(aws: &SdkConfig, payload: Value, deadline: Deadline) -> anyhow::Result<Value> {
    match Event::parse(payload)? {
        Event::Stack(request) => {
            let outcome = for_stack(aws, &request, deadline).await;
            answer::give(&request, &outcome).await?;
            Ok(json!({ "answered": outcome.is_ok() }))
        }
        Event::Person(asked) => {
            let change = migrate(aws, for_person(asked), deadline).await?;
            Ok(json!({ "from": change.from, "to": change.to }))
        }
    }
}

/// What was done, for the events of the stack.
async fn for_stack(aws: &SdkConfig, request: &StackRequest, deadline: Deadline) -> anyhow::Result<String> {
    if let Wish::Leave(why) = request.wish()? {
        tracing::info!("nothing is done: {why}");
        return Ok(why.to_owned());
    }
    let audit = Audit {
        who: BY_A_DEPLOYMENT.to_owned(),
        address: None,
        action: ACTION,
        arguments: json!({ "stack": request.stack() }),
        effect: None,
        request_id: Some(request.request_id.clone()),
        reason: None,
    };
    let SchemaChange { from, to } = migrate(aws, audit, deadline).await?;
    Ok(match from == to {
        true => format!("the ledger has schema {to}"),
        false => format!("the ledger had schema {from}, and has {to} now"),
    })
}

fn for_person(asked: Asked) -> Audit {
    Audit {
        who: asked.who.unwrap_or_else(|| BY_HAND.to_owned()),
        address: asked.address,
        action: ACTION,
        arguments: json!({}),
        effect: None,
        request_id: asked.request_id,
        reason: asked.reason,
    }
}

async fn migrate(aws: &SdkConfig, audit: Audit, deadline: Deadline) -> anyhow::Result<SchemaChange> {
    let config = Config::read(aws).await?;
    let settings = LedgerSettings {
        url: config.ledger.url,
        connections_max: LEDGER_CONNECTIONS_MAX,
    };
    let ledger = Ledger::new(&settings).map_err(for_people)?;
    let change = until_it_is_done(&ledger, deadline).await?;
    // The ledger may be newer than this program, and not allow it.
    ledger.ready().await.map_err(for_people)?;
    let who = audit.who.clone();
    if change.from != change.to {
        write_down(&ledger, audit, change).await;
    }
    ledger.disconnect();
    let SchemaChange { from, to } = change;
    tracing::info!(
        by = %who,
        from,
        to,
        "the ledger has the schema that this version needs"
    );
    Ok(change)
}

/// Asks again where that may help: other programs are at work, or the ledger is away for a moment.
async fn until_it_is_done(ledger: &Ledger, deadline: Deadline) -> anyhow::Result<SchemaChange> {
    let begun = Instant::now();
    loop {
        let attempt = timeout_at(deadline.stop().into(), ledger.migrate_schema()).await;
        let Ok(attempt) = attempt else {
            anyhow::bail!(
                "the ledger's server is still at work on a migration, and ends it by itself: when `granary schema status` \
                 shows that nothing is being changed, run `granary schema migrate`, then deploy again"
            );
        };
        let error = match attempt {
            Ok(change) => return Ok(change),
            Err(error) => error,
        };
        if deadline.is_near() || begun.elapsed() >= patience(error.remedy()) {
            return Err(for_people(error));
        }
        tracing::warn!("it is tried again: {error}");
        sleep(AGAIN_AFTER).await;
    }
}

/// How long something is waited for that passes by itself. What a person has to repair is said at once.
fn patience(remedy: Remedy) -> Duration {
    match remedy {
        Remedy::Repeat | Remedy::Wait => Duration::MAX,
        Remedy::Reconnect => Duration::from_secs(AWAY_SECS_MAX),
        Remedy::FetchSecret
        | Remedy::Trust
        | Remedy::Migrate
        | Remedy::Smaller
        | Remedy::Refuse
        | Remedy::Report => Duration::ZERO,
    }
}

/// The error's own text, and what to do where it doesn't say so itself. What the server said is for the log: it holds addresses.
fn for_people(error: LedgerError) -> anyhow::Error {
    let what_to_do = match error.remedy() {
        Remedy::FetchSecret => "its server refuses the login; correct the secret that LedgerSecretArn names",
        Remedy::Reconnect => {
            "it is out of reach; check its address, SubnetIds and SecurityGroupIds, and that its security group lets the \
             functions' in"
        }
        Remedy::Repeat | Remedy::Wait => "others are at work there; deploy again later",
        Remedy::Smaller | Remedy::Report => "the log of the migrator says why",
        Remedy::Trust | Remedy::Migrate | Remedy::Refuse => return anyhow::Error::new(error),
    };
    let said = format!("{error}: {what_to_do}");
    anyhow::Error::new(error).context(said)
}

/// Only afterwards there is a table for it. The schema is changed already, so a failure is a line of the log.
async fn write_down(ledger: &Ledger, audit: Audit, change: SchemaChange) {
    let effect = Some(json!({ "before": change.from, "after": change.to }));
    let written = ledger.record_audit(&Audit { effect, ..audit }).await;
    if let Err(error) = written {
        tracing::warn!("who changed the schema is not on record: {error}");
    }
}
