//! How much of each object a verification compares with the source, where not all of it was asked for.

use granary_environment::{Environment, Reading, Variable};

const LINES: Variable = Variable {
    name: "GRANARY_VERIFY_LINES",
    holds: "the lines of each object that a verification compares with the source: 0 to 10000",
};
const LINES_DEFAULT: u32 = 20;
const LINES_MAX: u32 = 10_000;

/// The settings of verifications.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VerifySection {
    /// The lines of each object that are compared with the source.
    pub lines_per_object: u32,
}

impl VerifySection {
    /// Reads `GRANARY_VERIFY_LINES`.
    pub fn read(env: &mut Environment) -> Reading<Self> {
        Ok(Self {
            lines_per_object: env.number(LINES, LINES_DEFAULT, 0..=LINES_MAX)?,
        })
    }
}

impl Default for VerifySection {
    fn default() -> Self {
        Self {
            lines_per_object: LINES_DEFAULT,
        }
    }
}
