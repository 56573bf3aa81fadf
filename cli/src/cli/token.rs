//! What can be typed behind `granary token`.

use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use granary_tokens::{Role, TokenName};
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{Span, Timestamp};

/// `2027-01-01`: with a time but no zone it would be read as a date, too.
const DATE_CHARS: usize = 10;

/// The API's tokens.
#[derive(Debug, Subcommand)]
pub(crate) enum Token {
    /// Create a token and print it, once: only its hash is kept.
    Create(CreateToken),
    /// List the tokens: name, role, expiry and state.
    #[command(after_help = "Examples:\n  granary token list\n  granary token list --plain | cut -f1")]
    List {
        #[command(flatten)]
        store: TokenStore,
    },
    /// Revoke a token. The API refuses it within a minute.
    #[command(after_help = "Examples:\n  granary token revoke ada")]
    Revoke {
        /// The token's name.
        name: TokenName,
        #[command(flatten)]
        store: TokenStore,
    },
}

/// A new token.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  granary token create ada --role operator --secret-name granary/tokens\n  \
                  granary token create ada --role operator --expires 90d\n  \
                  granary token create board --role viewer --print"
)]
pub(crate) struct CreateToken {
    /// Whose it is: 1 to 64 lower-case letters, digits, dots, underscores and hyphens.
    pub(crate) name: TokenName,
    /// What it may do.
    #[arg(long, value_parser = role())]
    pub(crate) role: Role,
    /// When it expires: after 90d or 12h, at 2027-01-01 or at 2027-01-01T00:00:00Z. Left out, it doesn't.
    #[arg(long, value_name = "WHEN", value_parser = expiry)]
    pub(crate) expires: Option<Timestamp>,
    /// Only print the token, and its entry for a list of tokens that you keep yourself; ask AWS nothing.
    #[arg(long, conflicts_with = "TokenStore")]
    pub(crate) print: bool,
    #[command(flatten)]
    pub(crate) store: TokenStore,
}

/// Where the list of tokens is.
#[derive(Debug, Clone, Args)]
pub(crate) struct TokenStore {
    /// The secret with the list of tokens [env: GRANARY_TOKENS_SECRET_ARN].
    #[arg(long, value_name = "ARN")]
    pub(crate) secret_arn: Option<String>,
    /// The same by its name. `create` makes the secret if it doesn't exist.
    #[arg(long, value_name = "NAME", conflicts_with = "secret_arn")]
    pub(crate) secret_name: Option<String>,
}

fn role() -> impl TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.map(Role::as_str)).try_map(|name| name.parse::<Role>())
}

/// A time in the future.
fn expiry(text: &str) -> Result<Timestamp, String> {
    let now = Timestamp::now();
    let expires = expiry_from(text, now).ok_or(
        "it is neither a duration such as 90d, nor a date such as 2027-01-01, nor a time with its zone",
    )?;
    if expires <= now {
        return Err("it must be in the future".to_owned());
    }
    Ok(expires)
}

fn expiry_from(text: &str, now: Timestamp) -> Option<Timestamp> {
    if let Ok(time) = text.parse() {
        return Some(time);
    }
    if text.len() == DATE_CHARS
        && let Ok(date) = text.parse::<Date>()
    {
        return Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp());
    }
    let span: Span = text.parse().ok()?;
    Some(now.to_zoned(TimeZone::UTC).checked_add(span).ok()?.timestamp())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_expires_after_a_duration_or_at_a_time_and_never_in_the_past() {
        let now: Timestamp = "2026-12-01T06:00:00Z".parse().unwrap();
        for (text, expires) in [
            ("90d", "2027-03-01T06:00:00Z"),
            ("12h", "2026-12-01T18:00:00Z"),
            ("2027-01-01", "2027-01-01T00:00:00Z"),
            ("2027-01-01T02:00:00+02:00", "2027-01-01T00:00:00Z"),
        ] {
            let found = expiry_from(text, now).map(|time| time.to_string());
            assert_eq!(found.as_deref(), Some(expires), "{text}");
        }
        for wrong in ["soon", "", "2020-01-01", "2099-01-01T12:00:00", "-1d"] {
            assert!(expiry(wrong).is_err(), "{wrong}");
        }
    }
}
