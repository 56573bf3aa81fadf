//! Jobs: operations in slices, alerts and conditions, and the regular work of a reaper's tick.
//!
//! Not here: what each job does (`granary-operations`, the reaper), and the lists of batches (`reports`).

mod turn;
mod due;
mod closing;
pub(crate) mod operation;
mod operation_list;
mod alert;
mod alert_list;
pub(crate) mod condition;
mod retention;

pub use alert::{AlertRow, FailureRate};
pub use alert_list::{AlertEntry, AlertFilter};
pub use due::DueWork;
pub use operation::{CONSUMERS_RESTART, NewOperation, Operation, OperationSlice, OperationState};
pub use operation_list::{OperationBrief, OperationFilter, VerdictBrief};
pub use retention::Forgotten;
pub use turn::Turn;
