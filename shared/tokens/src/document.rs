//! The document: read, searched, changed, written.

use crate::role::Role;
use crate::token::{PRESENTED_BYTES_MIN, TokenHash};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::{Map, Value, json};
use std::collections::HashSet;
use std::fmt;
use std::str::FromStr;

/// Tokens in a document.
pub const TOKENS_MAX: usize = 1_000;
/// What Secrets Manager takes.
const DOCUMENT_BYTES_MAX: usize = 65_536;
const NAME_CHARS_MAX: usize = 64;
const FIELDS: [&str; 4] = ["name", "role", "sha256", "expires"];

/// Why a document can't be used, with the field at fault and none of its values.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {why}")]
pub struct BadTokens {
    field: String,
    why: String,
}

impl BadTokens {
    fn new(field: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            field: field.into(),
            why: why.into(),
        }
    }
}

/// The name of a token: of the person or the program that holds it. 1 to 64 of `a-z`, `0-9`, `.`, `_` and `-`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
pub struct TokenName(String);

impl TokenName {
    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TokenName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TokenName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let is_known =
            |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"._-".contains(&byte);
        if text.is_empty() || text.len() > NAME_CHARS_MAX || !text.bytes().all(is_known) {
            return Err(format!(
                "it must be 1 to {NAME_CHARS_MAX} lower-case letters, digits, dots, underscores and hyphens"
            ));
        }
        Ok(Self(text.to_owned()))
    }
}

/// A token as the document has it.
#[derive(Debug, Clone)]
pub struct NamedToken {
    /// Whose it is.
    pub name: TokenName,
    /// What it may do.
    pub role: Role,
    /// The SHA-256 of its text.
    pub hash: TokenHash,
    /// From then on it is refused; `None`: it never expires.
    pub expires: Option<Timestamp>,
}

impl NamedToken {
    /// Whether it is refused at this time.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|expires| expires <= now)
    }

    /// As the document has it.
    pub fn to_json(&self) -> Value {
        let mut entry = json!({
            "name": self.name.as_str(), "role": self.role.as_str(), "sha256": self.hash.to_hex(),
        });
        if let Some(expires) = self.expires {
            entry["expires"] = expires.to_string().into();
        }
        entry
    }
}

/// The name has another token already.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is a token named {0} already; revoke it first, or choose another name")]
pub struct TokenTaken(pub TokenName);

/// No token has this name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no token named {0}")]
pub struct NoSuchToken(pub TokenName);

/// All tokens of a deployment. Their names are unique, and so are their hashes.
#[derive(Debug, Clone, Default)]
pub struct TokenList {
    tokens: Vec<NamedToken>,
}

impl TokenList {
    /// Reads a document.
    pub fn parse(text: &str) -> Result<Self, BadTokens> {
        if text.len() > DOCUMENT_BYTES_MAX {
            return Err(BadTokens::new(
                "tokens",
                format!("the document has more than {DOCUMENT_BYTES_MAX} bytes"),
            ));
        }
        let document: Value = serde_json::from_str(text)
            .map_err(|error| BadTokens::new("the document", format!("it is not JSON: {error}")))?;
        let Value::Object(mut document) = document else {
            return Err(BadTokens::new(
                "the document",
                "it must be an object such as {\"tokens\":[…]}",
            ));
        };
        let Some(Value::Array(entries)) = document.remove("tokens") else {
            return Err(BadTokens::new("tokens", "it must be there, and a list"));
        };
        if !document.is_empty() {
            return Err(BadTokens::new("the document", "it has a field beside `tokens`"));
        }
        Self::of(entries)
    }

    fn of(entries: Vec<Value>) -> Result<Self, BadTokens> {
        if entries.len() > TOKENS_MAX {
            return Err(BadTokens::new(
                "tokens",
                format!("there are more than {TOKENS_MAX}"),
            ));
        }
        let (mut names, mut hashes) = (HashSet::new(), HashSet::new());
        let mut tokens = Vec::with_capacity(entries.len());
        for (place, entry) in entries.into_iter().enumerate() {
            let token = read(&Entry::of(place, entry)?)?;
            if !names.insert(token.name.clone()) {
                return Err(BadTokens::new(
                    format!("tokens[{place}].name"),
                    "another token has this name",
                ));
            }
            if !hashes.insert(token.hash.to_hex()) {
                let field = format!("tokens[{place}].sha256");
                return Err(BadTokens::new(field, "another entry is of the same token"));
            }
            tokens.push(token);
        }
        Ok(Self { tokens })
    }

