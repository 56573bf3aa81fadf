//! A server of a test's own, of the kind that the local stack runs: where a test counts what is read, or fills more than the
//! shared server should hold.
//!
//! Its data is removed with the value, also where the test panics. Not responsible for what is in it.

use granary_ledger::{Ledger, LedgerSettings};
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use std::net::TcpListener;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tempfile::TempDir;

const START_SECS_MAX: u64 = 120;
const POLL_INTERVAL: Duration = Duration::from_millis(100);
const USER: &str = "granary";

/// What it runs. `LEDGER_SERVER` says so, and `LEDGER_PROGRAM` where its program is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ServerKind {
    MariaDb,
    MySql,
}

impl ServerKind {
    pub(crate) fn of_stack() -> Self {
        match variable("LEDGER_SERVER").as_str() {
            "mariadb" => Self::MariaDb,
            "mysql" => Self::MySql,
            other => panic!("LEDGER_SERVER is {other:?}, and can be mariadb or mysql"),
        }
    }

    /// What each of them calls things that both have, and what only counts in one.
    fn options(self, redo_log: &str) -> Vec<String> {
        match self {
            Self::MariaDb => vec![format!("--innodb-log-file-size={redo_log}")],
            Self::MySql => vec![
                format!("--innodb-redo-log-capacity={redo_log}"),
                "--disable-log-bin".to_owned(),
                "--mysqlx=OFF".to_owned(),
                "--secure-file-priv=NULL".to_owned(),
                "--innodb-monitor-enable=icp_attempts".to_owned(),
            ],
        }
    }
}

fn variable(name: &str) -> String {
    std::env::var(name)
        .unwrap_or_else(|_| panic!("{name} is not set: run `local/stack up`, then `. .local/env`"))
}

pub(crate) struct Server {
    #[allow(dead_code, reason = "the scale suite measures any server alike")]
    pub(crate) kind: ServerKind,
    pub(crate) port: u16,
    process: Child,
    /// Removed with this value, after the process.
    _home: TempDir,
}

impl Server {
    /// Starts it on empty data with a redo log of this size and these options besides, and makes one empty database.
    pub(crate) async fn start(redo_log: &str, options: &[&str]) -> Self {
        let kind = ServerKind::of_stack();
        let home = tempfile::tempdir().unwrap();
        install(kind, home.path());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let log = std::fs::File::create(home.path().join("log")).unwrap();
        let at = |name: &str| home.path().join(name).display().to_string();
        let process = Command::new(variable("LEDGER_PROGRAM"))
            .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve"])
            .arg(format!("--user={}", user_of_the_system()))
            .arg(format!("--datadir={}", at("data")))
            .arg(format!("--tmpdir={}", home.path().display()))
            .arg(format!("--socket={}", at("s")))
            .arg(format!("--pid-file={}", at("pid")))
            .arg(format!("--init-file={}", at("users.sql")))
            .arg(format!("--port={port}"))
            .arg("--character-set-server=utf8mb4")
            .args(kind.options(redo_log))
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("LEDGER_PROGRAM can be started");
        let mut server = Self {
            kind,
            port,
            process,
            _home: home,
        };
        server.wait().await;
        server
    }

    async fn wait(&mut self) {
        let deadline = Instant::now() + Duration::from_secs(START_SECS_MAX);
        while self.try_connection("granary").await.is_err() {
            let ended = self.process.try_wait().unwrap();
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

    /// A connection beside the ledger's. It may do anything on this server.
    pub(crate) async fn connection(&self) -> Conn {
        self.try_connection("granary").await.unwrap()
    }

    async fn try_connection(&self, database: &str) -> Result<Conn, mysql_async::Error> {
        let options = OptsBuilder::default()
            .ip_or_hostname("127.0.0.1")
            .tcp_port(self.port)
            .user(Some(USER))
            .db_name(Some(database))
            .prefer_socket(false)
            .setup(vec!["SET time_zone = '+00:00'"]);
        Conn::new(options).await
    }

    pub(crate) async fn sql(&self, statement: &str) {
        let mut conn = self.connection().await;
        conn.query_drop(statement)
            .await
            .unwrap_or_else(|error| panic!("{error}: {statement}"));
        conn.disconnect().await.unwrap();
    }

    /// What a query counts.
    #[allow(dead_code, reason = "the scale suite counts nothing")]
    pub(crate) async fn count(&self, query: &str) -> u64 {
        let mut conn = self.connection().await;
        let count: Option<u64> = conn.query_first(query).await.unwrap();
        conn.disconnect().await.unwrap();
        count.unwrap()
    }

    /// Where its database is.
    pub(crate) fn url(&self) -> String {
        format!("mysql://{USER}@127.0.0.1:{}/granary", self.port)
    }

    /// The ledger on this server, with its schema.
    pub(crate) async fn ledger(&self) -> Ledger {
        let settings = LedgerSettings {
            url: self.url().into(),
            connections_max: 4,
        };
        Ledger::connect(&settings).await.unwrap()
    }
}

impl Drop for Server {
    /// Its data can only be removed when it has ended.
    fn drop(&mut self) {
        // It may have ended by itself.
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

fn install(kind: ServerKind, home: &Path) {
    let mut command = match kind {
        ServerKind::MariaDb => {
            let mut command = Command::new("mariadb-install-db");
            command.args([
                "--no-defaults",
                "--auth-root-authentication-method=normal",
                "--skip-test-db",
                "--innodb-log-file-size=16M",
            ]);
            command
        }
        ServerKind::MySql => {
            let mut command = Command::new(variable("LEDGER_PROGRAM"));
            command.args(["--no-defaults", "--initialize-insecure"]);
            command
        }
    };
    let output = command
        .arg(format!("--datadir={}", home.join("data").display()))
        .arg(format!("--user={}", user_of_the_system()))
        // A server that starts removes what others have in the same directory for a while.
        .env("TMPDIR", home)
        .output()
        .expect("the program is there, as the local stack needs it");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let users = format!(
        "CREATE USER IF NOT EXISTS '{USER}'@'127.0.0.1';\n\
         GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'127.0.0.1' WITH GRANT OPTION;\n\
         CREATE DATABASE IF NOT EXISTS granary;\n"
    );
    std::fs::write(home.join("users.sql"), users).unwrap();
}

/// A server that root starts wants a name.
fn user_of_the_system() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
