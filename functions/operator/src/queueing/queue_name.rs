//! The names of the four queues: those that people type, and those under which `GET /queue/stats` counts them.

use crate::services::Services;
use crate::web::fields::Fields;
use crate::web::problem::{Kind, Problem};
use granary_handoff::{Handoff, Lane};
use serde::Serialize;
use utoipa::ToSchema;

/// One of the four queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum QueueName {
    /// Batches of priorities 0 to 4 wait in it.
    Batches,
    /// Batches of priorities from 5 on wait in it.
    BatchesPriority,
    /// It keeps what nobody could take from `batches`.
    DeadLetters,
    /// It keeps what nobody could take from `batches-priority`.
    DeadLettersPriority,
}

/// A queue that batches wait in, as requests name it.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "what `QueueName::in_fields` reads, for the document")]
pub(crate) enum HandOffQueue {
    /// Of priorities 0 to 4.
    Batches,
    /// Of priorities from 5 on.
    BatchesPriority,
}

/// A dead-letter queue, as requests name it.
#[derive(ToSchema)]
#[schema(rename_all = "kebab-case")]
#[expect(dead_code, reason = "what `QueueName::in_fields` reads, for the document")]
pub(crate) enum DeadLetterQueue {
    /// Of `batches`.
    DeadLetters,
    /// Of `batches-priority`.
    DeadLettersPriority,
}

impl QueueName {
    pub(crate) const ALL: [Self; 4] = [
        Self::Batches,
        Self::BatchesPriority,
        Self::DeadLetters,
        Self::DeadLettersPriority,
    ];
    /// Those that the exporter takes from.
    pub(crate) const HAND_OFF: [Self; 2] = [Self::Batches, Self::BatchesPriority];
    /// Those that keep what nobody could take.
    pub(crate) const DEAD: [Self; 2] = [Self::DeadLetters, Self::DeadLettersPriority];

    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Batches => "batches",
            Self::BatchesPriority => "batches-priority",
            Self::DeadLetters => "dead-letters",
            Self::DeadLettersPriority => "dead-letters-priority",
        }
    }

    /// What it is called elsewhere: by `GET /queue/stats`, and in the deployment.
    fn other_names(self) -> [&'static str; 2] {
        match self {
            Self::Batches => ["batches", "batches"],
            Self::BatchesPriority => ["batchesPriority", "batches-priority"],
            Self::DeadLetters => ["batchesDeadLetters", "batches-dead-letters"],
            Self::DeadLettersPriority => ["batchesPriorityDeadLetters", "batches-priority-dead-letters"],
        }
    }

    pub(crate) fn lane(self) -> Lane {
        match self {
            Self::Batches | Self::DeadLetters => Lane::Normal,
            Self::BatchesPriority | Self::DeadLettersPriority => Lane::Priority,
        }
    }

    /// The queue that the exporter takes from, of a lane.
    pub(crate) fn of_lane(lane: Lane) -> Self {
        match lane {
            Lane::Normal => Self::Batches,
            Lane::Priority => Self::BatchesPriority,
        }
    }

    pub(crate) fn is_dead_letters(self) -> bool {
        Self::DEAD.contains(&self)
    }

    /// The queues among which it is one.
    pub(crate) fn handoff(self, services: &Services) -> Result<&Handoff, Problem> {
        if !self.is_dead_letters() {
            return Ok(&services.handoff);
        }
        services.dead_letters.as_ref().ok_or_else(|| {
            Problem::new(
                Kind::NotPossible,
                "This deployment doesn't say where its dead-letter queues are.",
            )
            .remedy("Set GRANARY_DLQ_URL and GRANARY_PRIORITY_DLQ_URL of the operator.")
        })
    }

    fn named(text: &str) -> Option<Self> {
        let is_called = |queue: &Self| queue.as_str() == text || queue.other_names().contains(&text);
        Self::ALL.into_iter().find(is_called)
    }

    /// The queue that a text names, one of these.
    pub(crate) fn read(field: &str, text: &str, among: &[Self]) -> Result<Self, Problem> {
        let found = Self::named(text.trim()).filter(|queue| among.contains(queue));
        found.ok_or_else(|| {
            let names: Vec<&str> = among.iter().map(|queue| queue.as_str()).collect();
            Problem::invalid(
                field,
                format!("`{field}` is {text:?}; possible here: {}.", names.join(", ")),
            )
        })
    }

    /// The queue in the field `queue`, one of these.
    pub(crate) fn in_fields(fields: &Fields, among: &[Self]) -> Result<Option<Self>, Problem> {
        let text = fields.text("queue")?;
        text.map(|text| Self::read("queue", text, among)).transpose()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_goes_by_all_of_its_names_and_by_no_other() {
        for queue in QueueName::ALL {
            for name in [queue.as_str()].into_iter().chain(queue.other_names()) {
                assert_eq!(
                    QueueName::read("queue", name, &QueueName::ALL).unwrap(),
                    queue,
                    "{name}"
                );
            }
            assert_eq!(serde_json::json!(queue), queue.as_str());
        }
        for text in ["", "batch", "Batches", "dead"] {
            let problem = QueueName::read("queue", text, &QueueName::ALL).unwrap_err();
            assert_eq!(problem.field(), Some("queue"), "{text}");
        }
        let problem = QueueName::read("queue", "dead-letters", &QueueName::HAND_OFF).unwrap_err();
        assert!(
            problem.detail().contains("batches, batches-priority."),
            "{}",
            problem.detail()
        );
    }
}
