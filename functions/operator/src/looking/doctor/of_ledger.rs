//! The ledger: whether it answers, its server, connection and schema, what this user may do there, and its clock.
//!
//! Only the schema is looked at where it isn't what this version needs: everything else waits for it.

use super::{Check, Finding};
use crate::services::Services;
use crate::web::problem::Problem;
use granary_environment::Transport;
use granary_ledger::settings::{Mismatch, RecordedSetting};
use jiff::Timestamp;

/// A lease, a lag and a schedule are counted in seconds and minutes.
const CLOCKS_APART_MS_WARNING: i64 = 2_000;
/// AWS refuses requests that were signed by a clock five minutes off.
const CLOCKS_APART_MS_FAILED: i64 = 240_000;

pub(super) async fn checks(services: &Services) -> Vec<Check> {
    let (server, connection, schema, identity, rights, clocks) = tokio::join!(
        Check::of("ledger", server(services)),
        Check::of("ledgerConnection", connection(services)),
        Check::of("schema", schema(services)),
        Check::of("identity", identity(services)),
        Check::of("permissions", rights(services)),
        Check::of("clocks", clocks(services)),
    );
    vec![server, connection, schema, identity, rights, clocks]
}

async fn server(services: &Services) -> Result<Finding, Problem> {
    let info = services.ledger().await?.database_info().await?;
    let version = &info.server_version;
    if is_old(version) {
        return Ok(Finding::failed(
            format!("{version}, which is too old"),
            "Granary needs MySQL 8.0.16 or MariaDB 10.6, or later: older ones don't keep CHECK constraints.",
        ));
    }
    let bytes: u64 = info
        .tables
        .iter()
        .map(|table| table.bytes_data + table.bytes_indexes)
        .sum();
    Ok(Finding::ok(format!(
        "{version}, {} tables of about {} MiB",
        info.tables.len(),
        bytes >> 20
    )))
}

/// By the server's own word.
async fn connection(services: &Services) -> Result<Finding, Problem> {
    let cipher = services.ledger().await?.cipher().await?;
    Ok(match (cipher, services.ledger_transport()) {
        (Some(cipher), _) => Finding::ok(format!(
            "encrypted by {cipher}; the server's certificate is verified"
        )),
        (None, Transport::Local) => Finding::ok("not encrypted; the server is on this machine"),
        (None, Transport::Plain | Transport::Tls) => Finding::warning(
            "not encrypted, over a network",
            "Turn TLS on at the server, and leave require_ssl=false out of GRANARY_LEDGER_URL.",
        ),
    })
}

/// `8.0.36`, `10.11.19-MariaDB`, `5.5.5-10.6.1-MariaDB`.
fn is_old(version: &str) -> bool {
    let least = if version.contains("MariaDB") {
        [10, 6, 0]
    } else {
        [8, 0, 16]
    };
    let version = version.strip_prefix("5.5.5-").unwrap_or(version);
    let numbers: Vec<u32> = version
        .split(['.', '-'])
        .take(3)
        .map_while(|part| part.parse().ok())
        .collect();
    numbers.len() == 3 && numbers.as_slice() < least.as_slice()
}

async fn schema(services: &Services) -> Result<Finding, Problem> {
    let schema = services.any_ledger().schema().await?;
    let (found, needed) = (schema.found, schema.needed);
    Ok(match schema.objection() {
        Some(objection) => Finding::failed(
            objection.to_string(),
            "Run granary schema migrate where it is older, and deploy a newer version where it is newer.",
        ),
        None if found == needed => Finding::ok(format!("version {found}, as this release has it")),
        None => Finding::ok(format!(
            "version {found}, which allows this release; it has {needed}"
        )),
    })
}

/// Whose ledger it is, and who has other settings than it.
async fn identity(services: &Services) -> Result<Finding, Problem> {
    let ledger = services.ledger().await?;
    let (recorded, own, noted) = tokio::try_join!(
        ledger.identity(),
        ledger.mismatches(&services.identity),
        ledger.noted_mismatches(),
    )?;
    Ok(of_identity(&recorded, &own, &noted))
}

fn of_identity(recorded: &[RecordedSetting], own: &[Mismatch], noted: &[Mismatch]) -> Finding {
    let (mismatches, found) = match (own, noted) {
        ([], []) => return Finding::ok(told_identity(recorded)),
        ([], noted) => (
            noted,
            "a function of this or another deployment is not the ledger's",
        ),
        (own, _) => (own, "harvester and exporter do no work"),
    };
    let each: Vec<String> = mismatches.iter().map(ToString::to_string).collect();
    let found = format!("{found}: {}", each.join("; "));
    let setting = mismatches
        .first()
        .map_or("", |mismatch| mismatch.recorded.setting.as_str());
    let adopting = format!("granary ledger adopt --setting {setting} --reason TEXT");
    match own {
        [] => Finding::warning(
            found,
            format!(
                "Find the function that has it, and give its deployment a ledger of its own. If the change is meant, deploy it here \
                 as well: {adopting}"
            ),
        ),
        [_, ..] => Finding::failed(
            found,
            format!(
                "Restore the setting, or give this deployment a ledger of its own. If the change is meant: {adopting}"
            ),
        ),
    }
}

