//! What a deployment is for, which decides how careful it is.

use crate::environment::{Environment, Reading, Variable};

const ENVIRONMENT: Variable = Variable {
    name: "GRANARY_ENVIRONMENT",
    holds: "local, staging (which it is if unset) or production",
};

/// What a deployment is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Deployment {
    /// Development and tests, on one machine.
    Local,
    /// Trying out, in a cloud.
    #[default]
    Staging,
    /// Messages that matter.
    Production,
}

impl Deployment {
    /// `local`, `staging` or `production`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Staging => "staging",
            Self::Production => "production",
        }
    }

    /// Reads `GRANARY_ENVIRONMENT`. A name that isn't known is refused: it would take the care of production away.
    pub fn read(env: &mut Environment) -> Reading<Self> {
        let deployment = env.optional_parsed(ENVIRONMENT, |text| match text {
            "local" => Ok(Self::Local),
            "staging" => Ok(Self::Staging),
            "production" => Ok(Self::Production),
            _ => Err("there is no such environment"),
        })?;
        Ok(deployment.unwrap_or_default())
    }
}
