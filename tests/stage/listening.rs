//! The operator as it runs outside of Lambda, on a port of its own, and the command line that asks it there.

use super::canary::Lines;
use super::function::binary;
use super::{OPERATOR_TOKEN, Stage};
use serde_json::Value;
use std::collections::BTreeMap;
use std::process::Stdio;
use std::time::Duration;
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::{Child, Command};

/// On a busy machine.
const UP_WITHIN: Duration = Duration::from_secs(30);
const ENDS_WITHIN: Duration = Duration::from_secs(90);

/// An operator that listens. It ends with this value.
pub(crate) struct Listening {
    pub(crate) url: String,
    /// What it answered, and what the command line printed.
    answers: Lines,
    _child: Child,
}

/// How a run of the command line ended.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: i32,
    /// Standard output.
    pub(crate) out: String,
    /// Standard error.
    pub(crate) err: String,
}

impl Said {
    /// Standard output as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.out).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Stage {
    /// The operator on a port of its own, told these settings on top.
    pub(crate) async fn listen(&self, settings: &[(&str, &str)]) -> Listening {
        let mut environment: BTreeMap<String, String> = self.environment.clone();
        environment.extend(
            settings
                .iter()
                .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
        );
        environment.insert("GRANARY_LISTEN".to_owned(), "127.0.0.1:0".to_owned());
        environment.insert("GRANARY_LOG_FORMAT".to_owned(), "json".to_owned());
        environment.insert("AWS_ACCESS_KEY_ID".to_owned(), "operator".to_owned());
        let (log, answers) = (Lines::default(), Lines::default());
        self.heard.listen("the log of the listening operator", &log);
        self.heard.listen(
            "an answer of the listening operator, or what was printed",
            &answers,
        );
        let mut child = Command::new(binary("operator"))
            .env_clear()
            .envs(&environment)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let mut errors = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let log_of_errors = log.clone();
        tokio::spawn(async move {
            while let Ok(Some(line)) = errors.next_line().await {
                eprintln!("{line}");
                log_of_errors.lock().unwrap().push(line);
            }
        });
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let address = tokio::time::timeout(UP_WITHIN, async {
            while let Some(line) = lines.next_line().await.unwrap() {
                log.lock().unwrap().push(line.clone());
                let line: Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(address) = line["listen"].as_str() {
                    return address.to_owned();
                }
            }
            panic!("the operator ended before it listened");
        });
        let address = address.await.expect("the operator listens in time");
        // Its log would fill the pipe.
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                log.lock().unwrap().push(line);
            }
        });
        Listening {
            url: format!("http://{address}"),
            answers,
            _child: child,
        }
    }
}

impl Listening {
    /// What the API answers an operator to `METHOD /path`, by HTTP: its status and its body.
    pub(crate) async fn ask(&self, line: &str, body: Option<Value>) -> (u16, Value) {
        let (method, path) = line.split_once(' ').expect("a method and a path");
        let mut request = reqwest::Client::new()
            .request(method.parse().unwrap(), format!("{}{path}", self.url))
            .bearer_auth(OPERATOR_TOKEN);
        if let Some(body) = body {
            request = request.json(&body);
        }
        let answer = request.send().await.unwrap();
        let (status, body): (u16, Value) = (answer.status().as_u16(), answer.json().await.unwrap());
        self.note(body.to_string());
        (status, body)
    }

    /// Runs the command line as an operator does: words between blanks.
    pub(crate) async fn granary(&self, line: &str) -> Said {
        self.granary_as(OPERATOR_TOKEN, line).await
    }

    /// The same, and it must come to its end as it should.
    pub(crate) async fn done(&self, line: &str) -> Said {
        let said = self.granary(line).await;
        assert_eq!(said.code, 0, "granary {line}: {said:?}");
        said
    }

    /// What the API answered to it.
    pub(crate) async fn json(&self, line: &str) -> Value {
        self.done(&format!("--json {line}")).await.json()
    }

    /// With another token.
    pub(crate) async fn granary_as(&self, token: &str, line: &str) -> Said {
        let words: Vec<&str> = line.split_whitespace().collect();
        let variables = [
            ("GRANARY_API_URL", self.url.as_str()),
            ("GRANARY_API_TOKEN", token),
        ];
        let said = granary(&words, &variables).await;
        self.note(said.out.clone());
        self.note(said.err.clone());
        said
    }

    fn note(&self, said: String) {
        self.answers.lock().unwrap().push(said);
    }
}

/// Runs the command line with nothing in its environment but these.
pub(crate) async fn granary(arguments: &[&str], variables: &[(&str, &str)]) -> Said {
    let running = Command::new(binary("granary"))
        .args(arguments)
        .env_clear()
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(ENDS_WITHIN, running).await;
    let output = output
        .unwrap_or_else(|_| panic!("granary {arguments:?} didn't end"))
        .unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}

/// The same in a shell, where the program's name is `"$0"`.
pub(crate) async fn granary_in_a_shell(script: &str, variables: &[(&str, &str)]) -> Said {
    let running = Command::new("bash")
        .args(["-c", script])
        .arg(binary("granary"))
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .envs(variables.iter().copied())
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output();
    let output = tokio::time::timeout(ENDS_WITHIN, running).await;
    let output = output.expect("it ends in time").unwrap();
    Said {
        code: output.status.code().unwrap_or(-1),
        out: String::from_utf8(output.stdout).unwrap(),
        err: String::from_utf8(output.stderr).unwrap(),
    }
}
