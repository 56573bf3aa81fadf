//! `local/package`: it says what is missing before it builds anything.

use super::document::checkout;
use std::os::unix::fs::PermissionsExt;
use std::process::Command;

/// Runs it on a machine whose rustup has these targets and no other tool of ours; what it says when it fails.
fn refused(architecture: &str, targets: &str) -> String {
    let tools = tempfile::tempdir().unwrap();
    let rustup = tools.path().join("rustup");
    std::fs::write(&rustup, format!("#!/bin/sh\necho {targets}\n")).unwrap();
    std::fs::set_permissions(&rustup, std::fs::Permissions::from_mode(0o755)).unwrap();
    let output = Command::new(checkout().join("local/package"))
        .arg(architecture)
        .env("PATH", format!("{}:/usr/bin:/bin", tools.path().display()))
        .output()
        .unwrap();
    assert!(!output.status.success());
    String::from_utf8(output.stderr).unwrap()
}

#[test]
fn packaging_for_arm64_says_how_to_get_the_target_that_is_missing() {
    let said = refused("arm64", "x86_64-unknown-linux-gnu");
    assert!(said.contains("packaging for arm64 needs"), "{said}");
    assert!(
        said.contains("rustup target add aarch64-unknown-linux-gnu"),
        "{said}"
    );
    let said = refused("x86_64", "x86_64-unknown-linux-gnu");
    assert!(!said.contains("rustup target add"), "{said}");
    for tool in ["cargo-lambda", "cargo-cyclonedx"] {
        assert!(said.contains(tool), "{said}");
    }
}

#[test]
fn an_architecture_that_lambda_does_not_have_is_refused() {
    let said = refused("mips", "x86_64-unknown-linux-gnu");
    assert!(said.contains("use ARCH=x86_64 or ARCH=arm64"), "{said}");
}

/// The functions that it packages are those of the template.
#[test]
fn every_function_of_the_template_is_packaged() {
    let template = super::Template::read();
    let script = std::fs::read_to_string(checkout().join("local/package")).unwrap();
    let (_, rest) = script
        .split_once("\nFUNCTIONS=(")
        .expect("it names the functions");
    let (names, _) = rest.split_once(')').expect("the list ends");
    let mut packaged: Vec<&str> = names.split_whitespace().collect();
    let functions = template.functions().into_iter();
    let mut binaries: Vec<&str> = functions.map(|(name, _)| template.binary_of(name)).collect();
    packaged.sort_unstable();
    binaries.sort_unstable();
    assert_eq!(packaged, binaries);
}

/// A package is deployed without building: its template names the zips.
#[test]
fn the_template_of_a_package_names_the_zip_of_each_function() {
    let output = Command::new("python3")
        .args(["local/lib/packaged_template.py", "template.yaml"])
        .current_dir(checkout())
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let packaged = String::from_utf8(output.stdout).unwrap();
    let template = super::Template::read();
    for (name, _) in template.functions() {
        let (_, function) = packaged.split_once(&format!("\n  {name}:\n")).unwrap();
        let (_, code) = function.split_once("CodeUri: ").unwrap();
        let zip = format!("./{}.zip", template.binary_of(name));
        assert_eq!(code.lines().next(), Some(zip.as_str()), "{name}");
    }
    let source = std::fs::read_to_string(checkout().join("template.yaml")).unwrap();
    assert_eq!(packaged.lines().count(), source.lines().count());
}
