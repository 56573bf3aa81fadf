//! Migrations, and the batches that come of them.

pub(crate) mod status_name;
pub(crate) mod migration_request;
pub(crate) mod estimate;
pub(crate) mod foretelling;
pub(crate) mod migrate;
pub(crate) mod migrations;
pub(crate) mod progress_shown;
pub(crate) mod pace;
pub(crate) mod cancelling;
pub(crate) mod jobs;
pub(crate) mod batch_shown;
pub(crate) mod by_status;
pub(crate) mod retrying;
pub(crate) mod recalling;
pub(crate) mod round;
pub(crate) mod catching_up;
pub(crate) mod resetting;
pub(crate) mod reset_pending;
pub(crate) mod bulk;
pub(crate) mod create_missing;
