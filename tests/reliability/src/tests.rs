//! docs/reliability.md is what the sources say.

use crate::{page, scan};
use std::collections::BTreeSet;

#[test]
fn the_page_says_what_the_sources_say() {
    let root = scan::root();
    let found = std::fs::read_to_string(root.join(page::PATH)).unwrap();
    let made = page::page(&scan::tests(&root).unwrap());
    let differs = found
        .lines()
        .zip(made.lines())
        .find(|(found, made)| found != made);
    assert!(
        found == made,
        "{} is not what the sources say, run `make docs`: {differs:?}",
        page::PATH
    );
}

#[test]
fn every_edge_case_and_every_step_has_a_test() {
    let gaps = page::gaps(&scan::tests(&scan::root()).unwrap());
    assert!(gaps.is_empty(), "without a test:\n{}", gaps.join("\n"));
}

#[test]
fn no_test_names_an_edge_case_that_is_not_there() {
    let strangers = page::strangers(&scan::tests(&scan::root()).unwrap());
    assert!(strangers.is_empty(), "not on the page:\n{}", strangers.join("\n"));
}

#[test]
fn a_test_names_its_cases_first_in_its_name_or_anywhere_in_its_comment() {
    let source = "
        /// E1, in the middle of E11. S3 is no case.
        #[tokio::test(flavor = \"multi_thread\")]
        async fn h15_h9_a_source_of_h2() {}

        /// H3: of something else.
        fn not_a_test() {}

        #[test]
        #[should_panic]
        fn s3_out_of_reach() {}
    ";
    let tests = scan::tests_in("a.rs", source);
    let names: Vec<_> = tests.iter().map(|test| test.name.as_str()).collect();
    assert_eq!(names, ["h15_h9_a_source_of_h2", "s3_out_of_reach"]);
    let cases = ["E1", "E11", "H15", "H9"].map(str::to_owned);
    assert_eq!(
        (&tests[0].cases, &tests[1].cases),
        (&BTreeSet::from(cases), &BTreeSet::new())
    );
}
