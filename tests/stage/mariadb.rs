//! A MariaDB of a test's own, that may be killed, restarted, made read-only and starved of connections: started the
//! way the local stack's is, with a data directory, a socket and a port of its own.
//!
//! Not responsible for the databases in it: a stage makes and drops its own. What it leaves behind is removed with the
//! value, also where the test panics.

use super::certificates::Certificate;
use super::node::{command_of, free_port};
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

pub(crate) struct MariaDb {
    /// `mysql://user:password@host:port`, without a database.
    pub(crate) url: String,
    port: u16,
    command: Vec<String>,
    process: Option<Child>,
    /// Removed with this value, after the process.
    _home: TempDir,
}

impl MariaDb {
    /// Starts it on empty data, and returns when it can be used.
    pub(crate) async fn start() -> Self {
        Self::with(&[]).await
    }

    /// The same with a certificate: whoever wants to may connect over TLS.
    pub(crate) async fn with_certificate(certificate: &Certificate) -> Self {
        let options = [
            format!("--ssl-cert={}", certificate.certificate.display()),
            format!("--ssl-key={}", certificate.key.display()),
        ];
        Self::with(&options).await
    }

    async fn with(options: &[String]) -> Self {
        let home = tempfile::tempdir().unwrap();
        let port = free_port();
        install(home.path()).await;
        let mut server = Self {
            url: format!("mysql://{USER}:{PASSWORD}@127.0.0.1:{port}"),
            port,
            command: command(home.path(), port)
                .into_iter()
                .chain(options.iter().cloned())
                .collect(),
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

    /// A statement that only an administrator may give.
    pub(crate) async fn administer(&self, statement: &str) {
        let mut conn = admin(self.port).await.unwrap();
        conn.query_drop(statement).await.unwrap();
        conn.disconnect().await.unwrap();
    }
}

impl Drop for MariaDb {
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

async fn install(home: &Path) {
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
        .await
        .expect("mariadb-install-db is there, as the local stack needs it");
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

/// The command line of the stack's server, with other data, another port, and less memory.
fn command(home: &Path, port: u16) -> Vec<String> {
    let at = |name: &str| home.join(name).display().to_string();
    let changed = [
        ("--user", user_of_the_system()),
        ("--datadir", at("data")),
        ("--tmpdir", at("tmp")),
        ("--socket", at("mysql.sock")),
        ("--pid-file", at("mariadbd.pid")),
        ("--init-file", at("users.sql")),
        ("--port", port.to_string()),
        ("--innodb-buffer-pool-size", "64M".into()),
        ("--innodb-log-file-size", "16M".into()),
    ];
    let mut command = command_of("mariadb");
    for (name, value) in changed {
        let argument = command
            .iter_mut()
            .find(|argument| argument.split('=').next() == Some(name))
            .unwrap_or_else(|| panic!("the stack's MariaDB has no {name}"));
        *argument = format!("{name}={value}");
    }
    command
}

/// As the stack's server was told: a server that root starts wants a name.
fn user_of_the_system() -> String {
    let user = command_of("mariadb")
        .into_iter()
        .find_map(|argument| Some(argument.strip_prefix("--user=")?.to_owned()));
    user.expect("the stack's MariaDB was told who it is")
}
