//! What people look at; nothing is changed here.

pub(crate) mod health;
pub(crate) mod doctor;
pub(crate) mod source;
pub(crate) mod database;
pub(crate) mod overview;
pub(crate) mod windows;
pub(crate) mod proof;
pub(crate) mod colour;
pub(crate) mod failures;
pub(crate) mod alerts;
pub(crate) mod trace;
pub(crate) mod audit;
