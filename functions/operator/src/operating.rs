//! Long jobs that somebody asks for, and hears of later.

pub(crate) mod operations;
pub(crate) mod operations_list;
pub(crate) mod cancelling;
pub(crate) mod verify;
pub(crate) mod exceptions;
pub(crate) mod sweep;
pub(crate) mod sweep_object;
pub(crate) mod restored;
pub(crate) mod alert_test;
pub(crate) mod purge;
pub(crate) mod rebuilding;
pub(crate) mod schema;
