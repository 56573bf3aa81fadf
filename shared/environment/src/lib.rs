//! The process environment, read once at cold start, and the one configuration that every AWS client is made
//! from.
//!
//! A function's configuration is a struct of its own. It reads all of its settings first and assembles the
//! struct in [`Environment::finish`], so that whoever deploys it reads everything that is wrong at once:
//!
//! ```
//! use granary_environment::{ArchiveSection, Environment, InvalidEnvironment, Variable};
//!
//! struct Config {
//!     archive: ArchiveSection,
//!     batch_size: u32,
//! }
//!
//! const BATCH_SIZE: Variable = Variable { name: "GRANARY_BATCH_SIZE", holds: "how many messages a batch has" };
//!
//! fn read(mut env: Environment) -> Result<Config, InvalidEnvironment> {
//!     let archive = ArchiveSection::read(&mut env);
//!     let batch_size = env.number(BATCH_SIZE, 500, 1..=10_000);
//!     env.finish(|| Ok(Config { archive: archive?, batch_size: batch_size? }))
//! }
//! ```
//!
//! Logins are read again where a service refuses them ([`Login`]), and the API's tokens every minute ([`Reread`]); everything else is
//! read once.
//!
//! An empty variable is an unset one. What may hold a secret is never shown, in no error. Not responsible for
//! connecting to anything but Secrets Manager; a failure there is one of the problems that are listed.
//!
//! # Sections
//!
//! What more than one function needs is read in one place each. Every name begins with `GRANARY_`.
//!
//! | name | default | what it holds | read by |
//! |---|---|---|---|
//! | `ENVIRONMENT` | `staging` | `local`, `staging` or `production` | all |
//! | `ALLOW_PLAINTEXT` | | `elasticsearch`, `ledger`, or both: what production may reach without TLS | [`LedgerSection`], [`SourceSection`] |
//! | `LEDGER_URL` | required, or the next | `mysql://user:password@host:port/database`; with `?require_ssl=` the server is reached with or without TLS, wherever it is | [`LedgerSection`] |
//! | `LEDGER_SECRET_ARN` | | a secret that holds such a URL, or `{"username":…,"password":…}` as RDS keeps it: host and database then come from `LEDGER_URL`, or from `host`, `port` and `dbname` of the secret | |
//! | `LEDGER_CA` | | a certificate authority of one's own for the ledger's server, PEM; those of Amazon RDS are built in | |
//! | `LEDGER_CA_SECRET_ARN` | | a secret that is such PEM | |
//! | `ES_URL` | required | Elasticsearch: `https://host:port`; may hold `user:password@` | [`SourceSection`] |
//! | `ES_SECRET_ARN` | | a secret that holds `{"api_key":…}`, `{"bearer":…}` or `{"username":…,"password":…}` | |
//! | `ES_CA` | | a certificate authority of one's own for Elasticsearch, PEM | |
//! | `ES_CA_SECRET_ARN` | | a secret that is such PEM | |
//! | `SOURCE_INDEX` | required | an index, an alias, a pattern or a list | |
//! | `SOURCE_TIME_FIELD` | required | the field that holds the event time | |
//! | `SOURCE_ID_FIELD` | `_id` | the field that holds the message id | |
//! | `SOURCE_DOC_ID` | | `message_id` states that `_id` is the message id | |
//! | `SOURCE_FILTER` | | query DSL, a JSON object: only these documents are messages | |
//! | `METADATA_SOURCES` | `[]` | `[{"name":…,"index":…,"key":…,"many":…,"sort":…}]` | [`MetadataSection`] |
//! | `SOURCE_NAME` | required | the name of the source in the archive | [`ArchiveSection`] |
//! | `BUCKET` | required | the S3 bucket | |
//! | `PREFIX` | the bucket's root | what every key begins with | |
//! | `COMPRESSION` | `zstd` | `zstd`, `gzip` (or `gz`), `none` | |
//! | `FORMAT` | `ndjson` | `ndjson`, `json` | |
//! | `QUEUE_URL` | required | the queue `batches` | [`QueueSection`] |
//! | `PRIORITY_QUEUE_URL` | required | the queue `batches-priority` | |
//! | `DLQ_URL` | | the dead-letter queue of `batches` | [`DeadLetterSection`] |
//! | `PRIORITY_DLQ_URL` | | the dead-letter queue of `batches-priority` | |
//! | `MAX_ATTEMPTS` | 5 | attempts before a batch is parked, 1 to 100 | [`RetrySection`] |
//! | `RETRY_DELAY_MS` | 5000 | the first delay after a failure, 1 to 600000; it doubles up to 10 minutes | |
//! | `HARVEST_INTERVAL` | 3600 | seconds of event time in a window, 60 to 86400 | [`HarvestSection`] |
//! | `HARVEST_LAG_SECONDS` | 120 | how far a window's end stays behind now, 0 to 86400 | |
//! | `BATCH_SIZE` | 1000 | messages in a batch at most, 1 to 10000 | |
//! | `RESCAN_AFTER_SECONDS` | 900 | when a window is looked at again for the first time, 60 to 86400 | [`RescanSection`] |
//! | `RESCAN_DAYS` | 7 | for how long windows are read again every night, 0 to 90 | |
//! | `RESCAN_HOUR` | 2 | when the night begins, 0 to 23, UTC | |
//! | `VERIFY_AFTER_SECONDS` | 3600 | after how long a recorded window is verified in full, 0 to 86400 | [`ProofSection`] |
//! | `VERIFY_EVERY_DAYS` | 30 | after how long a final window is verified again, 0 to 3650; 0: never | |
//! | `VERIFY_QUIET_HOURS` | | the hours in which no scheduled verification begins, as in `8-18`, UTC | |
//! | `PURGE_AFTER_DAYS` | 0 | after how long the rows of final hours are purged, 0 to 36500; 0: never | |
//! | `LEASE_SECONDS` | 90 | how long a worker may be silent before it counts as dead, 3 to 900 | [`LeaseSection`] |

pub mod aws;
mod environment;
mod invalid;
mod deployment;
mod transport;
mod secret;
mod renewal;
mod login;
mod reread;
mod ca;
mod ledger;
mod source;
mod metadata;
mod archive;
mod queue;
mod dead_letters;
mod retry;
mod harvest;
mod rescan;
mod proof;
mod lease;
mod identity;
mod deadline;
mod address;

pub use archive::ArchiveSection;
pub use ca::Ca;
pub use dead_letters::DeadLetterSection;
pub use deadline::Deadline;
pub use deployment::Deployment;
pub use environment::{Environment, Reading, Rejected, Variable};
pub use harvest::HarvestSection;
pub use identity::{identity_of, source_settings_of};
pub use invalid::InvalidEnvironment;
pub use lease::LeaseSection;
pub use ledger::{LedgerAddress, LedgerSection};
pub use login::{Edition, Login, Renewed};
pub use metadata::MetadataSection;
pub use proof::{ProofSection, QuietHours};
pub use queue::QueueSection;
pub use reread::{Parse, Reread};
pub use rescan::RescanSection;
pub use retry::RetrySection;
pub use secret::SecretVariable;
pub use source::{SourceCredentials, SourceSection};
pub use transport::{Service, Transport};

#[cfg(test)]
mod tests;
