//! Whether each service can do its work: what it needs, the tasks beside it, and whether the server drains.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use serde_json::{Value, json};
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use crate::server::OWN_NAME;
use crate::service::Need;

/// How often dependencies are checked.
const CHECK_INTERVAL: Duration = Duration::from_secs(1);
/// The same while a process that has just started is not ready yet…
const STARTING_INTERVAL: Duration = Duration::from_millis(10);
/// …for so long.
const STARTING: Duration = Duration::from_secs(1);

/// A check that takes longer has failed.
const CHECK_TIMEOUT: Duration = Duration::from_secs(2);

/// What is known of the process, and who is told.
pub(crate) struct Readiness {
    /// Every dependency once, whoever needs it.
    needs: Vec<Need>,
    groups: Vec<Group>,
    reporter: HealthReporter,
    state: Mutex<State>,
}

/// The gRPC services that share their dependencies and tasks.
pub(crate) struct Group {
    pub(crate) service: &'static str,
    pub(crate) grpc_names: Vec<&'static str>,
    pub(crate) needs: Vec<&'static str>,
}

struct State {
    /// The last check of each dependency.
    checks: BTreeMap<&'static str, Result<(), String>>,
    /// Tasks that ended before they should, with the service that they belong to.
    ended: BTreeSet<(&'static str, &'static str)>,
    draining: bool,
}

/// What `/readyz` answers.
pub(crate) struct Report {
    pub(crate) ready: bool,
    pub(crate) json: Value,
}

impl Readiness {
    /// Nothing is ready until it was checked.
    pub(crate) async fn new(needs: Vec<Need>, groups: Vec<Group>, reporter: HealthReporter) -> Arc<Self> {
        let checks = needs.iter().map(|need| (need.name, Err("not checked yet".to_owned()))).collect();
        let state = Mutex::new(State { checks, ended: BTreeSet::new(), draining: false });
        let readiness = Arc::new(Self { needs, groups, reporter, state });
        readiness.tell(&mut BTreeMap::new()).await;
        readiness
    }

    /// Checks the dependencies again and again until the token is cancelled.
    pub(crate) async fn follow(self: Arc<Self>, shutdown: CancellationToken) {
        let started = Instant::now();
        let mut told = BTreeMap::new();
        while shutdown.run_until_cancelled(self.check()).await.is_some() {
            self.tell(&mut told).await;
            let is_starting = started.elapsed() < STARTING && !self.report().ready;
            let pause = if is_starting { STARTING_INTERVAL } else { CHECK_INTERVAL };
            if shutdown.run_until_cancelled(sleep(pause)).await.is_none() {
                return;
            }
        }
    }

    /// A task ended while it was needed: its service does not serve any more.
    pub(crate) fn task_ended(&self, service: &'static str, task: &'static str) {
        self.lock().ended.insert((service, task));
    }

    /// From now on nothing serves, whatever its dependencies do.
    pub(crate) async fn drain(&self) {
        self.lock().draining = true;
        self.tell(&mut BTreeMap::new()).await;
    }

    /// What is known now.
    pub(crate) fn report(&self) -> Report {
        let state = self.lock();
        let ready = !state.draining && state.ended.is_empty() && state.checks.values().all(Result::is_ok);
        let dependencies: serde_json::Map<String, Value> = state
            .checks
            .iter()
            .map(|(name, check)| {
                let value = match check {
                    Ok(()) => json!({ "ok": true }),
                    Err(reason) => json!({ "ok": false, "reason": reason }),
                };
                ((*name).to_owned(), value)
            })
            .collect();
        let ended: Vec<String> = state.ended.iter().map(|(service, task)| format!("{service}/{task}")).collect();
        let json = json!({
            "ready": ready,
            "draining": state.draining,
            "dependencies": dependencies,
            "ended_tasks": ended,
        });
        Report { ready, json }
    }

    async fn check(&self) {
        let checks = join_all(self.needs.iter().map(|need| async move {
            let checked = tokio::time::timeout(CHECK_TIMEOUT, need.dependency.check()).await;
            (need, checked.unwrap_or_else(|_elapsed| Err("the check took too long".to_owned())))
        }))
        .await;
        let mut state = self.lock();
        let mut found: BTreeMap<&'static str, Result<(), String>> = BTreeMap::new();
        for (need, check) in checks {
            let was_ok = state.checks.get(need.name).is_some_and(Result::is_ok);
            log_change(need, was_ok, &check);
            // Several services may need something by one name: it works if all of it works.
            let so_far = found.entry(need.name).or_insert(Ok(()));
            if so_far.is_ok() {
                *so_far = check;
            }
        }
        state.checks = found;
    }

    /// Tells the health service what has changed since it was told last.
    async fn tell(&self, told: &mut BTreeMap<&'static str, bool>) {
        let serving: Vec<(&'static str, bool)> = {
            let state = self.lock();
            let mut all = !state.draining;
            let mut serving = Vec::new();
            for group in &self.groups {
                let is_serving = !state.draining && group.serves(&state);
                all &= is_serving;
                serving.extend(group.grpc_names.iter().map(|name| (*name, is_serving)));
            }
            serving.push(("", all));
            serving
        };
        for (name, is_serving) in serving {
            if told.insert(name, is_serving) != Some(is_serving) {
                let status = if is_serving { ServingStatus::Serving } else { ServingStatus::NotServing };
                self.reporter.set_service_status(name, status).await;
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Group {
    fn serves(&self, state: &State) -> bool {
        let has_needs = self.needs.iter().all(|need| state.checks.get(need).is_some_and(Result::is_ok));
        has_needs && !state.ended.iter().any(|(service, _)| [self.service, OWN_NAME].contains(service))
    }
}

fn log_change(need: &Need, was_ok: bool, check: &Result<(), String>) {
    let (dependency, adapter) = (need.name, need.dependency.name());
    match check {
        Ok(()) if !was_ok => tracing::info!(dependency, adapter, "a dependency works"),
        Err(error) if was_ok => tracing::warn!(dependency, adapter, error, "a dependency does not work"),
        _ => {}
    }
}
