//! Every side effect, interrupted (H14, E9): a process dies just before each step, dies just after it, or takes it twice
//! as after a lost answer. Then healthy functions go on by themselves, and nothing is lost, doubled or left behind.
//!
//! The tests are made from the table of steps (`shared/steps/src/step.rs`), so a new step has its three as soon as it
//! stands there, and doesn't compile before [`plot`] says who takes it and what leads there.
//!
//! Dying just before a step leaves what dying just after the one before it leaves, and after it has died, the next process takes
//! the step a second time. So only dying just after a step is a part of `make test`; all three are of `make test-full`.

mod plot;
mod scene;
mod harvesting;
mod exporting;
mod reaping;
mod operating;
mod desk;
mod migrating;
mod network;
mod recovery;

use crate::stage::{EXPORTER_TIMEOUT, Function, FunctionError, Queue, Stage, failed_items, sqs_event};
use aws_sdk_sqs::types::Message;
use granary_steps::{Step, VARIABLE};
use plot::{Plot, Who};
use scene::Scene;
use serde_json::Value;

macro_rules! tests_of {
    ($($(#[$done:meta])+ $step:ident $name:ident $operation:literal,)+) => {$(
        mod $name {
            use super::{Interruption, Step, survives};

            #[cfg(feature = "full")]
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn h14_a_process_that_dies_just_before_it_loses_nothing() {
                survives(Step::$step, Interruption::Before).await;
            }

            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn h14_a_process_that_dies_just_after_it_doubles_nothing() {
                survives(Step::$step, Interruption::After).await;
            }

            #[cfg(feature = "full")]
            #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn h14_taken_twice_it_is_as_if_taken_once() {
                survives(Step::$step, Interruption::Twice).await;
            }
        }
    )+};
}

granary_steps::for_each_step!(tests_of);

/// What happens at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(
    not(feature = "full"),
    expect(dead_code, reason = "two are for `make test-full` alone")
)]
enum Interruption {
    Before,
    After,
    Twice,
}

impl Interruption {
    fn name(self) -> &'static str {
        match self {
            Self::Before => "before",
            Self::After => "after",
            Self::Twice => "twice",
        }
    }

    /// What the process writes when it comes to the step.
    fn last_words(self, step: Step) -> String {
        match self {
            Self::Before => format!("fault: dies before {step}"),
            Self::After => format!("fault: dies after {step}"),
            Self::Twice => format!("fault: takes {step} twice"),
        }
    }
}

async fn survives(step: Step, interruption: Interruption) {
    let plots = plot::plots(step);
    assert!(!plots.is_empty(), "nothing leads to {step}");
    for plot in plots {
        survives_as_plotted(step, interruption, plot).await;
    }
}

async fn survives_as_plotted(step: Step, interruption: Interruption, plot: Plot) {
    let Plot { who, scene } = plot;
    let name = format!("crash-{}-{}", step.name().replace('_', "-"), interruption.name());
    let stage = Stage::with(&name, &as_text(&scene.settings())).await;
    let prepared = scene.prepare(&stage).await;

    let fault = format!("{step}:{}", interruption.name());
    let mut told = as_text(&prepared.told);
    told.push((VARIABLE, &fault));
    let interrupted = stage.another(who.function(), &told);
    let (ended, ()) = tokio::join!(run(&stage, who, &interrupted, &prepared.request, scene), async {
        interrupted.until_it_says(&interruption.last_words(step)).await;
        prepared.network.restore();
    });
    if interruption != Interruption::Twice {
        let Err(FunctionError::Exited(words)) = &ended else {
            panic!("it should have died: {ended:?}");
        };
        assert!(words.contains("SIGABRT"), "{words}");
    }
    interrupted.kill().await;

    recovery::recover(&stage, scene, &prepared).await;
    recovery::assert_nothing_is_lost(&stage, scene, &prepared).await;
    stage.finish().await;
}

fn as_text<'a>(settings: &'a [(&'static str, String)]) -> Vec<(&'static str, &'a str)> {
    settings
        .iter()
        .map(|(name, value)| (*name, value.as_str()))
        .collect()
}

/// Lets the function come to its step. What it held of the queue is visible again when it has died.
async fn run(
    stage: &Stage,
    who: Who,
    function: &Function,
    request: &Value,
    scene: Scene,
) -> Result<Value, FunctionError> {
    if who != Who::Exporter {
        return function.invoke(request.clone(), scene.time()).await;
    }
    let (queue, message): (&Queue, Message) = stage.queues.receive().await.expect("a batch was sent");
    let response = function
        .invoke(
            sqs_event(&[(queue, &message)]),
            scene.time().min(EXPORTER_TIMEOUT),
        )
        .await;
    match &response {
        Ok(response) if failed_items(response).is_empty() => stage.queues.delete(queue, &message).await,
        Ok(_) | Err(_) => stage.queues.make_visible(queue, &message).await,
    }
    response
}
