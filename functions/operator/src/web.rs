//! How requests and answers look, whatever they are about: roles, fields, pages of lists, problems, the document.

pub(crate) mod lambda;
pub(crate) mod edge;
pub(crate) mod caller;
pub(crate) mod access;
pub(crate) mod auth;
pub(crate) mod route;
pub(crate) mod document;
pub(crate) mod answer;
pub(crate) mod problem;
pub(crate) mod fields;
pub(crate) mod page;
pub(crate) mod change;