    /// The token that a request brings, expired or not. Every hash is compared, in a time that says nothing about any of them.
    pub fn find(&self, presented: &str) -> Option<&NamedToken> {
        if presented.len() < PRESENTED_BYTES_MIN {
            return None;
        }
        let hash = TokenHash::of(presented);
        let mut found = None;
        // To the end, also behind the one that matches: the time must not say where it is.
        for token in &self.tokens {
            if token.hash.is(&hash) {
                found = Some(token);
            }
        }
        found
    }

    /// All tokens, in the order of the document.
    pub fn tokens(&self) -> &[NamedToken] {
        &self.tokens
    }

    /// Adds a token. The very same one, by name and hash, may be there already.
    pub fn add(&mut self, token: NamedToken) -> Result<(), TokenTaken> {
        match self.tokens.iter().find(|known| known.name == token.name) {
            Some(known) if known.hash.is(&token.hash) => Ok(()),
            Some(_) => Err(TokenTaken(token.name)),
            None => {
                self.tokens.push(token);
                Ok(())
            }
        }
    }

    /// Takes a token out.
    pub fn remove(&mut self, name: &TokenName) -> Result<(), NoSuchToken> {
        let before = self.tokens.len();
        self.tokens.retain(|token| token.name != *name);
        if self.tokens.len() == before {
            return Err(NoSuchToken(name.clone()));
        }
        Ok(())
    }

    /// The document, if it is one that `parse` takes.
    pub fn to_document(&self) -> Result<String, BadTokens> {
        let tokens: Vec<Value> = self.tokens.iter().map(NamedToken::to_json).collect();
        let text = json!({ "tokens": tokens }).to_string();
        Self::parse(&text)?;
        Ok(text)
    }
}

/// One entry of the document, and where it is.
struct Entry {
    place: usize,
    fields: Map<String, Value>,
}

impl Entry {
    fn of(place: usize, entry: Value) -> Result<Self, BadTokens> {
        let Value::Object(fields) = entry else {
            return Err(BadTokens::new(format!("tokens[{place}]"), "it must be an object"));
        };
        let is_known = |name: &String| FIELDS.contains(&name.as_str());
        // A misspelt `expires` would make a token that never expires.
        if !fields.keys().all(is_known) {
            let why = "it has a field that is none of name, role, sha256 and expires";
            return Err(BadTokens::new(format!("tokens[{place}]"), why));
        }
        Ok(Self { place, fields })
    }

    fn bad(&self, field: &str, why: impl Into<String>) -> BadTokens {
        BadTokens::new(format!("tokens[{}].{field}", self.place), why)
    }

    fn text(&self, field: &str) -> Result<&str, BadTokens> {
        let text = self.fields.get(field).and_then(Value::as_str);
        text.ok_or_else(|| self.bad(field, "it must be there, and a text"))
    }
}

