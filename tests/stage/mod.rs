//! What a scenario stands on: services of its own, the functions, and verbs.
//!
//! [`Stage::new`] makes everything, [`Stage::finish`] removes it; where a test panics, dropping the stage does, and what
//! the functions wrote to their logs is shown. Time passes by verbs (`let_…_end`), never by sleeping.

mod services;
mod source;
mod queues;
mod archive;
mod runtime_api;
mod function;
pub(crate) mod measured;
mod trigger;
mod verbs;
mod operator;
mod listening;
mod switches;
mod deployed;
mod dice;
mod archived;
mod rebuilding;
mod invariants;
#[cfg_attr(
    not(feature = "full"),
    allow(dead_code, reason = "only the full suites start a node")
)]
mod node;
mod proxy;
mod http_proxy;
mod certificates;
mod nginx;
mod secret;
pub(crate) mod canary;
mod discretion;

pub(crate) use archive::ExportedLine;
pub(crate) use canary::CANARY;
pub(crate) use certificates::Authority;
pub(crate) use deployed::{Deployed, Invoked};
pub(crate) use dice::Dice;
pub(crate) use function::{Counted, Function, FunctionError};
pub(crate) use granary_test_database::{LedgerServer, processlist};
pub(crate) use http_proxy::{Asked, Fault, HttpProxy, Said};
pub(crate) use invariants::APPLY;
pub(crate) use listening::{Listening, Said as Printed, granary, granary_in_a_shell};
pub(crate) use nginx::{API_KEY, BEARER_TOKEN, Nginx};
#[cfg_attr(
    not(feature = "full"),
    allow(unused_imports, reason = "only the full suites start a node")
)]
pub(crate) use node::Node;
pub(crate) use operator::{OPERATOR_TOKEN, VIEWER_TOKEN, request};
pub(crate) use proxy::Proxy;
pub(crate) use queues::Queue;
pub(crate) use secret::Secret;
pub(crate) use services::Addresses;
pub(crate) use source::{Document, TIME_FIELD};
pub(crate) use trigger::{Exports, deliver_event, failed_items, sqs_event};
pub(crate) use verbs::VISIBILITY;

use archive::Bucket;
use canary::Heard;
use granary_ledger::{Ledger, LedgerSettings};
use jiff::Timestamp;
use queues::Queues;
use services::Database;
use source::Indices;
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::time::Duration;
use switches::Switches;
use tokio::sync::OnceCell;
use uuid::Uuid;

/// How long a function may take, as the template says.
pub(crate) const HARVESTER_TIMEOUT: Duration = Duration::from_secs(600);
pub(crate) const EXPORTER_TIMEOUT: Duration = Duration::from_secs(180);
pub(crate) const REAPER_TIMEOUT: Duration = Duration::from_secs(60);
pub(crate) const OPERATOR_TIMEOUT: Duration = Duration::from_secs(29);
pub(crate) const MIGRATOR_TIMEOUT: Duration = Duration::from_secs(900);

/// The source's name in the archive.
pub(crate) const SOURCE_NAME: &str = "messages";
pub(crate) const PREFIX: &str = "archive";
const HOUR_SECS: i64 = 3_600;
/// Most tests are over by then.
const BEFORE_THE_HOUR_SECS: i64 = 30;

/// A deployment of its own.
pub(crate) struct Stage {
    /// Names what only this stage has.
    pub(crate) id: String,
    pub(crate) ledger: Ledger,
    pub(crate) indices: Indices,
    pub(crate) queues: Queues,
    pub(crate) bucket: Bucket,
    pub(crate) harvester: Function,
    pub(crate) reaper: Function,
    pub(crate) operator: Function,
    pub(crate) migrator: Function,
    switches: OnceCell<Switches>,
    /// Functions at the emulator, by their names.
    deployed: Mutex<Vec<String>>,
    exporters: Vec<Function>,
    is_finished: bool,
    environment: BTreeMap<String, String>,
    database: Database,
    heard: Heard,
}

impl Stage {
    /// A stage with the defaults, but for what makes tests wait. The schema of its ledger is one migration ahead of the functions.
    pub(crate) async fn new(name: &str) -> Self {
        Self::with(name, &[]).await
    }

    /// A stage whose functions are told something else: `[("GRANARY_LEASE_SECONDS", "3")]`. An empty value unsets.
    pub(crate) async fn with(name: &str, settings: &[(&str, &str)]) -> Self {
        Self::at(Addresses::from_environment(), name, settings).await
    }

