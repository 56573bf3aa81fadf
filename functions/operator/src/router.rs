//! The table of routes.

use crate::looking::{
    alerts, audit, database, doctor, failures, health, overview, proof, source, trace, windows,
};
use crate::migrating::{
    bulk, cancelling, catching_up, create_missing, jobs, migrate, migrations, reset_pending, retrying,
};
use crate::operating::{
    alert_test, cancelling as cancelling_a_job, exceptions, operations, operations_list, purge, rebuilding,
    restored, schema, sweep, sweep_object, verify,
};
use crate::pages::{dashboard, documents_page, runbook};
use crate::queueing::{monitoring, probes, purge_queue, queue, queue_health, redrive, workers};
use crate::seeding::{seed, seed_clear, seed_jobs};
use crate::services::Services;
use crate::switching::{adopting, consumers, restart, scheduler, steering, tune};
use crate::web::problem::{Kind, Problem};
use crate::web::route::{Route, routes};
use crate::web::{auth, document, edge};
use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, Uri};
use axum::middleware::{from_fn, from_fn_with_state};
use std::sync::Arc;

/// No body that the API takes comes near it.
const BODY_BYTES_MAX: usize = 1_000_000;

/// Every route, with what stands around it: the edge, then the role.
pub(crate) fn router(services: Arc<Services>) -> Router {
    let for_roles =
        with(Router::new(), guarded()).route_layer(from_fn_with_state(services.clone(), auth::require_role));
    with(Router::new(), open())
        .merge(dashboard::routes())
        .merge(runbook::routes())
        .merge(documents_page::files())
        .merge(for_roles)
        .fallback(no_such_route)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(DefaultBodyLimit::max(BODY_BYTES_MAX))
        .layer(from_fn(edge::finish))
        .with_state(services)
}

/// The routes that need no token, since they hold no data; besides them, only the dashboard's files and the runbook.
pub(crate) fn open() -> Vec<Route> {
    routes![
        health::live,
        document::openapi,
        documents_page::page,
        documents_page::seed_page,
    ]
}

/// The routes that need a token. Looking and changing are told apart by the method (`auth::role_needed_for`).
pub(crate) fn guarded() -> Vec<Route> {
    let mut guarded = routes![
        health::overview,
        health::ready,
        doctor::examine,
        source::stats,
        steering::pause,
        steering::resume,
    ];
    for more in [
        databases(),
        migrations(),
        desk(),
        switches(),
        queues(),
        test_data(),
        long_jobs(),
    ] {
        guarded.extend(more);
    }
    guarded
}

fn with(router: Router<Arc<Services>>, routes: Vec<Route>) -> Router<Arc<Services>> {
    let add = |router: Router<_>, route: Route| router.route(&route.path, route.methods);
    routes.into_iter().fold(router, add)
}

/// The ledger's database.
fn databases() -> Vec<Route> {
    routes![
        database::health,
        database::status,
        database::info,
        database::ping,
        database::count,
        database::pending_count,
        database::success_count,
        schema::status,
        schema::migrate,
    ]
}

/// Migrations, and the batches that came of them.
fn migrations() -> Vec<Route> {
    routes![
        migrate::start,
        migrations::list,
        migrations::status,
        cancelling::cancel,
        cancelling::cancel_by_post,
        jobs::list,
        // A batch's number to look at, or a batch size to start with.
        jobs::status,
        migrate::start_sized,
        retrying::retry_failed,
        catching_up::complete_processing,
        catching_up::process_all,
        catching_up::fix_stuck_jobs,
        create_missing::start,
        reset_pending::start,
        bulk::start,
    ]
}

/// What people look at when something is wrong, and what they turn.
fn desk() -> Vec<Route> {
    routes![
        overview::overview,
        proof::look,
        exceptions::list,
        exceptions::accept,
        windows::list,
        failures::list,
        alerts::list,
        trace::trace,
        tune::list,
        tune::tune,
        adopting::adopt,
        audit::list,
    ]
}

/// The schedules and the consumers.
fn switches() -> Vec<Route> {
    routes![
        scheduler::status,
        scheduler::start,
        scheduler::stop,
        consumers::status,
        consumers::status_too,
        consumers::start,
        consumers::stop,
        restart::restart,
        queue_health::of_consumers,
    ]
}

/// The queues, and who works on what is in them.
fn queues() -> Vec<Route> {
    routes![
        queue::stats,
        queue_health::of_queues,
        monitoring::monitoring,
        workers::stats,
        workers::reset_counter,
        probes::publish,
        probes::publish_too,
        probes::publish_batch,
        redrive::redrive,
        purge_queue::purge,
        purge_queue::purge_by_post,
        purge_queue::purge_all,
        purge_queue::purge_all_by_post,
    ]
}

/// Test data, where it is allowed.
fn test_data() -> Vec<Route> {
    routes![
        seed::some,
        seed::bulk,
        seed_jobs::job_status,
        seed_jobs::all,
        seed::stats,
        seed_clear::clear,
        seed_clear::clear_by_post,
    ]
}

/// Long jobs.
fn long_jobs() -> Vec<Route> {
    routes![
        verify::start,
        verify::list,
        sweep::start,
        sweep::list,
        sweep_object::adopt,
        sweep_object::discard,
        restored::confirm,
        alert_test::send,
        purge::start,
        rebuilding::start,
        operations_list::list,
        operations::status,
        cancelling_a_job::cancel,
        cancelling_a_job::cancel_by_post,
    ]
}

async fn no_such_route(uri: Uri) -> Problem {
    Problem::new(
        Kind::NoSuchRoute,
        format!("This API has no route {}.", uri.path()),
    )
    .remedy("Check the path; a slash at its end matters.")
}

async fn method_not_allowed(method: Method, uri: Uri) -> Problem {
    Problem::new(
        Kind::MethodNotAllowed,
        format!("{} has no method {method}.", uri.path()),
    )
    .remedy("The header Allow of this answer names those that it has.")
}
