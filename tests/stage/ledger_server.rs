//! A ledger server of a test's own, that may be killed, restarted, made read-only and starved of connections: of the kind
//! that the local stack runs (`LEDGER_SERVER`, `LEDGER_PROGRAM`), with a data directory, a socket and a port of its own.
//!
//! Not responsible for the databases in it: a stage makes and drops its own. What it leaves behind is removed with the
//! value, also where the test panics.

use super::certificates::Certificate;
use super::node::free_port;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, OptsBuilder};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::{Child, Command};

const START_SECS_MAX: u64 = 60;
const END_SECS_MAX: u64 = 10;
const POLL_INTERVAL: Duration = Duration::from_millis(50);

/// Who the functions and the tests are: it may do anything in databases whose names begin with granary, and nothing
/// else. Above all it may not write where the server is read-only, and has no connection in reserve.
const USER: &str = "granary";
const PASSWORD: &str = "of-a-test";
const ADMIN: &str = "admin";

pub(crate) struct LedgerServer {
    /// `mysql://user:password@host:port`, without a database.
    pub(crate) url: String,
    port: u16,
    command: Vec<String>,
    process: Option<Child>,
    /// Removed with this value, after the process.
    _home: TempDir,
}

impl LedgerServer {
    /// Starts it on empty data, and returns when it can be used.
    pub(crate) async fn start() -> Self {
        Self::start_with(&[]).await
    }

    /// The same with a certificate: clients may connect over TLS.
    pub(crate) async fn with_certificate(certificate: &Certificate) -> Self {
        let options = [
            format!("--ssl-cert={}", certificate.certificate.display()),
            format!("--ssl-key={}", certificate.key.display()),
        ];
        Self::start_with(&options.each_ref().map(String::as_str)).await
    }

    /// One that another server can follow.
    #[cfg(feature = "full")]
    pub(crate) async fn start_as_writer() -> Self {
        Self::start_with(&["--log-bin", "--server-id=1"]).await
    }

    /// Starts another one that holds what a [writer](Self::start_as_writer) holds, and follows it.
    #[cfg(feature = "full")]
    pub(crate) async fn replica(&self) -> Self {
        let replica = Self::start_with(&["--server-id=2"]).await;
        let follow = format!(
            "CHANGE MASTER TO MASTER_HOST = '127.0.0.1', MASTER_PORT = {}, MASTER_USER = '{ADMIN}', \
             MASTER_PASSWORD = '{PASSWORD}', MASTER_USE_GTID = slave_pos",
            self.port
        );
        replica.administer(&follow).await;
        replica.administer("START SLAVE").await;
        replica
    }

    /// A failover: the old writer stays up, read-only, and this one holds all that it holds and takes its place.
    #[cfg(feature = "full")]
    pub(crate) async fn take_over_from(&self, writer: &Self) {
        writer.be_read_only().await;
        let mut conn = admin(writer.port).await.unwrap();
        let position: Option<String> = conn.query_first("SELECT @@gtid_binlog_pos").await.unwrap();
        conn.disconnect().await.unwrap();
        let mut conn = admin(self.port).await.unwrap();
        let waited: Option<i64> = conn
            .exec_first("SELECT MASTER_GTID_WAIT(?, 60)", (position,))
            .await
            .unwrap();
        assert_eq!(waited, Some(0), "the replica holds what the writer holds");
        conn.query_drop("STOP SLAVE").await.unwrap();
        conn.disconnect().await.unwrap();
    }

    async fn start_with(options: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let port = free_port();
        install(home.path()).await;
        let mut command = command(home.path(), port).await;
        command.extend(options.iter().map(|option| (*option).to_owned()));
        let mut server = Self {
            url: format!("mysql://{USER}:{PASSWORD}@127.0.0.1:{port}"),
            port,
            command,
            process: None,
            _home: home,
        };
        server.restart().await;
        server
    }

