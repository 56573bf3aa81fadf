//! What people see in a browser: the dashboard, and the page of the API.

pub(crate) mod dashboard;
pub(crate) mod bundle;
pub(crate) mod documents_page;
