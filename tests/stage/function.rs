//! A function: the real binary as a warm process that works on one invocation at a time.
//!
//! As in Lambda, a process that ended is started again by the next invocation, and one that exceeds its timeout is
//! killed. Signals may be sent while it works. Its log is kept, and shown where a test fails.

use super::canary::{Heard, Lines};
use super::runtime_api::{Answer, RuntimeApi};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use uuid::Uuid;

/// Lines of its log that are shown where a test fails.
const LOG_LINES_SHOWN: usize = 80;
/// How long a function may take to find out that it can't work.
const REFUSAL_WITHIN: Duration = Duration::from_secs(30);
const POLL_INTERVAL: Duration = Duration::from_millis(20);
const POLLS_MAX: u32 = 2_000;

/// Why an invocation came to nothing.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum FunctionError {
    /// The function said so.
    Returned { error_type: String, message: String },
    /// The process ended: it was killed, it crashed, or it couldn't start.
    Exited(String),
    /// It took longer than its timeout, and was killed.
    TimedOut,
}

/// What Lambda counts of a function's invocations.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Counted {
    pub(crate) invocations: usize,
    /// Of these, the ones that failed: an error of the handler, a process that ended, a timeout.
    pub(crate) errors: usize,
    /// Of these, the ones whose process ended: they wrote no metrics.
    pub(crate) unmeasured: usize,
}

impl Counted {
    fn add(&mut self, invoked: &Result<Value, FunctionError>) {
        let (error, unmeasured) = match invoked {
            Ok(_) => (0, 0),
            Err(FunctionError::Returned { .. }) => (1, 0),
            Err(FunctionError::Exited(_) | FunctionError::TimedOut) => (1, 1),
        };
        self.invocations += 1;
        self.errors += error;
        self.unmeasured += unmeasured;
    }
}

pub(crate) struct Function {
    pub(crate) name: String,
    environment: BTreeMap<String, String>,
    /// In KiB: as if the disk were full from there on.
    file_kib_max: Option<u64>,
    temp: TempDir,
    log: Lines,
    /// What it answered, and what it said instead of starting.
    answers: Lines,
    /// What reads its output, by process.
    readers: Mutex<Vec<JoinHandle<()>>>,
    process: tokio::sync::Mutex<Option<Process>>,
    pid: Arc<Mutex<Option<u32>>>,
    counted: Mutex<Counted>,
}

struct Process {
    api: RuntimeApi,
    child: Child,
}

impl Function {
    pub(crate) fn new(name: &str, environment: &BTreeMap<String, String>) -> Self {
        Self {
            name: name.into(),
            environment: environment.clone(),
            file_kib_max: None,
            temp: tempfile::tempdir().unwrap(),
            log: Lines::default(),
            answers: Lines::default(),
            readers: Mutex::default(),
            process: tokio::sync::Mutex::new(None),
            pid: Arc::default(),
            counted: Mutex::default(),
        }
    }

    /// What it logs and answers is searched for the content of messages when its stage ends.
    pub(super) fn heard_by(self, heard: &Heard) -> Self {
        heard.listen(format!("the log of the {}", self.name), &self.log);
        heard.listen(format!("an answer of the {}", self.name), &self.answers);
        self
    }

    /// No file that it writes may become larger: the system refuses what is beyond (EFBIG), as it would on a full disk.
    pub(crate) fn with_files_of_at_most(mut self, kib: u64) -> Self {
        self.file_kib_max = Some(kib);
        self
    }

    /// Invokes the function, and starts it where no process of it runs.
    pub(crate) async fn invoke(&self, event: Value, timeout: Duration) -> Result<Value, FunctionError> {
        self.invoke_as(&Uuid::now_v7().to_string(), event, timeout).await
    }

    /// The same, with a request id of the test's choice.
    pub(crate) async fn invoke_as(
        &self,
        request_id: &str,
        event: Value,
        timeout: Duration,
    ) -> Result<Value, FunctionError> {
        let invoked = self.hand_over(request_id, event, timeout).await;
        self.counted.lock().unwrap().add(&invoked);
        invoked
    }