    /// A stage whose source lies in an Elasticsearch of the test's own.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "only the full suites start a node")
    )]
    pub(crate) async fn on(node: &Node, name: &str) -> Self {
        Self::on_with(node, name, &[]).await
    }

    /// The same, whose functions are told something else.
    #[cfg_attr(
        not(feature = "full"),
        allow(dead_code, reason = "only the full suites start a node")
    )]
    pub(crate) async fn on_with(node: &Node, name: &str, settings: &[(&str, &str)]) -> Self {
        Self::at(Addresses::from_environment().with_node(node), name, settings).await
    }

    /// A stage on services that are the test's own or the local stack's, as [`Addresses`] says.
    pub(crate) async fn at(addresses: Addresses, name: &str, settings: &[(&str, &str)]) -> Self {
        let_the_hour_turn().await;
        let unique = Uuid::now_v7().simple().to_string();
        let id = format!("{name}-{}", &unique[unique.len() - 12..]);
        let aws = granary_environment::aws::sdk_config().await;
        let database = Database::new(&addresses).await;
        let ledger = LedgerSettings {
            url: database.url.clone().into(),
            connections_max: 4,
        };
        let ledger = Ledger::connect(&ledger).await.unwrap();
        let indices = Indices::new(&addresses, &id).await;
        let queues = Queues::new(&aws, &id).await;
        let bucket = Bucket::new(&aws, &id).await;

        let mut environment = addresses.of_aws();
        let of_granary = of_granary(&addresses, &database, &indices, &queues, &bucket);
        environment.extend(of_granary.map(|(name, value)| (name.to_owned(), value)));
        environment.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        environment.retain(|_, value| !value.is_empty());
        let heard = Heard::default();
        heard.listen("a message of a queue or an alert", &queues.received);
        let function = |name: &str| Function::new(name, &environment).heard_by(&heard);
        Self {
            harvester: function("harvester"),
            reaper: function("reaper"),
            operator: function("operator"),
            migrator: function("migrator"),
            switches: OnceCell::new(),
            deployed: Mutex::default(),
            exporters: vec![function("exporter"), function("exporter")],
            id,
            ledger,
            indices,
            queues,
            bucket,
            environment,
            database,
            heard,
            is_finished: false,
        }
    }

    /// One of the exporters that work side by side.
    pub(crate) fn exporter(&self, number: usize) -> &Function {
        &self.exporters[number]
    }

    /// What its functions are told by a variable.
    pub(crate) fn setting(&self, name: &str) -> &str {
        &self.environment[name]
    }

    /// A function beside the stage's own, told something else on top.
    pub(crate) fn another(&self, name: &str, settings: &[(&str, &str)]) -> Function {
        let mut environment = self.environment.clone();
        environment.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        Function::new(name, &environment).heard_by(&self.heard)
    }

    /// Has all of its functions start anew and be told something else: addresses of networks that stand before what this
    /// stage made. The stage's own eyes look past them.
    pub(crate) fn tell(&mut self, settings: &[(&str, &str)]) {
        self.environment.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        let function = |name: &str| Function::new(name, &self.environment).heard_by(&self.heard);
        self.harvester = function("harvester");
        self.reaper = function("reaper");
        self.operator = function("operator");
        self.migrator = function("migrator");
        let exporters = self.exporters.len();
        self.exporters = (0..exporters).map(|_| function("exporter")).collect();
    }

    /// Has this many exporters work side by side.
    pub(crate) fn have_exporters(&mut self, count: usize) {
        let (environment, heard) = (&self.environment, &self.heard);
        self.exporters
            .resize_with(count, || Function::new("exporter", environment).heard_by(heard));
    }

    /// Has an index for each kind of metadata, and the functions started anew that read them. Most of what a stage costs
    /// Elasticsearch is its indices, so one that isn't about metadata has none.
    pub(crate) async fn have_metadata(&mut self) {
        self.indices.create_metadata().await;
        let sources = self.indices.metadata_sources();
        self.tell(&[("GRANARY_METADATA_SOURCES", &sources)]);
    }

    /// Ends the functions, looks at everything that always holds, and removes what the stage made.
    pub(crate) async fn finish(self) {
        self.end_functions().await;
        self.assert_discreet().await;
        self.assert_invariants().await;
        self.remove().await;
    }

    /// The same where the plot leaves something broken on purpose.
    pub(crate) async fn finish_broken(self) {
        self.end_functions().await;
        self.assert_discreet().await;
        self.remove().await;
    }

    /// The same where the test itself has leaked content.
    pub(crate) async fn finish_indiscreet(self) {
        self.end_functions().await;
        self.remove().await;
    }

    async fn end_functions(&self) {
        for function in self.functions() {
            function.kill().await;
        }
    }

    async fn remove(mut self) {
        if let Some(switches) = self.switches.get() {
            switches.remove().await;
        }
        deployed::remove(&self.deployed).await;
        remove(&self.indices, &self.queues, &self.bucket).await;
        self.ledger.clone().disconnect();
        self.is_finished = true;
    }

    fn functions(&self) -> impl Iterator<Item = &Function> {
        self.exporters
            .iter()
            .chain([&self.harvester, &self.reaper, &self.operator, &self.migrator])
    }
}

