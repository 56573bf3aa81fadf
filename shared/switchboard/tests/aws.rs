//! The switches at the local stack's AWS: what is not there, and what is out of reach. The scenarios in `tests/` throw them.

// Clippy knows only the test functions themselves for tests, not what they call.
#![allow(clippy::unwrap_used)]

use aws_config::SdkConfig;
use granary_switchboard::{Consumers, ScheduleName, ScheduleNames, Schedules, Switch, SwitchError, Ticked};

async fn aws() -> SdkConfig {
    assert!(
        std::env::var("AWS_ENDPOINT_URL").is_ok(),
        "AWS_ENDPOINT_URL is not set: start the local stack with `make up` and read .local/env"
    );
    granary_environment::aws::sdk_config().await
}

/// Names that nobody else has.
fn names() -> ScheduleNames {
    let unique = uuid::Uuid::now_v7();
    let named = |function: &str| ScheduleName {
        group: "default".to_owned(),
        name: format!("absent-{unique}-{function}"),
    };
    ScheduleNames {
        harvester: named("harvester"),
        reaper: named("reaper"),
    }
}

#[tokio::test]
async fn a_switch_that_is_not_there_is_refused_with_a_remedy() {
    let aws = aws().await;
    let schedules = Schedules::new(&aws, names());
    for error in [
        schedules.look_at(Ticked::Harvester).await.unwrap_err(),
        schedules.switch(Ticked::Reaper, Switch::Off).await.unwrap_err(),
    ] {
        assert!(matches!(error, SwitchError::Refused { .. }), "{error}");
        assert!(
            !error.is_platforms() && error.to_string().contains("absent-"),
            "{error}"
        );
        assert!(error.remedy().contains("GRANARY_REAPER_SCHEDULE"));
    }
    let consumers = Consumers::new(&aws, "absent-exporter".to_owned());
    let id = uuid::Uuid::now_v7().to_string();
    let error = consumers.switch(&id, Switch::On).await.unwrap_err();
    assert!(!error.is_platforms(), "{error}");
}

#[tokio::test]
async fn a_service_out_of_reach_is_the_platforms_and_keeps_its_address() {
    let unreachable = out_of_reach(&aws().await);
    let error = Schedules::new(&unreachable, names())
        .look_at(Ticked::Harvester)
        .await
        .unwrap_err();
    assert!(error.is_platforms(), "{error}");
    let error = Consumers::new(&unreachable, "exporter".to_owned())
        .look()
        .await
        .unwrap_err();
    assert!(error.is_platforms(), "{error}");
}

/// The same client configuration for an address where nobody listens. Built from its parts, since an address from
/// the environment would win over one that is changed later.
fn out_of_reach(aws: &SdkConfig) -> SdkConfig {
    let mut builder = SdkConfig::builder();
    builder
        .set_behavior_version(aws.behavior_version())
        .set_http_client(aws.http_client())
        .set_sleep_impl(aws.sleep_impl())
        .set_credentials_provider(aws.credentials_provider())
        .set_region(aws.region().cloned())
        .set_endpoint_url(Some("http://127.0.0.1:9".to_owned()));
    builder.build()
}
