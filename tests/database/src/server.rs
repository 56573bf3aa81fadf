//! A ledger's server of a test's own, of the kind that the local stack runs (`LEDGER_SERVER`, `LEDGER_PROGRAM`): where a test
//! kills it, makes it read-only or starves it of connections, counts what it reads, or fills more than the shared one
//! should hold.
//!
//! It begins with a copy of the stack's own empty data (`LEDGER_EMPTY_DATA`), because making that takes longer than most
//! tests do. What it leaves behind is removed with the value, also where the test panics. Not responsible for the databases
//! in it: a test makes and drops its own.

use crate::deployed;
use crate::lending::end_connections;
use crate::processlist;
use granary_ledger::{Ledger, LedgerSettings};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;
use uuid::Uuid;

const START_SECS_MAX: u64 = 120;
const POLL_INTERVAL: Duration = Duration::from_millis(50);
/// Below what the system gives to outgoing connections: while the server is down, no other process takes its port.
const PORTS: std::ops::Range<u16> = 20_000..32_000;

/// Who the functions and the tests are: it may do anything in databases whose names begin with granary, and nothing
/// else. Above all it may not write where the server is read-only, and has no connection in reserve.
const USER: &str = "granary";
const PASSWORD: &str = "of-a-test";
const ADMIN: &str = "admin";
/// A database that is there from the start, without tables.
const DATABASE: &str = "granary";

/// As durable as production's, with less memory than the stack's.
const OPTIONS: [&str; 8] = [
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--character-set-server=utf8mb4",
    "--max-connections=400",
    "--max-allowed-packet=64M",
    "--innodb-flush-log-at-trx-commit=1",
    "--innodb-file-per-table=0",
    "--innodb-buffer-pool-size=64M",
];

/// What it runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ServerKind {
    /// MariaDB.
    MariaDb,
    /// MySQL.
    MySql,
}

impl ServerKind {
    /// What the local stack runs.
    pub fn of_stack() -> Self {
        match variable("LEDGER_SERVER").as_str() {
            "mariadb" => Self::MariaDb,
            "mysql" => Self::MySql,
            other => panic!("LEDGER_SERVER is {other:?}, and can be mariadb or mysql"),
        }
    }

    /// The option that makes its redo log so large.
    pub fn redo_log(self, size: &str) -> String {
        match self {
            Self::MariaDb => format!("--innodb-log-file-size={size}"),
            Self::MySql => format!("--innodb-redo-log-capacity={size}"),
        }
    }

    /// What only counts in one of them.
    fn options(self) -> &'static [&'static str] {
        match self {
            Self::MariaDb => &[],
            Self::MySql => &[
                "--disable-log-bin",
                "--mysqlx=OFF",
                "--secure-file-priv=NULL",
                "--innodb-monitor-enable=icp_attempts",
            ],
        }
    }

    /// What lets other servers follow it, or it another one.
    fn replication(self, id: u8) -> Vec<String> {
        let mut options = vec!["--log-bin".to_owned(), format!("--server-id={id}")];
        if self == Self::MySql {
            options.extend(["--gtid-mode=ON", "--enforce-gtid-consistency=ON"].map(str::to_owned));
        }
        options
    }
}

/// A server that ends with this value.
#[derive(Debug)]
pub struct LedgerServer {
    /// What it runs.
    pub kind: ServerKind,
    /// Where it listens, on this machine.
    pub port: u16,
    arguments: Vec<String>,
    process: Option<Child>,
    /// Removed with this value, after the process.
    _home: TempDir,
}

impl LedgerServer {
    /// Starts it on empty data, and returns when it can be used.
    pub async fn start() -> Self {
        Self::start_with::<&str>(&[]).await
    }

    /// The same with these options besides.
    pub async fn start_with<O: AsRef<str>>(options: &[O]) -> Self {
        let kind = ServerKind::of_stack();
        let home = tempfile::tempdir().expect("there is room for a directory");
        let port = free_port();
        install(home.path());
        let own = kind.redo_log("32M");
        let given = OPTIONS
            .iter()
            .chain(kind.options())
            .copied()
            .chain([own.as_str()]);
        let arguments = places(home.path(), port)
            .into_iter()
            .chain(given.chain(options.iter().map(AsRef::as_ref)).map(str::to_owned))
            .collect();
        let mut server = Self {
            kind,
            port,
            arguments,
            process: None,
            _home: home,
        };
        server.restart().await;
        server
    }

    /// The same with a certificate and its key: clients may connect over TLS.
    pub async fn with_certificate(certificate: &Path, key: &Path) -> Self {
        Self::start_with(&[
            format!("--ssl-cert={}", certificate.display()),
            format!("--ssl-key={}", key.display()),
        ])
        .await
    }

    /// One that another server can follow.
    pub async fn start_as_writer() -> Self {
        Self::start_with(&ServerKind::of_stack().replication(1)).await
    }

