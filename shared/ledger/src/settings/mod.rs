//! Settings: whose ledger it is, pauses, live settings, and the audit of what operators did.
//!
//! Not here: what a setting means and which values it may have (`granary-domain`, `granary-environment`).

mod identity;
mod deployment_setting;
pub(crate) mod control;
mod tune;
mod audit;

pub use audit::{Audit, AuditEntry, AuditFilter};
pub use control::Stage;
pub use deployment_setting::ChangedSetting;
pub use identity::{Mismatch, RecordedSetting};
pub use tune::{SettingChange, TunedSetting};
