//! Manners: what goes where, what the exit code means, and what an error says to do next.

use super::at_the_source;
use crate::stage::{OPERATOR_TOKEN, VIEWER_TOKEN, granary, granary_in_a_shell};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_error_says_what_to_do_next_on_standard_error() {
    let nowhere = granary(&["status"], &[]).await;
    assert_eq!((nowhere.code, nowhere.out.as_str()), (1, ""));
    assert!(
        nowhere.err.contains("GRANARY_API_URL") && nowhere.err.contains("--api-url"),
        "{nowhere:?}"
    );
    let silent = [
        ("GRANARY_API_URL", "http://127.0.0.1:1"),
        ("GRANARY_API_TOKEN", "token"),
    ];
    let silent = granary(&["overview"], &silent).await;
    assert_eq!(silent.code, 1);
    assert!(
        silent.err.contains("does not answer") && silent.err.contains("make up"),
        "{silent:?}"
    );
    let typed = granary(&["migrat"], &[]).await;
    assert_eq!(typed.code, 64);
    assert!(typed.err.contains("migrate"), "{typed:?}");
    let ill = granary(&["doctor"], &[]).await;
    assert_eq!(ill.code, 5);
    assert!(ill.out.contains("GRANARY_API_URL"), "{ill:?}");
    let script = granary(&["completions", "bash"], &[]).await;
    assert_eq!(script.code, 0);
    assert!(script.out.contains("_granary"), "{}", script.out);
    let help = granary(&["queue", "purge", "--help"], &[]).await;
    assert_eq!((help.code, help.err.as_str()), (0, ""));
    assert!(help.out.contains("Examples:"), "{help:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_token_decides_what_may_be_done() {
    let (stage, operator, _) = at_the_source("cli-token").await;
    let wrong = operator.granary_as("wrong", "overview").await;
    assert_eq!(wrong.code, 1);
    assert!(wrong.err.contains("API_TOKEN"), "{wrong:?}");
    let viewer = operator.granary_as(VIEWER_TOKEN, "pause").await;
    assert_eq!(viewer.code, 1);
    assert!(viewer.err.contains("operator's token"), "{viewer:?}");
    assert_eq!(operator.granary_as(VIEWER_TOKEN, "overview").await.code, 0);
    assert_eq!(stage.row::<u64>("SELECT COUNT(*) FROM audit").await, 0);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn data_goes_to_standard_output_without_colours_and_a_closed_pipe_is_quiet() {
    let (stage, operator, _) = at_the_source("cli-pipes").await;
    let variables = [
        ("GRANARY_API_URL", operator.url.as_str()),
        ("GRANARY_API_TOKEN", OPERATOR_TOKEN),
    ];
    let said = granary(&["status", "--json"], &variables).await;
    assert!(
        said.json()["queue"]["batches"].is_object() && said.err.is_empty(),
        "{said:?}"
    );
    for line in [&["status"][..], &["doctor"], &["queue", "stats"], &["failures"]] {
        let said = granary(line, &variables).await;
        assert!(
            !said.out.contains('\u{1b}') && !said.err.contains('\u{1b}'),
            "{said:?}"
        );
    }
    let script = "set -o pipefail; \"$0\" doctor --json | true; \"$0\" tune | true; \"$0\" --help | true";
    let closed = granary_in_a_shell(script, &variables).await;
    assert_eq!((closed.code, closed.err.as_str()), (0, ""), "{closed:?}");
    stage.finish().await;
}
