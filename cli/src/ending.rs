//! How a command ended, for whoever called it.

/// How a command ended. An error is not among these: it exits with 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ending {
    /// As it should; of a verification: COMPLETE or CONSISTENT.
    Done,
    /// Batches are left that nothing will retry, or the migration was cancelled.
    LeftOver,
    /// The verdict INCOMPLETE or INCONSISTENT.
    Incomplete,
    /// The verdict DRIFTED.
    Drifted,
    /// The verdict PENDING.
    Pending,
    /// The source can't be deleted yet.
    Unproven,
    /// A check of `doctor` failed, or a service is unhealthy.
    Ill,
}

impl Ending {
    /// The code that the process exits with; the help lists them.
    pub(crate) fn exit_code(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::LeftOver => 2,
            Self::Incomplete => 3,
            Self::Drifted => 4,
            Self::Ill => 5,
            Self::Pending => 6,
            Self::Unproven => 7,
        }
    }
}
