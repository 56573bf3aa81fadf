//! `granary token`: who may use the API. The token goes to standard output alone, so that it can be piped to where it is kept.

use super::token_store::Tokens;
use crate::cli::{CreateToken, Token, TokenStore};
use crate::ending::Ending;
use crate::progress::say;
use crate::sheet::{Field, Format, Kind, Sheet};
use crate::show;
use granary_tokens::{NamedToken, TokenHash, TokenList, TokenName, new_token};
use jiff::Timestamp;
use secrecy::ExposeSecret;
use serde_json::{Value, json};

const HASH_CHARS_SHOWN: usize = 8;
const FIELDS: &[Field] = &[
    Field("NAME", "/name", Kind::Text),
    Field("ROLE", "/role", Kind::Text),
    Field("EXPIRES", "/expires", Kind::Time),
    Field("STATE", "/state", Kind::State),
    Field("SHA256", "/sha256", Kind::Text),
];

pub(super) async fn run(format: Format, command: &Token) -> anyhow::Result<Ending> {
    match command {
        Token::Create(options) => create(format, options).await?,
        Token::List { store } => {
            let list = Tokens::of(store.clone()).await?.read().await?;
            show_list(format, &list, Timestamp::now())?;
        }
        Token::Revoke { name, store } => revoke(format, name, store).await?,
    }
    Ok(Ending::Done)
}

async fn create(format: Format, options: &CreateToken) -> anyhow::Result<()> {
    let text = new_token();
    let token = NamedToken {
        name: options.name.clone(),
        role: options.role,
        hash: TokenHash::of(text.expose_secret()),
        expires: options.expires,
    };
    let entry = token.to_json();
    let mut made = None;
    if !options.print {
        let tokens = Tokens::of(options.store.clone()).await?;
        made = tokens.change_or_make(|list| Ok(list.add(token.clone())?)).await?;
    }
    match format {
        Format::Json => show::print_json(&json!({
            "token": text.expose_secret(), "entry": entry, "secretArn": made,
        }))?,
        Format::People | Format::Plain => show::print(text.expose_secret())?,
    }
    if options.print {
        say(&format!("its entry, for the list in the secret: {entry}"));
    } else {
        say(&format!(
            "the API takes {} within a minute. Keep the token now: it isn't shown again",
            token.name
        ));
    }
    if let Some(arn) = made {
        say(&format!(
            "the secret is new; set the template's parameter TokensSecretArn to {arn}"
        ));
    }
    Ok(())
}

async fn revoke(format: Format, name: &TokenName, store: &TokenStore) -> anyhow::Result<()> {
    let tokens = Tokens::of(store.clone()).await?;
    // Another writer may have revoked it while ours is on its way; only a list that never had it is a mistake.
    tokens.read().await?.remove(name)?;
    tokens
        .change(|list| {
            if list.tokens().iter().any(|token| token.name == *name) {
                list.remove(name)?;
            }
            Ok(())
        })
        .await?;
    if format == Format::Json {
        show::print_json(&json!({ "revoked": name.as_str() }))?;
    }
    say(&format!("the API refuses {name} within a minute"));
    Ok(())
}

fn show_list(format: Format, list: &TokenList, now: Timestamp) -> anyhow::Result<()> {
    let entries: Vec<Value> = list.tokens().iter().map(|token| shown(token, now)).collect();
    if format == Format::Json {
        return show::print_json(&json!({ "tokens": entries }));
    }
    if entries.is_empty() {
        say("no tokens");
    }
    show::print(&Sheet::new().table(&entries, FIELDS).render(format))
}

/// A token without what would help to find it.
fn shown(token: &NamedToken, now: Timestamp) -> Value {
    let hash: String = token.hash.to_hex().chars().take(HASH_CHARS_SHOWN).collect();
    json!({
        "name": token.name.as_str(), "role": token.role.as_str(),
        "expires": token.expires.map(|time| time.to_string()),
        "state": if token.is_expired(now) { "expired" } else { "valid" }, "sha256": hash,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use granary_tokens::Role;

    #[test]
    fn a_list_shows_names_and_no_whole_hash() {
        let token = NamedToken {
            name: "ada".parse().unwrap(),
            role: Role::Operator,
            hash: TokenHash::of("abc"),
            expires: Some("2027-01-01T00:00:00Z".parse().unwrap()),
        };
        let now = "2027-02-01T00:00:00Z".parse().unwrap();
        let shown = shown(&token, now);
        assert_eq!(
            shown,
            json!({"name": "ada", "role": "operator", "expires": "2027-01-01T00:00:00Z", "state": "expired",
                   "sha256": "ba7816bf"})
        );
        let sheet = Sheet::new().table(&[shown], FIELDS).render(Format::Plain);
        assert!(sheet.contains("ada\toperator\t"), "{sheet}");
    }
}
