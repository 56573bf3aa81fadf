//! What commands have in common: asking, showing, and asking people.

use crate::api::Api;
use crate::cli::Change;
use crate::ending::Ending;
use crate::progress::say;
use crate::sheet::{Field, Format, Sheet, items};
use crate::show;
use serde_json::Value;
use std::io::{IsTerminal, Write};

/// What a command works with.
pub(super) struct Session {
    pub(super) api: Api,
    pub(super) format: Format,
}

impl Session {
    /// Prints an answer: as it is, or what the sheet says of it.
    pub(super) fn show(&self, answer: &Value, sheet: impl FnOnce(&Value) -> Sheet) -> anyhow::Result<Ending> {
        match self.format {
            Format::Json => show::print_json(answer)?,
            Format::People | Format::Plain => {
                let text = sheet(answer).render(self.format);
                if !text.is_empty() {
                    show::print(&text)?;
                }
            }
        }
        Ok(Ending::Done)
    }

    /// Asks, and prints the answer.
    pub(super) async fn look_at(
        &self,
        path: &str,
        sheet: impl FnOnce(&Value) -> Sheet,
    ) -> anyhow::Result<Ending> {
        let answer = self.api.get(path).await?;
        self.show(&answer, sheet)
    }

    /// Has something changed, says what became of it, and prints the answer.
    pub(super) async fn change(
        &self,
        path: &str,
        body: &Value,
        sheet: impl FnOnce(&Value) -> Sheet,
    ) -> anyhow::Result<Ending> {
        let answer = self.api.post(path, body).await?;
        self.say_what_became(&answer);
        self.show(&answer, sheet)
    }

    /// That nothing was changed, and what else there is to say.
    pub(super) fn say_what_became(&self, answer: &Value) {
        say_notes(answer);
        match (answer["dryRun"] == true, answer["message"].as_str()) {
            (true, Some(message)) => say(&format!("dry run: {message}")),
            (true, None) => say("dry run: nothing was changed"),
            (false, Some(message)) => say(message),
            (false, None) => {}
        }
    }

    /// Prints a page of a list, and says where it goes on.
    pub(super) async fn list(&self, path: &str, listing: Listing) -> anyhow::Result<Ending> {
        let answer = self.api.get(path).await?;
        if items(&answer[listing.member]).is_empty() {
            say(listing.nothing);
        }
        let ending = self.show(&answer, |answer| {
            Sheet::new().table(items(&answer[listing.member]), listing.fields)
        })?;
        say_whether_there_is_more(&answer);
        Ok(ending)
    }
}

/// A list of the API's.
pub(super) struct Listing {
    /// The member that has the items.
    pub(super) member: &'static str,
    pub(super) fields: &'static [Field],
    /// What is said where there are none.
    pub(super) nothing: &'static str,
}

pub(super) fn say_whether_there_is_more(answer: &Value) {
    if let Some(cursor) = answer["nextCursor"].as_str() {
        say(&format!("there are more: --cursor {cursor}"));
    }
}

/// Nobody is there to say yes.
#[derive(Debug, thiserror::Error)]
#[error("{question} Nobody is there to be asked: add {flag}")]
pub(crate) struct Unanswered {
    question: String,
    flag: &'static str,
}

/// Asks for a yes, unless it was given on the command line already.
pub(super) fn confirm(question: &str, is_confirmed: bool) -> anyhow::Result<()> {
    if is_confirmed {
        return Ok(());
    }
    let answer = answer_to(question, &format!("{question} [y/N] "))?;
    let is_yes = matches!(answer.to_ascii_lowercase().as_str(), "y" | "yes");
    anyhow::ensure!(is_yes, "nothing was done");
    Ok(())
}

/// The same for what is large: the name is to be typed. A dry run needs none.
pub(super) fn confirm_by_name(
    question: &str,
    name: &str,
    change: &Change,
    is_confirmed: bool,
) -> anyhow::Result<()> {
    if is_confirmed || change.dry_run {
        return Ok(());
    }
    let answer = answer_to(question, &format!("{question} Type {name} to go on: "))?;
    anyhow::ensure!(answer == name, "nothing was done");
    Ok(())
}

fn answer_to(question: &str, prompt: &str) -> anyhow::Result<String> {
    if !std::io::stdin().is_terminal() {
        return Err(Unanswered {
            question: question.to_owned(),
            flag: "--yes",
        }
        .into());
    }
    write!(std::io::stderr(), "{prompt}")?;
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(answer.trim().to_owned())
}

/// Tells what was done otherwise than asked.
pub(super) fn say_notes(answer: &Value) {
    for note in items(&answer["notes"]).iter().filter_map(Value::as_str) {
        say(&format!("note: {note}"));
    }
}
