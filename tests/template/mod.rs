//! The template as production gets it: what `sam validate` and cfn-lint take for fine, and we can't live with.
//!
//! Nothing is deployed here; the file is read. What the running system does is up to [`crate::deployed`].

mod document;
mod settings;
mod hand_off;
mod clock;
mod schema;
mod connections;
mod archive;
mod encryption;
mod doors;
mod policies;
mod permissions;
mod grants;
mod granted;
mod environment;
mod parameters;
mod names;
mod guided;
mod costs;
mod package;
mod metric_math;
pub(crate) mod evaluation;
mod alarms;
pub(crate) mod queries;
mod commands;

use document::Template;
