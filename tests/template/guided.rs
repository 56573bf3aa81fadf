//! What `sam deploy --guided` asks for, against docs/deploy.md; and the tags of samconfig.toml.

use super::document::checkout;

fn read(file: &str) -> String {
    std::fs::read_to_string(checkout().join(file)).unwrap()
}

/// The names of the parameters in the order of the template, in which SAM asks for them, with the defaults that it shows.
fn parameters() -> Vec<(String, String)> {
    let template = read("template.yaml");
    let (_, rest) = template
        .split_once("\nParameters:\n")
        .expect("there are parameters");
    let (parameters, _) = rest.split_once("\nRules:\n").expect("rules follow them");
    let mut found: Vec<(String, String)> = Vec::new();
    for line in parameters.lines() {
        let is_name = line.starts_with("  ") && !line.starts_with("   ") && !line.starts_with("  #");
        if is_name {
            let name = line.trim().trim_end_matches(':');
            found.push((name.to_owned(), String::new()));
        } else if let (Some(default), Some(last)) = (line.strip_prefix("    Default: "), found.last_mut()) {
            default.trim_matches('\'').clone_into(&mut last.1);
        }
    }
    found
}

#[test]
fn the_transcript_of_the_guided_deployment_shows_every_prompt_in_its_order() {
    let docs = read("docs/deploy.md");
    let prompts: Vec<&str> = docs
        .lines()
        .filter_map(|line| line.strip_prefix("    Parameter "))
        .map(|line| line.split_once("]:").expect("a prompt ends with ]:").0)
        .collect();
    let asked: Vec<String> = parameters()
        .iter()
        .map(|(name, default)| format!("{name} [{default}"))
        .collect();
    assert_eq!(prompts, asked);
}

#[test]
fn the_sample_answers_satisfy_what_has_no_default() {
    let docs = read("docs/deploy.md");
    for (required, answer) in [("SourceTimeField", "created_at"), ("EsUrl", "https://")] {
        let prompt = format!("    Parameter {required} []: {answer}");
        assert!(docs.contains(&prompt), "docs/deploy.md lacks: {prompt}");
    }
}

/// CloudFormation gives the tags of a stack to each of its resources that can have some.
#[test]
fn each_deployment_of_samconfig_has_tags() {
    let config = read("samconfig.toml");
    for environment in ["local", "staging", "production"] {
        let section = format!("[{environment}.deploy.parameters]");
        let (_, rest) = config
            .split_once(&section)
            .expect("samconfig.toml has the section");
        let of_section = rest.split("\n[").next().unwrap_or(rest);
        let tags = format!("tags = \"Project=granary Environment={environment}\"");
        assert!(of_section.contains(&tags), "{section} lacks: {tags}");
    }
}