fn told_identity(recorded: &[RecordedSetting]) -> String {
    let Some(since) = recorded.iter().map(|one| one.recorded_at).max() else {
        return "not recorded yet: the harvester does it when it starts".to_owned();
    };
    let each: Vec<String> = recorded
        .iter()
        .filter(|one| !one.value.is_empty())
        .map(|one| format!("{} {}", one.setting, one.value))
        .collect();
    format!("{}, since {since:.0}", each.join(", "))
}

async fn rights(services: &Services) -> Result<Finding, Problem> {
    let missing = services.ledger().await?.missing_rights().await?;
    if missing.is_empty() {
        return Ok(Finding::ok("the ledger's user may read, write and migrate"));
    }
    // Rights that come by a role can't be seen in every server's dictionary.
    Ok(Finding::warning(
        format!("the ledger's user doesn't seem to have {}", missing.join(", ")),
        format!(
            "Unless it has them by a role: GRANT {} ON its database to the user of GRANARY_LEDGER_URL.",
            missing.join(", ")
        ),
    ))
}

async fn clocks(services: &Services) -> Result<Finding, Problem> {
    let ledger = services.ledger().await?;
    let asked = Timestamp::now();
    let theirs = ledger.now().await?;
    let apart = apart_ms(asked, theirs, Timestamp::now());
    let found = format!("the ledger's clock is {apart} ms from the operator's");
    let remedy = "Have both keep time by NTP. Leases and lags go by the ledger's clock alone; AWS refuses requests that were \
                  signed five minutes off.";
    Ok(match apart.abs() {
        apart if apart > CLOCKS_APART_MS_FAILED => Finding::failed(found, remedy),
        apart if apart > CLOCKS_APART_MS_WARNING => Finding::warning(found, remedy),
        _ => Finding::ok(found),
    })
}

/// How far a clock that was asked in between is from ours; what the way took counts for nothing.
fn apart_ms(before: Timestamp, theirs: Timestamp, after: Timestamp) -> i64 {
    let ours = theirs.max(before).min(after);
    i64::try_from(theirs.duration_since(ours).as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::looking::doctor::Standing;
    use granary_domain::IdentitySetting;

    #[test]
    fn servers_without_check_constraints_are_too_old() {
        let old = [
            "5.7.44",
            "8.0.15",
            "8.0.16",
            "8.4.3",
            "10.5.29-MariaDB",
            "10.6.0-MariaDB",
            "5.5.5-10.11.19-MariaDB-1:10.11.19+maria~ubu2204",
            "something else",
        ];
        assert_eq!(
            old.map(is_old),
            [true, true, false, false, true, false, false, false]
        );
    }

    fn mismatch(setting: IdentitySetting) -> Mismatch {
        Mismatch {
            recorded: RecordedSetting {
                setting,
                value: "old".to_owned(),
                recorded_at: "2026-11-22T10:00:00Z".parse().unwrap(),
            },
            found: "new".to_owned(),
        }
    }

    #[test]
    fn d5_a_setting_that_is_not_the_ledgers_is_named_with_both_values_and_the_way_to_adopt_it() {
        let bucket = [mismatch(IdentitySetting::Bucket)];
        let failed = of_identity(&[], &bucket, &bucket);
        assert_eq!(failed.standing, Standing::Failed);
        for part in ["GRANARY_BUCKET", "\"old\"", "\"new\"", "2026-11-22T10:00:00Z"] {
            assert!(failed.found.contains(part), "{part}: {}", failed.found);
        }
        let remedy = failed.remedy.unwrap();
        assert!(
            remedy.contains("granary ledger adopt --setting bucket"),
            "{remedy}"
        );
        assert_eq!(of_identity(&[], &[], &bucket).standing, Standing::Warning);
    }

    #[test]
    fn a_ledger_says_whose_it_is() {
        let recorded = [mismatch(IdentitySetting::Bucket).recorded];
        assert_eq!(told_identity(&recorded), "bucket old, since 2026-11-22T10:00:00Z");
        assert!(told_identity(&[]).contains("not recorded yet"));
    }

    #[test]
    fn what_the_way_took_is_no_difference_between_clocks() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        assert_eq!(apart_ms(at(10), at(11), at(12)), 0);
        assert_eq!(apart_ms(at(10), at(7), at(12)), -3_000);
        assert_eq!(apart_ms(at(10), at(17), at(12)), 5_000);
    }
}