    /// Starts another one that holds what a [writer](Self::start_as_writer) holds, and follows it.
    pub async fn replica(&self) -> Self {
        let replica = Self::start_with(&self.kind.replication(2)).await;
        let port = self.port;
        let [follow, start] = match self.kind {
            ServerKind::MariaDb => [
                format!(
                    "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {port}, MASTER_USER = '{ADMIN}', \
                     MASTER_PASSWORD = '{PASSWORD}', MASTER_USE_GTID = slave_pos"
                ),
                "START SLAVE".to_owned(),
            ],
            ServerKind::MySql => [
                format!(
                    "CHANGE REPLICATION SOURCE TO SOURCE_HOST = '127.0.0.1', SOURCE_PORT = {port}, \
                     SOURCE_USER = '{ADMIN}', SOURCE_PASSWORD = '{PASSWORD}', SOURCE_AUTO_POSITION = 1, \
                     GET_SOURCE_PUBLIC_KEY = 1"
                ),
                "START REPLICA".to_owned(),
            ],
        };
        replica.administer(&follow).await;
        replica.administer(&start).await;
        replica
    }

    /// A failover: the old writer stays up, read-only, and this one holds all that it holds and takes its place.
    pub async fn take_over_from(&self, writer: &Self) {
        writer.be_read_only().await;
        let [position, wait, stop] = match self.kind {
            ServerKind::MariaDb => [
                "SELECT @@gtid_binlog_pos",
                "SELECT MASTER_GTID_WAIT(?, 60)",
                "STOP SLAVE",
            ],
            ServerKind::MySql => [
                "SELECT @@GLOBAL.gtid_executed",
                "SELECT WAIT_FOR_EXECUTED_GTID_SET(?, 60)",
                "STOP REPLICA",
            ],
        };
        let mut conn = writer.connection().await;
        let position: Option<String> = conn.query_first(position).await.expect("it says how far it is");
        conn.disconnect().await.expect("the connection ends");
        let mut conn = self.connection().await;
        let waited: Option<i64> = conn
            .exec_first(wait, (position,))
            .await
            .expect("the replica can wait");
        assert_eq!(waited, Some(0), "the replica holds what the writer holds");
        conn.query_drop(stop).await.expect("it follows no more");
        conn.disconnect().await.expect("the connection ends");
    }

