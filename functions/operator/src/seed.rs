//! `/seed`
