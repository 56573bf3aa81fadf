//! One alert to one topic.

use crate::AlertError;
use aws_config::SdkConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::config::Builder;
use aws_sdk_sns::types::MessageAttributeValue;
use granary_environment::aws::{RetryClockAndToken, small_request_timeouts};
use granary_steps::{Step, perform};

/// SNS's limit, and what a mail program shows of a subject.
const SUBJECT_CHARS_MAX: usize = 100;
/// SNS takes 256 KiB with attributes. Nobody reads that much; the rest stands in the ledger.
const TEXT_BYTES_MAX: usize = 16 * 1_024;

/// What people are told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Alert {
    /// The number of its row in the ledger: who gets the same number twice was told the same thing twice.
    pub number: u64,
    /// For filters of subscriptions, such as `parked`. 1 to 256 characters.
    pub kind: String,
    /// What happened, in one line. SNS takes 100 characters of ASCII; others are replaced, the rest is cut.
    pub subject: String,
    /// The first line says what happened; then what to do, with numbers. No message's content, no secret.
    pub text: String,
}

/// The topic that people are subscribed to.
#[derive(Debug, Clone)]
pub struct Publisher {
    sns: Client,
    topic_arn: String,
}

impl Publisher {
    /// `topic_arn` is `GRANARY_ALERT_TOPIC_ARN`. Connects to nothing yet; [`Publisher::check`] does.
    pub fn new(aws: &SdkConfig, topic_arn: impl Into<String>) -> Self {
        let signing_again = Builder::from(aws)
            .retry_classifier(RetryClockAndToken)
            .timeout_config(small_request_timeouts())
            .build();
        Self {
            sns: Client::from_conf(signing_again),
            topic_arn: topic_arn.into(),
        }
    }

    /// Publishes an alert, with its number and kind in the text and as the attributes `number` and `kind`.
    ///
    /// `Ok` means that SNS took it. After an error it may have been taken all the same (an answer can be lost):
    /// publishing it again is right, since people tell a second copy by the number.
    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    pub async fn publish(&self, alert: &Alert) -> Result<(), AlertError> {
        const OPERATION: &str = "Publish";
        let refused = |reason: String| AlertError::Refused {
            operation: OPERATION,
            topic: self.topic_name().to_owned(),
            reason,
        };
        let attribute = |data_type: &str, value: String| {
            let built = MessageAttributeValue::builder()
                .data_type(data_type)
                .string_value(value)
                .build();
            built.map_err(|error| refused(error.to_string()))
        };
        let publish = self
            .sns
            .publish()
            .topic_arn(&self.topic_arn)
            .subject(subject_line(alert))
            .message(body(alert))
            .message_attributes("number", attribute("Number", alert.number.to_string())?)
            .message_attributes("kind", attribute("String", alert.kind.clone())?);
        perform(Step::PublishAlert, || publish.clone().send())
            .await
            .map_err(|error| AlertError::new(OPERATION, self.topic_name(), &error))?;
        Ok(())
    }

    /// Whether the topic is there and may be seen. [`AlertError::remedy`] says what to do where not.
    pub async fn check(&self) -> Result<(), AlertError> {
        let answer = self
            .sns
            .get_topic_attributes()
            .topic_arn(&self.topic_arn)
            .send()
            .await;
        answer.map_err(|error| AlertError::new("GetTopicAttributes", self.topic_name(), &error))?;
        Ok(())
    }

    fn topic_name(&self) -> &str {
        self.topic_arn.rsplit(':').next().unwrap_or_default()
    }
}

/// A subject that SNS takes whatever was written: an alert isn't lost for a dash. SNS wants a letter, a digit or
/// punctuation first, no line break, and ASCII.
fn subject_line(alert: &Alert) -> String {
    let ascii = |char: char| match char {
        ' '..='~' => char,
        char if char.is_whitespace() || char.is_control() => ' ',
        '–' | '—' => '-',
        '“' | '”' | '„' => '"',
        '‘' | '’' => '\'',
        _ => '?',
    };
    let line: String = alert
        .subject
        .trim()
        .chars()
        .map(ascii)
        .take(SUBJECT_CHARS_MAX)
        .collect();
    let line = line.trim();
    if line.is_empty() {
        format!("Granary: alert {}", alert.number)
    } else {
        line.to_owned()
    }
}

/// The text for people, and the number by which they tell a second copy.
fn body(alert: &Alert) -> String {
    let text = alert.text.trim_end();
    let end = text.floor_char_boundary(TEXT_BYTES_MAX);
    let cut = if end < text.len() { "…" } else { "" };
    format!(
        "{}{cut}\n\nAlert {} of Granary ({}). The same number twice is the same alert.\n",
        &text[..end],
        alert.number,
        alert.kind
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn alert(subject: &str, text: &str) -> Alert {
        Alert {
            number: 42,
            kind: "parked".to_owned(),
            subject: subject.to_owned(),
            text: text.to_owned(),
        }
    }

    #[test]
    fn a_subject_is_one_line_of_ascii_that_sns_takes() {
        assert_eq!(
            subject_line(&alert("3 batches parked – “mapping”\nsee below", "")),
            "3 batches parked - \"mapping\" see below"
        );
        assert_eq!(subject_line(&alert(&"ü".repeat(300), "")), "?".repeat(100));
        assert_eq!(subject_line(&alert(" \n ", "")), "Granary: alert 42");
    }

    #[test]
    fn a_text_that_is_too_long_is_cut_between_characters_and_keeps_its_number() {
        let long = body(&alert("", &"ü".repeat(20_000)));
        assert!(long.len() < 17_000 && long.contains("…\n\nAlert 42 of Granary (parked)."));
    }
}