    /// SIGKILL: nothing is written down that wasn't. What was committed stays.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            // It may have ended by itself.
            process.kill().ok();
            process.wait().ok();
        }
    }

    /// Its process, while it runs.
    pub fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(Child::id)
    }

    /// Starts it again, on the same data and port, and waits until it has recovered. What was set by
    /// [`be_read_only`](Self::be_read_only) and [`limit_connections`](Self::limit_connections) is forgotten.
    pub async fn restart(&mut self) {
        self.kill();
        let process = Command::new(variable("LEDGER_PROGRAM"))
            .args(&self.arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("LEDGER_PROGRAM can be started");
        self.process = Some(process);
        let deadline = Instant::now() + Duration::from_secs(START_SECS_MAX);
        while self.try_connection().await.is_err() {
            let process = self.process.as_mut().expect("it was started");
            let ended = process.try_wait().expect("it can be asked");
            assert!(
                ended.is_none(),
                "the server ended while it was starting: {ended:?}"
            );
            assert!(
                Instant::now() < deadline,
                "the server was not ready within {START_SECS_MAX} s"
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
    }

    /// What a client sees that is still connected to the old primary after a failover: it may read, and not write (1290).
    pub async fn be_read_only(&self) {
        self.administer("SET GLOBAL read_only = ON").await;
    }

    /// The opposite.
    pub async fn be_writable(&self) {
        self.administer("SET GLOBAL read_only = OFF").await;
    }

    /// So many connections at most (10 is the least that the server accepts), and one more for an administrator.
    pub async fn limit_connections(&self, connections: u32) {
        self.administer(&format!("SET GLOBAL max_connections = {connections}"))
            .await;
    }

    /// Connections to ledgers. One that holds the lock on a lent database names none.
    pub async fn connections_to_ledgers(&self) -> u64 {
        self.count(&format!(
            "SELECT COUNT(*) FROM {} WHERE user = '{USER}' AND db IS NOT NULL",
            processlist()
        ))
        .await
    }

    /// Ends the connections that a user has, as a rotation may.
    pub async fn end_connections_of(&self, user: &str) {
        let mut conn = self.connection().await;
        end_connections(&mut conn, &format!("user = '{user}'")).await;
        conn.disconnect().await.expect("the connection ends");
    }

    /// A user that may have so many connections at once, and what the others may; its `mysql://user:password@host:port`.
    pub async fn user_with_connections(&self, name: &str, connections: u32) -> String {
        for statement in [
            format!(
                "CREATE USER '{name}'@'%' IDENTIFIED BY '{PASSWORD}' WITH MAX_USER_CONNECTIONS {connections}"
            ),
            format!("GRANT ALL PRIVILEGES ON `granary%`.* TO '{name}'@'%'"),
        ] {
            self.administer(&statement).await;
        }
        self.url_of(name)
    }

    /// A statement that only an administrator may give.
    pub async fn administer(&self, statement: &str) {
        let mut conn = self.connection().await;
        conn.query_drop(statement)
            .await
            .unwrap_or_else(|error| panic!("{error}: {statement}"));
        conn.disconnect().await.expect("the connection ends");
    }

    /// What a query counts.
    pub async fn count(&self, query: &str) -> u64 {
        let mut conn = self.connection().await;
        let count: Option<u64> = conn
            .query_first(query)
            .await
            .unwrap_or_else(|error| panic!("{error}: {query}"));
        conn.disconnect().await.expect("the connection ends");
        count.expect("a count has a row")
    }

    /// How many deadlocks it has broken since it started.
    pub async fn deadlocks(&self) -> u64 {
        self.count(match self.kind {
            ServerKind::MariaDb => {
                "SELECT CAST(variable_value AS UNSIGNED) FROM information_schema.global_status \
                 WHERE variable_name = 'Innodb_deadlocks'"
            }
            ServerKind::MySql => {
                "SELECT CAST(COALESCE(SUM(sum_error_raised), 0) AS UNSIGNED) \
                 FROM performance_schema.events_errors_summary_global_by_error WHERE error_number = 1213"
            }
        })
        .await
    }

    /// A connection beside the ledger's. It may do anything on this server.
    pub async fn connection(&self) -> Conn {
        self.try_connection().await.expect("the server lets it in")
    }

    async fn try_connection(&self) -> Result<Conn, mysql_async::Error> {
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .user(Some(ADMIN))
            .pass(Some(PASSWORD))
            .db_name(Some(DATABASE))
            .prefer_socket(false)
            .setup(vec!["SET time_zone = '+00:00'"]);
        Conn::new(options).await
    }

    /// `mysql://user:password@host:port`, without a database.
    pub fn url(&self) -> String {
        self.url_of(USER)
    }

    fn url_of(&self, user: &str) -> String {
        format!("mysql://{user}:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// The address of the database that is there from the start.
    pub fn database_url(&self) -> String {
        format!("{}/{DATABASE}", self.url())
    }

    /// A ledger in that database, with its schema.
    pub async fn ledger(&self) -> Ledger {
        let settings = LedgerSettings {
            url: self.database_url().into(),
            connections_max: 4,
        };
        deployed(&settings).await
    }
}

impl Drop for LedgerServer {
    /// Its data can only be removed when it has ended.
    fn drop(&mut self) {
        self.kill();
    }
}

/// A port of this machine for a server that may be killed and come back.
pub fn free_port() -> u16 {
    let numbers = std::iter::repeat_with(|| (Uuid::now_v7().as_u128() % PORTS.len() as u128) as u16);
    numbers
        .map(|number| PORTS.start + number)
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok())
        .expect("a port is free")
}

fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `local/stack up`, then `. .local/env`"))
}

/// The data of a server that never ran, and the users that it makes as it starts.
fn install(home: &Path) {
    let copied = Command::new("cp")
        .args(["-r", "--reflink=auto"])
        .arg(variable("LEDGER_EMPTY_DATA"))
        .arg(home.join("data"))
        .status()
        .expect("cp is there");
    assert!(
        copied.success(),
        "LEDGER_EMPTY_DATA can't be copied: run `local/stack up`"
    );
    std::fs::create_dir(home.join("tmp")).expect("there is room for a directory");
    let users = format!(
        "CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL PRIVILEGES ON `granary%`.* TO '{USER}'@'%';\n\
         CREATE USER IF NOT EXISTS '{ADMIN}'@'%' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL PRIVILEGES ON *.* TO '{ADMIN}'@'%' WITH GRANT OPTION;\n\
         CREATE DATABASE IF NOT EXISTS {DATABASE};\n"
    );
    std::fs::write(home.join("users.sql"), users).expect("there is room for a file");
}

/// Where everything of it lies.
fn places(home: &Path, port: u16) -> Vec<String> {
    let at = |name: &str| home.join(name).display().to_string();
    vec![
        "--no-defaults".to_owned(),
        format!("--user={}", user_of_the_system()),
        format!("--datadir={}", at("data")),
        format!("--tmpdir={}", at("tmp")),
        format!("--socket={}", at("s")),
        format!("--pid-file={}", at("pid")),
        format!("--log-error={}", at("log")),
        format!("--init-file={}", at("users.sql")),
        format!("--port={port}"),
    ]
}

/// A server that root starts wants a name.
fn user_of_the_system() -> String {
    let output = Command::new("id").arg("-un").output().expect("id is there");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}