    /// Its invocations so far, as Lambda counts them.
    pub(crate) fn counted(&self) -> Counted {
        *self.counted.lock().unwrap()
    }

    async fn hand_over(
        &self,
        request_id: &str,
        event: Value,
        timeout: Duration,
    ) -> Result<Value, FunctionError> {
        let mut slot = self.process.lock().await;
        if !slot.as_mut().is_some_and(Process::runs) {
            *slot = Some(self.start().await);
        }
        let process = slot.as_mut().expect("it was started");
        let answered = process.api.hand_over(request_id, event, timeout).await;
        let outcome = tokio::select! {
            answer = answered => Ok(answer),
            status = process.child.wait() => Err(FunctionError::Exited(process.last_words(status.unwrap()))),
            () = tokio::time::sleep(timeout) => Err(FunctionError::TimedOut),
        };
        let answer = match outcome {
            Ok(Ok(Answer::Response(value))) => Ok(value),
            Ok(Ok(Answer::Error { error_type, message })) => {
                Err(FunctionError::Returned { error_type, message })
            }
            Ok(Err(_)) => Err(FunctionError::Exited(
                "it asked for more before it answered".into(),
            )),
            Err(error) => {
                *slot = None;
                Err(error)
            }
        };
        self.note(match &answer {
            Ok(value) => value.to_string(),
            Err(error) => format!("{error:?}"),
        });
        answer
    }

    fn note(&self, said: String) {
        self.answers.lock().unwrap().push(said);
    }

    /// SIGKILL: nothing is tidied up. Returns when the process is gone, and all that it wrote is in its log.
    pub(crate) async fn kill(&self) {
        self.signal("KILL");
        let mut slot = self.process.lock().await;
        if let Some(process) = slot.as_mut() {
            process.child.wait().await.unwrap();
        }
        *slot = None;
        let readers = std::mem::take(&mut *self.readers.lock().unwrap());
        for reader in readers {
            reader.await.unwrap();
        }
    }

    /// Waits until its process has ended by itself; the exit code, if no signal ended it.
    pub(crate) async fn ended(&self) -> Option<i32> {
        let mut slot = self.process.lock().await;
        let mut process = slot.take().expect("it runs, or ended between two invocations");
        process.child.wait().await.unwrap().code()
    }

    /// The process that works on its invocations, if one was started.
    pub(crate) fn pid(&self) -> Option<u32> {
        *self.pid.lock().unwrap()
    }

    /// SIGTERM, while it works or not. Returns at once.
    pub(crate) fn terminate(&self) {
        self.signal("TERM");
    }

    /// Stops the process in its tracks, as Lambda does between invocations and as a long pause of the machine would.
    pub(crate) fn freeze(&self) {
        self.signal("STOP");
    }

    pub(crate) fn thaw(&self) {
        self.signal("CONT");
    }

    /// SIGKILL, without waiting for its end.
    pub(crate) fn end(&self) {
        self.signal("KILL");
    }

