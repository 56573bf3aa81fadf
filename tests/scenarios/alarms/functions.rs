//! Alarms about invocations: ticks without success, functions that do not start, invocations that Lambda refuses, and
//! schedules that are off on purpose.

use super::{Course, Run, Watched};
use crate::scenarios::reaping::harvested;
use crate::scenarios::switches::{end, post, with_switches};
use crate::stage::{
    Counted, Deployed, FunctionError, Invoked, OPERATOR_TIMEOUT, Proxy, Stage, request, sqs_event,
};
use crate::template::evaluation::alarms;
use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ticks_without_a_ledger_fire_as_silence_and_as_errors() {
    let stage = Stage::new("alarms-ledger").await;
    let ledger = Proxy::before(stage.setting("GRANARY_LEDGER_URL")).await;
    let through = [("GRANARY_LEDGER_URL", ledger.url())];
    let through = through.each_ref().map(|(name, url)| (*name, url.as_str()));
    let (harvesting, reaping) = (
        stage.another("harvester", &through),
        stage.another("reaper", &through),
    );
    let mut course = Course::default();
    let mut harvester = Watched::new("Harvester", &harvesting);
    let mut reaper = Watched::new("Reaper", &reaping);
    let tick = async |succeeds: bool| {
        for function in [&harvesting, &reaping] {
            let ticked = function.invoke(json!({}), crate::stage::REAPER_TIMEOUT).await;
            assert_eq!(ticked.is_ok(), succeeds, "{ticked:?}");
        }
    };

    tick(true).await;
    course.lasts(&[harvester.next().await, reaper.next().await].concat());
    ledger.cut();
    tick(false).await;
    course.lasts(&[harvester.next().await, reaper.next().await].concat());
    ledger.restore();
    tick(true).await;
    course.lasts(&[harvester.next().await, reaper.next().await].concat());

    course.assert_fires(Run::LedgerAway);
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exporter_that_does_not_start_fires_until_its_setting_is_right() {
    let (mut stage, _) = harvested("alarms-exporter").await;
    stage.have_exporters(1);
    let broken = stage.another("exporter", &[("GRANARY_COMPRESSION", "rar")]);
    let mut course = Course::default();
    let mut exporter = Watched::new("Exporter", stage.exporter(0));
    let mut broken_exporter = Watched::new("Exporter", &broken);

    assert_eq!(stage.export_one().await.acknowledged, 1);
    course.lasts(&exporter.next().await);

    let exports = stage.export_all_by(&broken).await;
    assert!(
        matches!(
            exports.errors[..],
            [FunctionError::Exited(_), FunctionError::Exited(_)]
        ),
        "{exports:?}"
    );
    course.lasts(&broken_exporter.next().await);

    stage.let_visibility_end(&exports).await;
    assert_eq!(stage.export_all().await.acknowledged, 2);
    course.lasts(&exporter.next().await);

    course.assert_fires(Run::BrokenExporter);
    course.assert_rests("FailureRate");
    stage.finish().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_operator_that_does_not_start_fires_until_its_setting_is_right() {
    const REQUESTS: usize = 2;
    let stage = Stage::new("alarms-operator").await;
    let broken = stage.another("operator", &[("GRANARY_TOKENS", "none")]);
    let mut course = Course::default();
    let mut operator = Watched::new("Operator", &stage.operator);
    let mut broken_operator = Watched::new("Operator", &broken);
    let overview = || request("GET", "/overview", "");

    assert_eq!(stage.ask(overview()).await["statusCode"], 200);
    course.lasts(&operator.next().await);

    for _ in 0..REQUESTS {
        let answer = broken.invoke(overview(), OPERATOR_TIMEOUT).await;
        assert!(matches!(answer, Err(FunctionError::Exited(_))), "{answer:?}");
    }
    let counted = Counted {
        invocations: REQUESTS,
        errors: REQUESTS,
        unmeasured: REQUESTS,
    };
    assert_eq!(broken.counted(), counted);
    course.lasts(&broken_operator.next().await);

    assert_eq!(stage.ask(overview()).await["statusCode"], 200);
    course.lasts(&operator.next().await);

    course.assert_fires(Run::BrokenOperator);
    course.assert_rests("LoginsFailed");
    stage.finish().await;
}

/// One of each function works at a time, as where the concurrency of the account is used up.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn invocations_that_lambda_refuses_fire_until_there_is_room() {
    const AT_ONCE: usize = 4;
    let (stage, _) = harvested("alarms-throttled").await;
    let (queue, message) = stage.queues.receive().await.expect("batches were sent");
    let mut parts: [Vec<(String, f64)>; 3] = Default::default();
    for (resource, function, event) in [
        ("Harvester", "harvester", json!({})),
        ("Exporter", "exporter", sqs_event(&[(queue, &message)])),
        ("Operator", "operator", request("GET", "/overview", "")),
    ] {
        let ledger = Proxy::before(stage.setting("GRANARY_LEDGER_URL")).await;
        let deployed = stage
            .deploy(function, &[("GRANARY_LEDGER_URL", &ledger.url())], 1)
            .await;
        for (part, invocations) in parts.iter_mut().zip([1, AT_ONCE, 1]) {
            let refused = refused(&deployed, &ledger, &event, invocations).await;
            assert_eq!(refused, invocations - 1, "{function}");
            part.push((
                format!("AWS/Lambda/Invocations/{resource}"),
                (invocations - refused) as f64,
            ));
            part.push((format!("AWS/Lambda/Throttles/{resource}"), refused as f64));
        }
    }
    let mut course = Course::default();
    for part in parts {
        course.lasts(&part);
    }
    course.assert_fires(Run::Throttled);
    stage.queues.delete(queue, &message).await;
    stage.run_until_quiet().await;
    stage.finish().await;
}

/// How many of so many invocations side by side Lambda refuses. The one that works waits for the ledger until all others are refused.
async fn refused(deployed: &Deployed, ledger: &Proxy, event: &Value, invocations: usize) -> usize {
    let others = invocations - 1;
    if others > 0 {
        ledger.stall();
    }
    let mut refused = 0;
    let mut invoking: FuturesUnordered<_> = (0..invocations).map(|_| deployed.invoke(event)).collect();
    while let Some(invoked) = invoking.next().await {
        refused += usize::from(invoked == Invoked::Throttled);
        if refused == others {
            ledger.restore();
        }
    }
    refused
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_alarm_fires_while_one_schedule_is_off_on_purpose_or_both_are() {
    let (stage, operator) = with_switches("alarms-off").await;
    let switches = stage.switches().await;
    let mut course = Course::default();
    let mut harvester = Watched::new("Harvester", &stage.harvester);
    let mut reaper = Watched::new("Reaper", &stage.reaper);
    for (route, body, expected) in [
        ("start", json!({}), [true, true]),
        ("stop", json!({"schedule": "harvester"}), [false, true]),
        ("start", json!({}), [true, true]),
        ("stop", json!({"schedule": "reaper"}), [true, false]),
        ("start", json!({}), [true, true]),
        ("stop", json!({}), [false, false]),
        ("start", json!({}), [true, true]),
    ] {
        post(&operator, &format!("/migrate/scheduler/{route}"), body).await;
        let ticking = [switches.is_enabled(0).await, switches.is_enabled(1).await];
        assert_eq!(ticking, expected);
        if ticking[0] {
            stage.harvest().await;
        }
        if ticking[1] {
            stage.reap().await;
        }
        let measured = [harvester.next().await, reaper.next().await].concat();
        course.lasts_while(ticking, &measured);
    }
    for alarm in alarms() {
        course.assert_rests(&alarm);
    }
    end(stage, operator).await;
}
