//! The API's tokens: a list of names with a role and perhaps an expiry, in one JSON document. Of a token itself the document
//! holds the SHA-256 alone, so that reading it opens nothing.
//!
//! Not responsible for where the document is kept: the operator reads it through `granary-environment`, the command line reads
//! and writes it in Secrets Manager. A document with a mistake is refused as a whole, and the error names the field but shows
//! no value of it.

mod role;
mod document;
mod token;

pub use document::{BadTokens, NamedToken, NoSuchToken, TOKENS_MAX, TokenList, TokenName, TokenTaken};
pub use role::{Role, UnknownRole};
pub use token::{PRESENTED_BYTES_MIN, TokenHash, new_token};