fn read(entry: &Entry) -> Result<NamedToken, BadTokens> {
    let name = entry
        .text("name")?
        .parse::<TokenName>()
        .map_err(|why: String| entry.bad("name", why))?;
    let role = entry
        .text("role")?
        .parse::<Role>()
        .map_err(|why: crate::UnknownRole| entry.bad("role", why.to_string()))?;
    let hash = TokenHash::from_hex(entry.text("sha256")?)
        .ok_or_else(|| entry.bad("sha256", "it must be 64 hexadecimal digits"))?;
    let expires = match entry.fields.contains_key("expires") {
        false => None,
        true => {
            let why = "it must be a time with its zone such as 2027-01-01T00:00:00Z, or be left out";
            let time = entry
                .text("expires")
                .ok()
                .and_then(|text| text.parse::<Timestamp>().ok());
            Some(time.ok_or_else(|| entry.bad("expires", why))?)
        }
    };
    Ok(NamedToken {
        name,
        role,
        hash,
        expires,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const ADA: &str = "granary_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";
    const BOB: &str = "granary_BBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBBB";

    fn token(name: &str, text: &str, role: Role) -> NamedToken {
        NamedToken {
            name: name.parse().unwrap(),
            role,
            hash: TokenHash::of(text),
            expires: None,
        }
    }

    fn refusal(document: Value) -> String {
        TokenList::parse(&document.to_string()).unwrap_err().to_string()
    }

    #[test]
    fn s1_a_token_is_found_by_the_whole_of_its_text() {
        let mut list = TokenList::default();
        list.add(token("ada", ADA, Role::Operator)).unwrap();
        list.add(token("bob", BOB, Role::Viewer)).unwrap();
        let list = TokenList::parse(&list.to_document().unwrap()).unwrap();
        let found = |text: &str| {
            list.find(text)
                .map(|token| (token.name.as_str().to_owned(), token.role))
        };
        assert_eq!(found(ADA), Some(("ada".to_owned(), Role::Operator)));
        assert_eq!(found(BOB), Some(("bob".to_owned(), Role::Viewer)));
        for wrong in [
            "",
            &ADA[1..],
            &format!("{ADA} "),
            &ADA.to_lowercase(),
            &format!("{ADA}A"),
        ] {
            assert_eq!(found(wrong), None, "{wrong:?}");
        }
        assert!(TokenList::default().find("").is_none());
    }

    #[test]
    fn s1_a_token_that_is_too_short_opens_nothing_even_where_its_hash_is_there() {
        let mut list = TokenList::default();
        list.add(token("short", "hunter2", Role::Operator)).unwrap();
        assert!(list.find("hunter2").is_none());
    }

    #[test]
    fn a_bad_document_is_refused_with_the_field_and_without_its_value() {
        let hash = TokenHash::of(ADA).to_hex();
        let good =
            json!({"name": "ada", "role": "operator", "sha256": hash, "expires": "2027-01-01T00:00:00Z"});
        assert!(TokenList::parse(&json!({"tokens": [good]}).to_string()).is_ok());
        let with = |field: &str, value: Value| {
            let mut bad = good.clone();
            bad[field] = value;
            refusal(
                json!({"tokens": [{"name": "bob", "role": "viewer", "sha256": TokenHash::of(BOB).to_hex()}, bad]}),
            )
        };
        for (field, value) in [
            ("name", json!("hunter2 ")),
            ("name", json!("")),
            ("name", json!("x".repeat(65))),
            ("name", json!("bob")),
            ("role", json!("hunter2")),
            ("role", json!("Operator")),
            ("sha256", json!("hunter2")),
            ("sha256", json!(TokenHash::of(BOB).to_hex())),
            ("expires", json!("hunter2")),
            ("expires", json!("2027-01-01T00:00:00")),
            ("expires", json!(1_798_761_600)),
            ("expires", Value::Null),
        ] {
            let refusal = with(field, value);
            assert!(
                refusal.starts_with(&format!("tokens[1].{field}: ")),
                "{field}: {refusal}"
            );
            assert!(!refusal.contains("hunter2"), "{refusal}");
        }
        let misspelt = with("expire", json!("2027-01-01T00:00:00Z"));
        assert!(misspelt.starts_with("tokens[1]: "), "{misspelt}");
        for (document, field) in [
            (json!([]), "the document: "),
            (json!({}), "tokens: "),
            (json!({"tokens": "hunter2"}), "tokens: "),
            (json!({"tokens": [], "hunter2": 1}), "the document: "),
            (json!({"tokens": ["hunter2"]}), "tokens[0]: "),
            (json!({"tokens": [{}]}), "tokens[0].name: "),
            (json!({"tokens": vec![good.clone(); 1_001]}), "tokens: "),
        ] {
            let refusal = refusal(document);
            assert!(refusal.starts_with(field), "{field}: {refusal}");
            assert!(!refusal.contains("hunter2"), "{refusal}");
        }
        let not_json = TokenList::parse("hunter2").unwrap_err().to_string();
        assert!(not_json.starts_with("the document: it is not JSON"), "{not_json}");
        assert!(!not_json.contains("hunter2"), "{not_json}");
    }

    #[test]
    fn a_list_is_no_larger_than_a_secret_may_be() {
        let mut list = TokenList::default();
        for number in 0..TOKENS_MAX {
            let name = format!("a-program-with-a-long-name-{number}");
            list.add(token(&name, &format!("{ADA}{number}"), Role::Viewer))
                .unwrap();
        }
        let refusal = list.to_document().unwrap_err().to_string();
        assert!(refusal.contains("65536 bytes"), "{refusal}");
    }

    #[test]
    fn an_expiry_is_the_first_moment_at_which_a_token_is_refused() {
        let mut one = token("ada", ADA, Role::Operator);
        let now: Timestamp = "2027-01-01T00:00:00Z".parse().unwrap();
        assert!(!one.is_expired(now));
        one.expires = Some(now);
        assert!(one.is_expired(now));
        assert!(!one.is_expired("2026-12-31T23:59:59.999Z".parse().unwrap()));
    }

    #[test]
    fn adding_the_same_token_twice_is_adding_it_once_and_a_name_has_one_token() {
        let mut list = TokenList::default();
        list.add(token("ada", ADA, Role::Operator)).unwrap();
        list.add(token("ada", ADA, Role::Operator)).unwrap();
        assert_eq!(list.tokens().len(), 1);
        let taken = list.add(token("ada", BOB, Role::Operator)).unwrap_err();
        assert!(taken.to_string().contains("ada"));
        list.remove(&"ada".parse().unwrap()).unwrap();
        assert!(list.remove(&"ada".parse().unwrap()).is_err() && list.tokens().is_empty());
    }
}