async fn remove(indices: &Indices, queues: &Queues, bucket: &Bucket) {
    queues.remove().await;
    bucket.remove().await;
    indices.remove().await;
}

impl Drop for Stage {
    /// For a test that panicked: on a thread and a runtime of its own, since a destructor can't wait on its test's.
    fn drop(&mut self) {
        if self.is_finished {
            return;
        }
        self.functions().for_each(Function::end);
        std::thread::scope(|scope| {
            let removing = scope.spawn(|| {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                runtime.unwrap().block_on(async {
                    let aws = granary_environment::aws::sdk_config().await;
                    if let Some(switches) = self.switches.get() {
                        switches.reconnected(&aws).remove().await;
                    }
                    deployed::remove(&self.deployed).await;
                    let (queues, bucket) = (self.queues.reconnected(&aws), self.bucket.reconnected(&aws));
                    remove(&self.indices.reconnected(), &queues, &bucket).await;
                });
            });
            if removing.join().is_err() {
                eprintln!("what the stage {} made was not removed", self.id);
            }
        });
    }
}

fn of_granary(
    addresses: &Addresses,
    database: &Database,
    indices: &Indices,
    queues: &Queues,
    bucket: &Bucket,
) -> [(&'static str, String); 20] {
    [
        ("GRANARY_ENVIRONMENT", "local".into()),
        ("GRANARY_LOG", "debug".into()),
        ("GRANARY_SOURCE_NAME", SOURCE_NAME.into()),
        ("GRANARY_SOURCE_INDEX", indices.messages.clone()),
        ("GRANARY_SOURCE_ID_FIELD", source::ID_FIELD.into()),
        ("GRANARY_SOURCE_TIME_FIELD", source::TIME_FIELD.into()),
        ("GRANARY_ES_URL", addresses.elasticsearch.to_string()),
        ("GRANARY_LEDGER_URL", database.url.clone()),
        ("GRANARY_BUCKET", bucket.name.clone()),
        ("GRANARY_PREFIX", PREFIX.into()),
        ("GRANARY_QUEUE_URL", queues.normal.url.clone()),
        ("GRANARY_PRIORITY_QUEUE_URL", queues.priority.url.clone()),
        ("GRANARY_DLQ_URL", queues.dead_letters.url.clone()),
        ("GRANARY_PRIORITY_DLQ_URL", queues.dead_letters.url.clone()),
        ("GRANARY_ALERT_TOPIC_ARN", queues.topic_arn.clone()),
        ("GRANARY_BATCH_SIZE", "100".into()),
        // What a test would wait for.
        ("GRANARY_RETRY_DELAY_MS", "1".into()),
        ("GRANARY_HARVEST_LAG_SECONDS", "0".into()),
        ("GRANARY_LEASE_SECONDS", "90".into()),
        ("GRANARY_TOKENS", operator::TOKENS.into()),
    ]
}

/// With the turn of the hour, a window of the continuous migration comes due: a test that has begun takes it for one of its
/// own.
async fn let_the_hour_turn() {
    let left = HOUR_SECS - Timestamp::now().as_second().rem_euclid(HOUR_SECS);
    if left <= BEFORE_THE_HOUR_SECS {
        let until_it_has_turned = Duration::from_secs(left.unsigned_abs() + 1);
        tokio::time::sleep(until_it_has_turned).await;
    }
}

pub(crate) fn instant(text: &str) -> Timestamp {
    text.parse().unwrap()
}
