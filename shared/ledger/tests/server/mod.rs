//! A MariaDB of a test's own: where a test logs every statement, or fills more than the shared server should hold.
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

pub(crate) struct Server {
    port: u16,
    process: Child,
    /// Removed with this value, after the process.
    _home: TempDir,
}

impl Server {
    /// Starts it on empty data with these options besides, and makes one empty database.
    pub(crate) async fn start(options: &[&str]) -> Self {
        let home = tempfile::tempdir().unwrap();
        install(home.path());
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        drop(listener);
        let log = std::fs::File::create(home.path().join("log")).unwrap();
        let at = |name: &str| home.path().join(name).display().to_string();
        let program = ["/usr/sbin/mariadbd", "/usr/local/sbin/mariadbd"]
            .into_iter()
            .find(|path| Path::new(path).exists())
            .unwrap_or("mariadbd");
        let process = Command::new(program)
            .args(["--no-defaults", "--bind-address=127.0.0.1", "--skip-name-resolve"])
            .arg(format!("--user={}", user_of_the_system()))
            .arg(format!("--datadir={}", at("data")))
            .arg(format!("--tmpdir={}", home.path().display()))
            .arg(format!("--socket={}", at("s")))
            .arg(format!("--pid-file={}", at("pid")))
            .arg(format!("--init-file={}", at("users.sql")))
            .arg(format!("--port={port}"))
            .arg("--character-set-server=utf8mb4")
            .args(options)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("mariadbd is there, as the local stack needs it");
        let mut server = Self {
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

fn install(home: &Path) {
    let output = Command::new("mariadb-install-db")
        // A server removes what others left in its directory for temporary tables, also where they are still at work.
        .env("TMPDIR", home)
        .arg("--no-defaults")
        .arg(format!("--datadir={}", home.join("data").display()))
        .args([
            "--auth-root-authentication-method=normal",
            "--skip-test-db",
            "--innodb-log-file-size=16M",
        ])
        .arg(format!("--user={}", user_of_the_system()))
        .output()
        .expect("mariadb-install-db is there, as the local stack needs it");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let users = format!(
        "CREATE USER IF NOT EXISTS '{USER}'@'127.0.0.1';\n\
         GRANT ALL PRIVILEGES ON *.* TO '{USER}'@'127.0.0.1';\n\
         CREATE DATABASE IF NOT EXISTS granary;\n"
    );
    std::fs::write(home.join("users.sql"), users).unwrap();
}

/// A server that root starts wants a name.
fn user_of_the_system() -> String {
    let output = Command::new("id").arg("-un").output().unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
