//! The commands of the AWS CLI in the documents. The emulator has no move tasks, so they are held to the models of which the
//! command line is made; no service is asked.

use super::document::{checkout, python};
use std::process::Command;

#[test]
fn every_command_of_the_aws_cli_in_the_documents_has_options_that_it_takes() {
    let documents = ["docs/operations.md", "docs/deploy.md"].map(|path| checkout().join(path));
    let output = Command::new(python())
        .arg(checkout().join("local/lib/aws_commands.py"))
        .args(documents)
        .output()
        .unwrap();
    let refused = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{refused}");
    let read: usize = String::from_utf8_lossy(&output.stdout).trim().parse().unwrap();
    assert!(read >= 8, "only {read} commands were found");
}

#[test]
fn the_runbook_names_the_dead_letter_queues_of_the_template_and_how_to_move_their_messages() {
    let page = std::fs::read_to_string(checkout().join("docs/operations.md")).unwrap();
    let template = std::fs::read_to_string(checkout().join("template.yaml")).unwrap();
    for queue in ["-batches-dead-letters", "-batches-priority-dead-letters"] {
        assert!(
            template.contains(&format!("${{AWS::StackName}}{queue}'")),
            "{queue}"
        );
        assert!(page.contains(&format!("`<stack>{queue}`")), "{queue}");
    }
    for operation in [
        "start-message-move-task",
        "list-message-move-tasks",
        "cancel-message-move-task",
    ] {
        assert!(
            page.contains(&format!("\n    aws sqs {operation} ")),
            "{operation}"
        );
    }
}
