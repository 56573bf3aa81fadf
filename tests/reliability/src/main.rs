//! Writes docs/reliability.md: every edge case and every step, with the tests that hold it (`make docs`).
//!
//! The page is made of the workspace's own sources. Not responsible for whether the tests pass. Where the page on disk isn't
//! what the sources say, a row is empty, or a test names a case that isn't there, this crate's own tests fail.

mod edge_cases;
mod scan;
mod steps;
mod page;
#[cfg(test)]
mod tests;
#[cfg(test)]
mod operations;

use anyhow::Context;

fn main() -> anyhow::Result<()> {
    let root = scan::root();
    let tests = scan::tests(&root)?;
    for gap in page::gaps(&tests) {
        eprintln!("without a test: {gap}");
    }
    for stranger in page::strangers(&tests) {
        eprintln!("not on the page: {stranger}");
    }
    std::fs::write(root.join(page::PATH), page::page(&tests)).context(page::PATH)
}
