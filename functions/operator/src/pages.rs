//! What people see in a browser: the dashboard, the runbook, and the page of the API.

pub(crate) mod dashboard;
pub(crate) mod bundle;
pub(crate) mod runbook;
pub(crate) mod documents_page;
