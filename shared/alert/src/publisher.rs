//! One alert to one topic.

use crate::{AlertError, Message};
use aws_config::SdkConfig;
use aws_sdk_sns::Client;
use aws_sdk_sns::config::Builder;
use aws_sdk_sns::types::MessageAttributeValue;
use granary_environment::aws::{RetryClockAndToken, small_request_timeouts};
use granary_steps::{Step, perform};
use serde_json::json;

/// Who receives what a topic is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Subscriptions {
    /// They receive it.
    pub confirmed: u64,
    /// They receive nothing until the link in their mail is followed.
    pub pending: u64,
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

    /// Publishes a message, with number, kind and severity as attributes for filters. Mail gets the text, a phone the subject, and
    /// every other protocol (HTTPS, SQS, Lambda) the JSON.
    ///
    /// `Ok` means that SNS took it. After an error it may have been taken all the same (an answer can be lost):
    /// publishing it again is right, since people tell a second copy by the number.
    #[expect(clippy::disallowed_methods, reason = "this is where the step is taken")]
    pub async fn publish(&self, message: &Message) -> Result<(), AlertError> {
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
        let Message {
            subject, text, json, ..
        } = message;
        let forms = json!({ "default": json, "email": text, "sms": subject });
        let publish = self
            .sns
            .publish()
            .topic_arn(&self.topic_arn)
            .subject(&message.subject)
            .message_structure("json")
            .message(forms.to_string())
            .message_attributes("number", attribute("Number", message.number.to_string())?)
            .message_attributes("kind", attribute("String", message.kind.clone())?)
            .message_attributes(
                "severity",
                attribute("String", message.severity.as_str().to_owned())?,
            );
        perform(Step::PublishAlert, || publish.clone().send())
            .await
            .map_err(|error| AlertError::new(OPERATION, self.topic_name(), &error))?;
        Ok(())
    }

    /// Whether the topic is there and may be seen, and how many receive from it. [`AlertError::remedy`] says what to do where not.
    pub async fn check(&self) -> Result<Subscriptions, AlertError> {
        let answer = self
            .sns
            .get_topic_attributes()
            .topic_arn(&self.topic_arn)
            .send()
            .await;
        let topic =
            answer.map_err(|error| AlertError::new("GetTopicAttributes", self.topic_name(), &error))?;
        let count = |name: &'static str| {
            let attributes = topic.attributes.as_ref();
            let count = attributes.and_then(|attributes| attributes.get(name)?.parse().ok());
            count.ok_or_else(|| AlertError::without(name, self.topic_name()))
        };
        Ok(Subscriptions {
            confirmed: count("SubscriptionsConfirmed")?,
            pending: count("SubscriptionsPending")?,
        })
    }

    fn topic_name(&self) -> &str {
        self.topic_arn.rsplit(':').next().unwrap_or_default()
    }
}
