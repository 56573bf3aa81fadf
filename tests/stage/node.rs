//! An Elasticsearch of a test's own, that may be killed: started the way the local stack's is, with a home and ports
//! of its own.

use granary_test_database::free_port;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};
use tempfile::TempDir;
use tokio::process::{Child, Command};

const START_SECS_MAX: u64 = 90;
const POLL_INTERVAL: Duration = Duration::from_millis(100);

pub(crate) struct Node {
    pub(crate) url: String,
    command: Vec<String>,
    process: Option<Child>,
    /// Removed with this value.
    _home: TempDir,
}

impl Node {
    /// Starts it, and returns when its indices can be used.
    pub(crate) async fn start() -> Self {
        Self::with_heap("512m").await
    }

    /// The same with as much memory as is said.
    pub(crate) async fn with_heap(heap: &str) -> Self {
        Self::with(heap, "").await
    }

    /// One whose `elasticsearch.yml` says this.
    pub(crate) async fn configured(yml: &str) -> Self {
        Self::with("512m", yml).await
    }

    async fn with(heap: &str, yml: &str) -> Self {
        let home = tempfile::tempdir().unwrap();
        let port = free_port();
        let command = command(home.path(), port, heap);
        std::fs::write(home.path().join("config/elasticsearch.yml"), yml).unwrap();
        let mut node = Self {
            url: format!("http://127.0.0.1:{port}"),
            command,
            process: None,
            _home: home,
        };
        node.restart().await;
        node
    }

    /// SIGKILL. Its data stays.
    pub(crate) async fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.unwrap();
        }
    }

    pub(crate) async fn restart(&mut self) {
        let mut process = Command::new(&self.command[0])
            .args(&self.command[1..])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let deadline = Instant::now() + Duration::from_secs(START_SECS_MAX);
        while !self.is_ready().await {
            let ended = process.try_wait().unwrap();
            assert!(ended.is_none(), "the node ended while it was starting: {ended:?}");
            assert!(
                Instant::now() < deadline,
                "the node was not ready within {START_SECS_MAX} s"
            );
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        self.process = Some(process);
    }

    /// HTTP answers before the indices are there.
    async fn is_ready(&self) -> bool {
        let url = format!("{}/_cluster/health?wait_for_status=yellow&timeout=1s", self.url);
        let answer = reqwest::get(url).await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }
}

/// The command line of a service of the stack.
fn command_of(service: &str) -> Vec<String> {
    let stack = stack_directory();
    let pid = std::fs::read_to_string(stack.join(format!("run/{service}.pid")))
        .unwrap_or_else(|error| panic!("no {service} runs in {}: {error}", stack.display()));
    let command = std::fs::read_to_string(format!("/proc/{}/cmdline", pid.trim())).unwrap();
    command
        .trim_end_matches('\0')
        .split('\0')
        .map(str::to_owned)
        .collect()
}

/// The command line of the stack's node, with another home and other ports.
fn command(home: &Path, port: u16, heap: &str) -> Vec<String> {
    let mut command = command_of("elasticsearch");
    let [.., stacks_home, http, transport] = command.as_mut_slice() else {
        panic!("not the stack's Elasticsearch: {command:?}");
    };
    for directory in ["config", "data", "logs", "plugins", "tmp"] {
        std::fs::create_dir(home.join(directory)).unwrap();
    }
    for directory in ["lib", "modules"] {
        symlink(Path::new(stacks_home).join(directory), home.join(directory)).unwrap();
    }
    *stacks_home = home.display().to_string();
    *http = port.to_string();
    *transport = free_port().to_string();
    for argument in &mut command {
        if argument.starts_with("-Djava.io.tmpdir=") {
            *argument = format!("-Djava.io.tmpdir={}", home.join("tmp").display());
        } else if argument.starts_with("-Xm") {
            *argument = format!("{}{heap}", &argument[..4]);
        }
    }
    command
}

/// Where the stack keeps what it runs: `.local` of the checkout, if nothing else is said.
fn stack_directory() -> PathBuf {
    std::env::var_os("GRANARY_LOCAL_DIR").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../.local"),
        PathBuf::from,
    )
}
