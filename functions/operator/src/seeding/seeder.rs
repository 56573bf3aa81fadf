//! What writes test messages, where that is allowed: set up from the operator's own settings.

use crate::services::{REQUEST_TIMEOUT, Services};
use crate::web::problem::{Kind, Problem};
use granary_seeding::{SeedError, Seeder, SeedingSection, SeedingTarget};

/// What writes test messages.
pub(crate) async fn seeder(services: &Services) -> Result<Seeder, Problem> {
    let config = &services.config;
    let section = seeding_section(services)?.clone();
    let target = SeedingTarget {
        request_timeout: REQUEST_TIMEOUT,
        ..SeedingTarget::of(&config.source, &config.metadata, &config.harvest)
    };
    let ledger = services.ledger().await?.clone();
    Ok(Seeder::new(section, target, ledger, services.archive.clone())?)
}

/// The permission to write test messages, if this deployment has it.
pub(crate) fn seeding_section(services: &Services) -> Result<&SeedingSection, Problem> {
    services.config.seeding.as_ref().ok_or_else(not_allowed)
}

/// What a deployment without test data answers to whoever wants some.
fn not_allowed() -> Problem {
    Problem::new(
        Kind::SeedingNotAllowed,
        "Test messages are not allowed at this deployment.",
    )
    .remedy(
        "Set GRANARY_ALLOW_SEEDING=true and GRANARY_SEED_ES_URL of the operator. Production refuses both.",
    )
}

impl From<SeedError> for Problem {
    fn from(error: SeedError) -> Self {
        match error {
            SeedError::Ledger(error) => error.into(),
            SeedError::Source(error) => error.into(),
            SeedError::NotOneIndex { .. } => Self::new(Kind::NotPossible, format!("{error}.")),
            SeedError::OutOfRange { .. } => Self::new(Kind::InvalidParameter, format!("{error}.")),
            SeedError::Archive(_) | SeedError::NotTaken { .. } | SeedError::Text(_) => {
                anyhow::Error::from(error).into()
            }
        }
    }
}
