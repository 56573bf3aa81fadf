//! How young an object may be and still be swept: a setting that can't be wrong where it matters.

use granary_environment::{Deployment, Environment, Reading, Variable};
use std::time::Duration;

const SWEEP_AGE: Variable = Variable {
    name: "GRANARY_SWEEP_AGE_SECONDS",
    holds: "the seconds that an object which nobody recorded is left alone; less than 3600 only where GRANARY_ENVIRONMENT is local",
};

/// Far more than a worker's longest life (Lambda's 15 minutes) and its longest lease (15 minutes) together.
const AGE_SECS_MIN: u64 = 3_600;
const AGE_SECS_MAX: u64 = 30 * 86_400;

/// How old is old enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SweepSection {
    /// Whatever is younger may still be in some worker's hands.
    pub age_min: Duration,
}

impl SweepSection {
    /// Reads `GRANARY_SWEEP_AGE_SECONDS`.
    pub fn read(env: &mut Environment) -> Reading<Self> {
        let least = match Deployment::read(env)? {
            Deployment::Local => 0,
            Deployment::Staging | Deployment::Production => AGE_SECS_MIN,
        };
        let age_secs = env.number(SWEEP_AGE, AGE_SECS_MIN, least..=AGE_SECS_MAX)?;
        Ok(Self {
            age_min: Duration::from_secs(age_secs),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&'static str, &'static str)]) -> Result<Duration, String> {
        let mut env = Environment::from_variables(variables.iter().copied());
        let section = SweepSection::read(&mut env);
        env.finish(|| Ok(section?.age_min))
            .map_err(|error| error.to_string())
    }

    #[test]
    fn an_age_below_an_hour_is_refused_everywhere_but_locally() {
        let age = |seconds| ("GRANARY_SWEEP_AGE_SECONDS", seconds);
        assert_eq!(read(&[]), Ok(Duration::from_secs(3_600)));
        assert_eq!(read(&[age("7200")]), Ok(Duration::from_secs(7_200)));
        let local = ("GRANARY_ENVIRONMENT", "local");
        assert_eq!(read(&[local, age("0")]), Ok(Duration::ZERO));
        for environment in ["staging", "production", ""] {
            let error = read(&[("GRANARY_ENVIRONMENT", environment), age("3599")]).unwrap_err();
            assert!(error.contains("GRANARY_SWEEP_AGE_SECONDS"), "{error}");
        }
    }
}
