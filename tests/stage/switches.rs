//! Switches of a test's own at the AWS emulator: an exporter's name with one consumer, and two schedules.
//!
//! Nothing is ever started by them: the consumer takes from the priority queue, which stays empty, and the schedules wait
//! for the year 2099. What they do when they are on is for the tests of the deployed stack.

use super::Stage;
use super::queues::Queues;
use aws_config::SdkConfig;
use aws_sdk_lambda::types::{FunctionCode, FunctionResponseType, Runtime, ScalingConfig};
use aws_sdk_scheduler::operation::get_schedule::GetScheduleOutput;
use aws_sdk_scheduler::types::{
    ActionAfterCompletion, FlexibleTimeWindow, FlexibleTimeWindowMode, RetryPolicy, ScheduleState, Target,
};

const GROUP: &str = "default";
const ROLE: &str = "arn:aws:iam::000000000000:role/granary-test";
const NEVER: &str = "at(2099-01-01T00:00:00)";

#[derive(Clone)]
pub(crate) struct Switches {
    lambda: aws_sdk_lambda::Client,
    scheduler: aws_sdk_scheduler::Client,
    function: String,
    consumer: String,
    schedules: [String; 2],
}

impl Switches {
    pub(super) async fn new(aws: &SdkConfig, id: &str, queues: &Queues) -> Self {
        let lambda = aws_sdk_lambda::Client::new(aws);
        let function = format!("{id}-exporter");
        let making = lambda
            .create_function()
            .function_name(&function)
            .runtime(Runtime::Providedal2023)
            .handler("bootstrap")
            .role(ROLE)
            .code(FunctionCode::builder().build());
        making.send().await.unwrap();
        let made = lambda
            .create_event_source_mapping()
            .function_name(&function)
            .event_source_arn(&queues.priority.arn)
            .batch_size(1)
            .function_response_types(FunctionResponseType::ReportBatchItemFailures)
            .scaling_config(ScalingConfig::builder().maximum_concurrency(3).build())
            .enabled(true)
            .send()
            .await
            .unwrap();
        let switches = Self {
            lambda,
            scheduler: aws_sdk_scheduler::Client::new(aws),
            function,
            consumer: made.uuid.expect("a consumer has an id"),
            schedules: ["harvester", "reaper"].map(|name| format!("{id}-{name}")),
        };
        for name in &switches.schedules {
            switches.make_schedule(name, &queues.dead_letters.arn).await;
        }
        switches
    }

    /// With something in every place that a careless update would lose.
    async fn make_schedule(&self, name: &str, target: &str) {
        let retries = RetryPolicy::builder()
            .maximum_retry_attempts(0)
            .maximum_event_age_in_seconds(60)
            .build();
        let target = Target::builder()
            .arn(target)
            .role_arn(ROLE)
            .input("{\"from\":\"the clock\"}")
            .retry_policy(retries);
        let window = FlexibleTimeWindow::builder()
            .mode(FlexibleTimeWindowMode::Flexible)
            .maximum_window_in_minutes(7);
        let making = self
            .scheduler
            .create_schedule()
            .name(name)
            .group_name(GROUP)
            .schedule_expression(NEVER)
            .schedule_expression_timezone("Europe/Berlin")
            .description("of a test")
            .action_after_completion(ActionAfterCompletion::Delete)
            .state(ScheduleState::Enabled)
            .target(target.build().unwrap())
            .flexible_time_window(window.build().unwrap());
        making.send().await.unwrap();
    }

    /// The same, over connections of the runtime at hand.
    pub(super) fn reconnected(&self, aws: &SdkConfig) -> Self {
        Self {
            lambda: aws_sdk_lambda::Client::new(aws),
            scheduler: aws_sdk_scheduler::Client::new(aws),
            ..self.clone()
        }
    }

    /// What the operator is told of them.
    pub(crate) fn settings(&self) -> [(&'static str, String); 3] {
        let [harvester, reaper] = self.schedules.each_ref().map(|name| format!("{GROUP}/{name}"));
        [
            ("GRANARY_EXPORTER_FUNCTION", self.function.clone()),
            ("GRANARY_HARVESTER_SCHEDULE", harvester),
            ("GRANARY_REAPER_SCHEDULE", reaper),
        ]
    }

    /// Lambda's word for how the consumer stands.
    pub(crate) async fn consumer_state(&self) -> String {
        let asking = self.lambda.get_event_source_mapping().uuid(&self.consumer);
        asking.send().await.unwrap().state.unwrap_or_default()
    }

    /// Reserves no concurrency at all for the exporter, as an operator does who wants to stop it.
    pub(crate) async fn let_no_exporter_run(&self) {
        let reserving = self
            .lambda
            .put_function_concurrency()
            .function_name(&self.function)
            .reserved_concurrent_executions(0);
        reserving.send().await.unwrap();
    }

    /// A schedule as the emulator has it: 0 the harvester's, 1 the reaper's.
    pub(crate) async fn schedule(&self, number: usize) -> GetScheduleOutput {
        let asking = self
            .scheduler
            .get_schedule()
            .name(&self.schedules[number])
            .group_name(GROUP);
        asking.send().await.unwrap()
    }

    pub(crate) async fn is_enabled(&self, number: usize) -> bool {
        self.schedule(number).await.state == Some(ScheduleState::Enabled)
    }

    pub(super) async fn remove(&self) {
        let deleting = self.lambda.delete_event_source_mapping().uuid(&self.consumer);
        deleting.send().await.unwrap();
        let deleting = self.lambda.delete_function().function_name(&self.function);
        deleting.send().await.unwrap();
        for name in &self.schedules {
            let deleting = self.scheduler.delete_schedule().name(name).group_name(GROUP);
            deleting.send().await.unwrap();
        }
    }
}

impl Stage {
    /// Its switches, made where they weren't yet. They go with the stage.
    pub(crate) async fn switches(&self) -> &Switches {
        self.switches
            .get_or_init(|| async {
                let aws = granary_environment::aws::sdk_config().await;
                Switches::new(&aws, &self.id, &self.queues).await
            })
            .await
    }
}
