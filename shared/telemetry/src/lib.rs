//! Logs and metrics (`metric.rs`). Logs: one line per event on standard output, JSON in Lambda and plain text elsewhere.
//!
//! What our own crates log is ours to keep free of secrets and of messages' content. What other crates log is not
//! (an HTTP client shows headers, a database client statements), so none of it is let through below `info`,
//! whatever `GRANARY_LOG` asks for. Nothing here can fail: a `GRANARY_LOG` that can't be read is reported as a
//! warning, and the default holds.
//!
//! | name | default | what it holds |
//! |---|---|---|
//! | `GRANARY_LOG` | `info` | a level for our own crates, or directives such as `info,granary_ledger=debug` |
//! | `GRANARY_LOG_FORMAT` | `json` in Lambda, else `text` | `json` or `text` |

mod metric;

pub use metric::{Kind, Metric, record, record_tick, start_metrics, write_metrics};

use tracing::level_filters::LevelFilter;
use tracing::{Level, Metadata, Subscriber, info, warn};
use tracing_subscriber::filter::{EnvFilter, filter_fn};
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

/// What the names of our crates begin with.
const OURS: [&str; 6] = [
    "granary",
    "migrator",
    "harvester",
    "exporter",
    "reaper",
    "operator",
];
/// Where Lambda's runtime says, in a span of level `info`, which request a line belongs to.
const REQUEST_SPAN: &str = "lambda_runtime=info";

/// Starts logging; the first line names the function and its version. A second call changes nothing.
pub fn init(function_name: &str) {
    let setting = variable("GRANARY_LOG").unwrap_or_else(|| "info".to_owned());
    let (levels, unreadable) = match levels(&setting) {
        Ok(levels) => (levels, None),
        Err(reason) => (own_level(LevelFilter::INFO), Some(reason)),
    };
    if subscriber(levels, LineFormat::of_process(), std::io::stdout)
        .try_init()
        .is_err()
    {
        return;
    }
    info!(target: "granary", function = function_name, version = env!("CARGO_PKG_VERSION"), "cold start");
    if let Some(reason) = unreadable {
        warn!(target: "granary", setting, reason, "GRANARY_LOG can't be read; the default holds");
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum LineFormat {
    Json,
    Text,
}

impl LineFormat {
    fn of_process() -> Self {
        let in_lambda = variable("AWS_LAMBDA_FUNCTION_NAME").is_some();
        match variable("GRANARY_LOG_FORMAT").as_deref() {
            Some("json") => Self::Json,
            Some("text") => Self::Text,
            Some(_) | None if in_lambda => Self::Json,
            Some(_) | None => Self::Text,
        }
    }
}

/// Writes the events that `levels` asks for and that are free of secrets.
fn subscriber<W>(levels: EnvFilter, format: LineFormat, writer: W) -> impl Subscriber + Send + Sync
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer()
        .with_ansi(false)
        .with_writer(writer);
    let lines = match format {
        LineFormat::Json => lines.json().flatten_event(true).with_span_list(false).boxed(),
        LineFormat::Text => lines.boxed(),
    };
    tracing_subscriber::registry()
        .with(levels)
        .with(filter_fn(is_free_of_secrets))
        .with(lines)
}

/// A bare level is meant for our own crates; anything else is taken as it is written.
fn levels(setting: &str) -> Result<EnvFilter, String> {
    match setting.parse() {
        Ok(level) => Ok(own_level(level)),
        Err(_) => EnvFilter::builder()
            .parse(setting)
            .map_err(|error| error.to_string()),
    }
}

/// Our own crates at `level`, all others at `warn`.
fn own_level(level: LevelFilter) -> EnvFilter {
    let ours: String = OURS.iter().map(|name| format!(",{name}={level}")).collect();
    EnvFilter::new(format!("warn,{REQUEST_SPAN}{ours}"))
}

/// Below `info`, only our own crates are known to show neither secrets nor content.
fn is_free_of_secrets(metadata: &Metadata<'_>) -> bool {
    *metadata.level() <= Level::INFO || OURS.iter().any(|name| metadata.target().starts_with(name))
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::Value;
    use std::io::Write;
    use std::sync::{Arc, Mutex};
    use tracing::{debug, info_span, trace};

    /// Keeps what is written.
    #[derive(Clone, Default)]
    struct Page(Arc<Mutex<Vec<u8>>>);

    impl Write for Page {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// The lines that `log` leaves under a setting of `GRANARY_LOG`.
    fn lines(setting: &str, format: LineFormat, log: impl FnOnce()) -> Vec<String> {
        let page = Page::default();
        let writer = page.clone();
        let subscriber = subscriber(levels(setting).unwrap(), format, move || writer.clone());
        tracing::subscriber::with_default(subscriber, log);
        let written = String::from_utf8(page.0.lock().unwrap().clone()).unwrap();
        written.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_line_in_lambda_is_one_json_object_with_its_fields_and_its_request() {
        let lines = lines("info", LineFormat::Json, || {
            let request = info_span!(target: "lambda_runtime::layers::trace", "Lambda runtime invoke", requestId = "r-1");
            request.in_scope(|| info!(target: "exporter", batch_id = 7, "batch\nsettled"));
        });
        let line: Value = serde_json::from_str(&lines[0]).unwrap();
        assert_eq!(
            (&line["message"], &line["batch_id"]),
            (&"batch\nsettled".into(), &7.into())
        );
        assert_eq!(line["span"]["requestId"], "r-1");
        assert_eq!(lines.len(), 1);
    }

    #[test]
    fn by_default_our_crates_speak_from_info_on_and_others_from_warn_on() {
        let lines = lines("info", LineFormat::Text, || {
            info!(target: "granary_ledger::claim", "ours");
            debug!(target: "exporter", "too fine");
            info!(target: "hyper_util", "too chatty");
            warn!(target: "hyper_util", "theirs");
        });
        assert_eq!(lines.len(), 2, "{lines:?}");
        assert!(
            lines[0].ends_with("ours") && lines[1].ends_with("theirs"),
            "{lines:?}"
        );
        assert!(!lines.concat().contains('\u{1b}'), "no colours");
    }

    #[test]
    fn s2_no_setting_lets_other_crates_speak_below_info() {
        for setting in ["trace", "trace,aws_smithy_runtime=trace", "debug,hyper=trace"] {
            let lines = lines(setting, LineFormat::Json, || {
                trace!(target: "aws_smithy_runtime::client", "authorization: hunter2");
                debug!(target: "mysql_async", "password hunter2");
                debug!(target: "granary_source", "ours");
            });
            assert!(
                lines.len() == 1 && lines[0].contains("ours"),
                "{setting}: {lines:?}"
            );
        }
    }

    #[test]
    fn directives_that_cannot_be_read_are_an_error_and_not_silence() {
        assert!(levels("granary=loud").is_err());
    }
}
