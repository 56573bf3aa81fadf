//! The list of tokens in Secrets Manager: read, and changed so that no change of another writer is lost.
//!
//! Secrets Manager has no conditional write. A change is written under a version of its own, and the version that it replaced
//! must be the one that was read. Where it isn't, another writer came between, and the change is made once more on theirs.

use crate::cli::TokenStore;
use anyhow::{Context, anyhow, bail};
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::ProvideErrorMetadata;
use granary_environment::aws;
use granary_tokens::TokenList;
use std::time::Duration;
use uuid::Uuid;

const VARIABLE: &str = "GRANARY_TOKENS_SECRET_ARN";
const TRIES_MAX: u32 = 10;
/// Two writers that try again at once would come between each other for ever.
const PAUSE_MILLIS_MAX: u64 = 500;
const CURRENT: &str = "AWSCURRENT";
const PREVIOUS: &str = "AWSPREVIOUS";

/// The secret of one deployment.
pub(super) struct Tokens {
    client: Client,
    secret: String,
    /// Whether the secret was named by a person, so that it may be made.
    is_named: bool,
}

/// One version of the list.
struct Version {
    id: String,
    list: TokenList,
}

impl Tokens {
    pub(super) async fn of(store: TokenStore) -> anyhow::Result<Self> {
        let is_named = store.secret_name.is_some();
        let variable = || std::env::var(VARIABLE).ok().filter(|text| !text.is_empty());
        let secret = store.secret_name.or(store.secret_arn).or_else(variable);
        let secret = secret.with_context(|| {
            format!("the secret with the tokens is not known. Set {VARIABLE}, or give --secret-arn or --secret-name")
        })?;
        Ok(Self {
            client: Client::new(&aws::sdk_config().await),
            secret,
            is_named,
        })
    }

    /// The list as it is now.
    pub(super) async fn read(&self) -> anyhow::Result<TokenList> {
        let version = self.version(CURRENT).await?;
        Ok(version.with_context(|| self.missing())?.list)
    }

    /// Changes the list. `change` may be called several times, each time on another list.
    pub(super) async fn change(
        &self,
        change: impl Fn(&mut TokenList) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let Some(Version { mut id, mut list }) = self.version(CURRENT).await? else {
            bail!(self.missing());
        };
        for _ in 0..TRIES_MAX {
            change(&mut list)?;
            let ours = self.put(&list.to_document()?).await?;
            let current = self.version(CURRENT).await?.with_context(|| self.missing())?;
            let replaced = self.version(PREVIOUS).await?.filter(|_| current.id == ours);
            match replaced {
                Some(replaced) if replaced.id == id => return Ok(()),
                // Ours replaced a version that we haven't seen: on that one it is made once more, in place of ours.
                Some(replaced) => (id, list) = (ours, replaced.list),
                // Another writer replaced ours already.
                None => (id, list) = (current.id, current.list),
            }
            tokio::time::sleep(Duration::from_millis(rand::random::<u64>() % PAUSE_MILLIS_MAX)).await;
        }
        bail!(
            "the list of tokens in {} is being changed by others; try again, and check it with `granary token list`",
            self.secret
        )
    }

    /// Changes the list, and makes its secret where there is none yet. Returns the secret's ARN if it was made.
    pub(super) async fn change_or_make(
        &self,
        change: impl Fn(&mut TokenList) -> anyhow::Result<()>,
    ) -> anyhow::Result<Option<String>> {
        if self.is_named && self.version(CURRENT).await?.is_none() {
            let mut list = TokenList::default();
            change(&mut list)?;
            let create = self.client.create_secret().name(&self.secret);
            let created = create.secret_string(list.to_document()?).send().await;
            let created = created.map_err(|error| {
                anyhow!(
                    "the secret {} can't be made: {}",
                    self.secret,
                    aws::reason(&error)
                )
            })?;
            return Ok(created.arn);
        }
        self.change(change).await?;
        Ok(None)
    }

    /// `None`: there is no such secret, or no such version of it.
    async fn version(&self, stage: &str) -> anyhow::Result<Option<Version>> {
        let get = self.client.get_secret_value().secret_id(&self.secret);
        let answer = match get.version_stage(stage).send().await {
            Ok(answer) => answer,
            Err(error) if error.code() == Some("ResourceNotFoundException") => return Ok(None),
            Err(error) => bail!(
                "the secret {} can't be read: {}",
                self.secret,
                aws::reason(&error)
            ),
        };
        let text = answer.secret_string.unwrap_or_default();
        let list = TokenList::parse(&text)
            .with_context(|| format!("the secret {} is no list of tokens", self.secret))?;
        let id = answer.version_id.context("Secrets Manager named no version")?;
        Ok(Some(Version { id, list }))
    }

    /// Writes the list, and returns the id of its version.
    async fn put(&self, document: &str) -> anyhow::Result<String> {
        let id = Uuid::now_v7().to_string();
        let put = self.client.put_secret_value().secret_id(&self.secret);
        let put = put.client_request_token(&id).secret_string(document);
        put.send().await.map_err(|error| {
            anyhow!(
                "the secret {} can't be written: {}",
                self.secret,
                aws::reason(&error)
            )
        })?;
        Ok(id)
    }

    fn missing(&self) -> String {
        format!(
            "there is no secret {} in this account and region. `granary token create --secret-name` makes one",
            self.secret
        )
    }
}
