//! `/verify`
