//! What the functions asked AWS for in all scenarios, as the emulator recorded it, against what the transformed template grants.
//!
//! Not responsible for requests that AWS makes in a function's name: no emulator shows them.

use crate::deployment::variable;
use crate::document::Template;
use crate::grants::{BUCKET, DEAD_LETTERS, FUNCTIONS, MARK, Need, OBJECTS, QUEUES, UNRECORDED, Why};
use crate::policies::granted_to;
use std::collections::BTreeSet;

const BATCH_NUMBERS: &str = "/_ledger/batch-numbers.json";
const DEAD_LETTER_QUEUE: &str = "-dead-letters";
/// `${Prefix}/source=${SourceName}/` of every scenario.
const ROOT: &str = "archive/source=messages/";

/// A request of a function of some scenario.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Asked {
    /// As the template has it: `Harvester`.
    function: String,
    action: String,
    /// A bucket, with a key or without, or a queue; else `-`.
    on: String,
}

impl Asked {
    /// A line of the record: `harvester sqs:SendMessage stage-#-batches`.
    fn of(line: &str) -> Self {
        let words: Vec<&str> = line.split(' ').collect();
        let [function, action, on] = words[..] else {
            panic!("no line of the record: {line}");
        };
        let (first, rest) = function.split_at(1);
        Self {
            function: first.to_uppercase() + rest,
            action: action.to_owned(),
            on: on.to_owned(),
        }
    }

    /// Whether it is on something that the template has under this name.
    fn is_on(&self, name: &str) -> bool {
        let among = |names: &[&str]| names.contains(&name);
        if among(OBJECTS) {
            self.is_object() && !self.on.ends_with(BATCH_NUMBERS)
        } else if among(MARK) {
            self.is_object() && self.on.ends_with(BATCH_NUMBERS)
        } else if among(BUCKET) {
            !self.on.contains('/')
        } else if among(QUEUES) {
            !self.on.ends_with(DEAD_LETTER_QUEUE)
        } else if among(DEAD_LETTERS) {
            self.on.ends_with(DEAD_LETTER_QUEUE)
        } else {
            // A stage has one of each, or the record doesn't tell them apart.
            true
        }
    }

    /// Whether it is on an object of the source.
    fn is_object(&self) -> bool {
        self.on
            .split_once('/')
            .is_some_and(|(_, key)| key.starts_with(ROOT))
    }

    fn is_granted(&self, granted: &BTreeSet<(String, String)>) -> bool {
        granted.iter().any(|(action, on)| {
            // The mark lies among the objects.
            let is_on = self.is_on(on) || (OBJECTS.contains(&on.as_str()) && self.is_object());
            *action == self.action && is_on
        })
    }

    fn is_for(&self, function: &str, (resources, action, _): &Need) -> bool {
        self.function == function && self.action == *action && resources.iter().any(|on| self.is_on(on))
    }
}

/// The record of this run, which begins with `make test`.
fn record() -> BTreeSet<Asked> {
    let path = variable("RECORDED_CALLS");
    let record = std::fs::read_to_string(&path).unwrap_or_else(|error| {
        panic!("{path}: {error}; run the scenarios first, on a stack that was started with this version (`make down`)")
    });
    record.lines().map(Asked::of).collect()
}

/// Requests in the code that no scenario sent, and ways that are said to be unrecorded and are not.
fn unproven(function: &str, needs: &[Need], record: &BTreeSet<Asked>) -> Vec<String> {
    let judge = |need: &Need| {
        let (resources, action, why) = need;
        let is_recorded = record.iter().any(|asked| asked.is_for(function, need));
        let is_excused = UNRECORDED
            .iter()
            .any(|(of, excused, _)| *of == function && excused == action);
        match (why, is_recorded, is_excused) {
            (Why::Call(..), false, false) => {
                Some(format!("{function} never sends {action} on {resources:?}"))
            }
            (Why::Call(..), true, true) => Some(format!("{function} does send {action} on {resources:?}")),
            (Why::Call(..), _, _) | (Why::Because(_), _, _) => None,
        }
    };
    needs.iter().filter_map(judge).collect()
}

#[test]
fn the_record_has_requests_of_every_function() {
    let record = record();
    for (function, _) in FUNCTIONS {
        let asked = record.iter().filter(|asked| asked.function == function);
        // The migrator asks AWS for the ledger's secret alone.
        let more_than = if function == "Migrator" { 0 } else { 2 };
        assert!(
            asked.count() > more_than,
            "{function} has asked AWS for too little: {record:?}"
        );
    }
}

#[test]
fn every_recorded_request_is_granted_by_the_template_as_aws_deploys_it() {
    let template = Template::transformed();
    let record = record();
    for (function, _) in FUNCTIONS {
        let granted = granted_to(&template, function);
        let refused: Vec<_> = record
            .iter()
            .filter(|asked| asked.function == function && !asked.is_granted(&granted))
            .collect();
        assert!(refused.is_empty(), "AWS would refuse {refused:#?}");
    }
}

#[test]
fn every_request_that_a_grant_is_for_was_sent_by_a_scenario_or_has_a_reason_why_not() {
    let record = record();
    let unproven: Vec<String> = FUNCTIONS
        .iter()
        .flat_map(|(function, needs)| unproven(function, &needs.concat(), &record))
        .collect();
    assert!(
        unproven.is_empty(),
        "remove the grant, write a scenario, or mend UNRECORDED in tests/template/grants.rs: {unproven:#?}"
    );
}

#[test]
fn a_request_that_is_not_granted_there_is_found() {
    let granted = [(MARK[0], "s3:GetObject"), (QUEUES[0], "sqs:SendMessage")];
    let granted = granted
        .map(|(on, action)| (action.to_owned(), on.to_owned()))
        .into();
    for (line, is_granted) in [
        (
            "harvester s3:GetObject b-#/archive/source=messages/_ledger/batch-numbers.json",
            true,
        ),
        (
            "harvester s3:GetObject b-#/archive/source=messages/dt=#/hour=#/batch.zst",
            false,
        ),
        (
            "harvester s3:GetObject b-#/elsewhere/source=messages/_ledger/batch-numbers.json",
            false,
        ),
        ("harvester s3:ListBucket b-#", false),
        ("harvester sqs:SendMessage stage-#-batches", true),
        ("harvester sqs:SendMessage stage-#-dead-letters", false),
        ("harvester lambda:GET:/unknown -", false),
    ] {
        assert_eq!(Asked::of(line).is_granted(&granted), is_granted, "{line}");
    }
}

#[test]
fn a_grant_that_no_request_needs_is_found() {
    let needs: [Need; 2] = [
        (
            QUEUES,
            "sqs:SendMessage",
            Why::Call("shared/handoff/src/handoff.rs", "send"),
        ),
        (QUEUES, "sqs:ReceiveMessage", Why::Because("Lambda polls")),
    ];
    let sent: BTreeSet<Asked> = [Asked::of("harvester sqs:SendMessage stage-#-batches")].into();
    assert_eq!(unproven("Harvester", &needs, &sent), [""; 0]);
    assert_eq!(
        unproven("Reaper", &needs, &sent).len(),
        1,
        "another function sent it"
    );
}