    /// SIGKILL: nothing is written down that wasn't. What was committed stays.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.unwrap();
        }
    }

    /// Starts it again, on the same data and port, and waits until it has recovered. What was set by
    /// [`be_read_only`](Self::be_read_only) and [`limit_connections`](Self::limit_connections) is forgotten.
    pub(crate) async fn restart(&mut self) {
        self.kill().await;
        let process = Command::new(&self.command[0])
            .args(&self.command[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let process = self.process.insert(process);
        let deadline = Instant::now() + Duration::from_secs(START_SECS_MAX);
        while admin(self.port).await.is_err() {
            let ended = process.try_wait().unwrap();
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
    #[cfg(feature = "full")]
    pub(crate) async fn be_read_only(&self) {
        self.administer("SET GLOBAL read_only = ON").await;
    }

    #[cfg(feature = "full")]
    pub(crate) async fn be_writable(&self) {
        self.administer("SET GLOBAL read_only = OFF").await;
    }

    /// So many connections at most (10 is the least that the server accepts), and one more for an administrator.
    #[cfg(feature = "full")]
    pub(crate) async fn limit_connections(&self, connections: u32) {
        self.administer(&format!("SET GLOBAL max_connections = {connections}"))
            .await;
    }

    /// Connections of the functions and of the test.
    #[cfg(feature = "full")]
    pub(crate) async fn connections_of_functions(&self) -> u64 {
        let mut conn = admin(self.port).await.unwrap();
        let query = format!("SELECT COUNT(*) FROM information_schema.processlist WHERE user = '{USER}'");
        let count: Option<u64> = conn.query_first(query).await.unwrap();
        conn.disconnect().await.unwrap();
        count.unwrap()
    }

    /// A user that may have so many connections at once, and what the others may; its `mysql://user:password@host:port`.
    #[cfg(feature = "full")]
    pub(crate) async fn user_with_connections(&self, name: &str, connections: u32) -> String {
        for statement in [
            format!(
                "CREATE USER '{name}'@'%' IDENTIFIED BY '{PASSWORD}' WITH MAX_USER_CONNECTIONS {connections}"
            ),
            format!("GRANT ALL PRIVILEGES ON `granary%`.* TO '{name}'@'%'"),
        ] {
            self.administer(&statement).await;
        }
        format!("mysql://{name}:{PASSWORD}@127.0.0.1:{}", self.port)
    }

    /// A statement that only an administrator may give.
    pub(crate) async fn administer(&self, statement: &str) {
        let mut conn = admin(self.port).await.unwrap();
        conn.query_drop(statement).await.unwrap();
        conn.disconnect().await.unwrap();
    }
}

impl Drop for LedgerServer {
    /// Its data can only be removed when it has ended.
    fn drop(&mut self) {
        let Some(process) = &mut self.process else {
            return;
        };
        // It may have ended by itself.
        process.start_kill().ok();
        let deadline = Instant::now() + Duration::from_secs(END_SECS_MAX);
        while matches!(process.try_wait(), Ok(None)) && Instant::now() < deadline {
            std::thread::sleep(POLL_INTERVAL);
        }
    }
}

async fn admin(port: u16) -> Result<Conn, mysql_async::Error> {
    let opts = OptsBuilder::default()
        .ip_or_hostname("127.0.0.1")
        .tcp_port(port)
        .user(Some(ADMIN))
        .pass(Some(PASSWORD))
        .prefer_socket(false);
    Conn::new(opts).await
}

/// What the stack runs, and where its program is.
fn kind_and_program() -> (String, String) {
    let variable = |name: &str| {
        std::env::var(name)
            .unwrap_or_else(|_| panic!("{name} is not set: run `local/stack up`, then `. .local/env`"))
    };
    (variable("LEDGER_SERVER"), variable("LEDGER_PROGRAM"))
}

async fn install(home: &Path) {
    let (kind, program) = kind_and_program();
    let (program, options): (&str, &[&str]) = if kind == "mysql" {
        (&program, &["--no-defaults", "--initialize-insecure"])
    } else {
        let options = &[
            "--no-defaults",
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--innodb-log-file-size=16M",
        ];
        ("mariadb-install-db", options)
    };
    let output = Command::new(program)
        .args(options)
        .arg(format!("--datadir={}", home.join("data").display()))
        .arg(format!("--user={}", user_of_the_system().await))
        // A server that starts removes what others have in the same directory for a while.
        .env("TMPDIR", home)
        .output()
        .await
        .expect("the program is there, as the local stack needs it");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    std::fs::create_dir(home.join("tmp")).unwrap();
    let users = format!(
        "CREATE USER IF NOT EXISTS '{USER}'@'%' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL PRIVILEGES ON `granary%`.* TO '{USER}'@'%';\n\
         CREATE USER IF NOT EXISTS '{ADMIN}'@'%' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT ALL PRIVILEGES ON *.* TO '{ADMIN}'@'%' WITH GRANT OPTION;\n"
    );
    std::fs::write(home.join("users.sql"), users).unwrap();
}

/// As durable as the stack's server, with less memory.
async fn command(home: &Path, port: u16) -> Vec<String> {
    let (kind, program) = kind_and_program();
    let at = |name: &str| home.join(name).display().to_string();
    let mut command = vec![
        program,
        "--no-defaults".to_owned(),
        format!("--user={}", user_of_the_system().await),
        format!("--datadir={}", at("data")),
        format!("--tmpdir={}", at("tmp")),
        format!("--socket={}", at("mysql.sock")),
        format!("--pid-file={}", at("server.pid")),
        format!("--init-file={}", at("users.sql")),
        format!("--port={port}"),
    ];
    let common = [
        "--bind-address=127.0.0.1",
        "--skip-name-resolve",
        "--character-set-server=utf8mb4",
        "--max-connections=400",
        "--max-allowed-packet=64M",
        "--innodb-flush-log-at-trx-commit=1",
        "--innodb-file-per-table=0",
        "--innodb-buffer-pool-size=64M",
    ];
    let own: &[&str] = if kind == "mysql" {
        &[
            "--innodb-redo-log-capacity=32M",
            "--disable-log-bin",
            "--mysqlx=OFF",
            "--secure-file-priv=NULL",
        ]
    } else {
        &["--innodb-log-file-size=16M"]
    };
    command.extend(common.iter().chain(own).map(|option| (*option).to_owned()));
    command
}

/// A server that root starts wants a name.
async fn user_of_the_system() -> String {
    let output = Command::new("id").arg("-un").output().await.unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