    /// SIGKILL at somebody else's bidding, to whichever process of it runs then.
    pub(crate) fn killer(&self) -> impl Fn() + Send + Sync + 'static {
        let pid = self.pid.clone();
        move || send_signal(&pid, "KILL")
    }

    fn signal(&self, signal: &str) {
        send_signal(&self.pid, signal);
    }

    /// What it wrote, over all of its processes: stdout and stderr.
    pub(crate) fn log(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }

    /// Waits until it has written this to its log; what is read of the log may be a little behind the process.
    pub(crate) async fn until_it_says(&self, text: &str) {
        for _ in 0..POLLS_MAX {
            if self.log.lock().unwrap().iter().any(|line| line.contains(text)) {
                return;
            }
            tokio::time::sleep(POLL_INTERVAL).await;
        }
        panic!("the {} never said {text:?}, but {:#?}", self.name, self.log());
    }

    /// Where it spools.
    pub(crate) fn temp_dir(&self) -> &std::path::Path {
        self.temp.path()
    }

    /// The most memory that its process ever had.
    pub(crate) fn peak_memory_mib(&self) -> u64 {
        let pid = self.pid.lock().unwrap().expect("it was started");
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        let kib: u64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        kib / 1024
    }

    async fn start(&self) -> Process {
        let api = RuntimeApi::serve().await;
        let mut child = self.command(&api).spawn().unwrap();
        self.keep_log(child.stdout.take());
        self.keep_log(child.stderr.take());
        *self.pid.lock().unwrap() = child.id();
        Process { api, child }
    }

    /// Starts it where it can't work: it must end by itself, as failed. Returns everything that it wrote.
    pub(crate) async fn refusal(&self) -> String {
        let api = RuntimeApi::serve().await;
        let output = tokio::time::timeout(REFUSAL_WITHIN, self.command(&api).output()).await;
        let output = output.expect("it must not start").unwrap();
        let written = [output.stdout, output.stderr].concat();
        let written = String::from_utf8(written).unwrap();
        assert_eq!(output.status.code(), Some(1), "{written}");
        self.note(written.clone());
        written
    }

    fn command(&self, api: &RuntimeApi) -> Command {
        let mut command = match self.file_kib_max {
            None => Command::new(binary(&self.name)),
            Some(kib) => limited(&binary(&self.name), kib),
        };
        command
            .env_clear()
            .env("TMPDIR", self.temp.path())
            .envs(&self.environment)
            // By which the emulator's record knows whose request it is.
            .env("AWS_ACCESS_KEY_ID", &self.name)
            .env("AWS_LAMBDA_RUNTIME_API", &api.address)
            .env("AWS_LAMBDA_FUNCTION_NAME", &self.name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "512")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", format!("/aws/lambda/{}", self.name))
            .env("AWS_LAMBDA_LOG_STREAM_NAME", "test")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    fn keep_log(&self, output: Option<impl AsyncRead + Unpin + Send + 'static>) {
        let log = self.log.clone();
        let mut lines = BufReader::new(output.expect("it is piped")).lines();
        let reader = tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                log.lock().unwrap().push(line);
            }
        });
        self.readers.lock().unwrap().push(reader);
    }
}

impl Process {
    fn runs(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    fn last_words(&self, status: std::process::ExitStatus) -> String {
        match self.api.init_error() {
            Some(said) => format!("{status}, after it said {said:?}"),
            None => status.to_string(),
        }
    }
}

impl Drop for Function {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let log = self.log();
            let shown = log.len().saturating_sub(LOG_LINES_SHOWN);
            eprintln!(
                "--- the log of the {} ({shown} lines before):\n{}",
                self.name,
                log[shown..].join("\n")
            );
        }
    }
}

fn send_signal(pid: &Mutex<Option<u32>>, signal: &str) {
    let Some(pid) = *pid.lock().unwrap() else {
        return;
    };
    let sent = std::process::Command::new("kill")
        .arg(format!("-{signal}"))
        .arg(pid.to_string())
        .output();
    sent.expect("`kill` is there; the process may have ended");
}

/// The same process, after a shell has set the limit and seen to it that exceeding it is an error and no signal.
fn limited(binary: &std::path::Path, kib: u64) -> Command {
    let mut command = Command::new("bash");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f \"$1\"; exec \"$0\""])
        .arg(binary)
        .arg(kib.to_string());
    command
}

/// Beside this test, in the directory above `deps/`, whatever `CARGO_TARGET_DIR` is.
pub(super) fn binary(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap();
    let directory = test.ancestors().nth(2).expect("a test lies in target/debug/deps");
    let binary = directory.join(name);
    assert!(
        binary.exists(),
        "{} is not there: run `cargo build --workspace` first",
        binary.display()
    );
    binary
}
