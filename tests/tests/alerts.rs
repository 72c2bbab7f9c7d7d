//! Alerts name metrics that exist, are tried out, and are explained.

#![expect(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use system_tests::repository_file;

/// What the names of metrics of the services begin with, those that Prometheus' clients usually have among them.
const OURS: [&str; 3] = ["muster_", "grpc_server_", "process_"];

/// What a histogram adds to its name.
const OF_HISTOGRAMS: [&str; 3] = ["_bucket", "_count", "_sum"];

#[test]
fn alerts_name_metrics_that_services_have() {
    let literals = literals();
    let names: Vec<_> = alerts().iter().flat_map(|alert| alert.metrics.clone()).collect();
    assert!(names.iter().any(|name| name == "grpc_server_handled_total"), "{names:?}");
    for name in names.iter().filter(|name| OURS.iter().any(|prefix| name.starts_with(prefix))) {
        let base = OF_HISTOGRAMS.iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name);
        assert!(literals.contains(base) || literals.contains(name), "no service has {name}");
    }
}

#[test]
fn every_alert_is_tried_out_and_explained() {
    let (tests, guide) =
        (repository_file("deployments/prometheus/alerts_test.yml"), repository_file("docs/troubleshooting.md"));
    for alert in alerts() {
        let name = &alert.name;
        assert!(!alert.metrics.is_empty(), "{name} looks at nothing");
        assert!(tests.contains(&format!("alertname: {name}\n        exp_alerts:")), "{name} is never seen to fire");
        assert!(guide.contains(&format!("`{name}`")), "docs/troubleshooting.md does not explain {name}");
    }
}

/// With processes that run.
mod real_metrics {
    use system_tests::{Curl, Deployment, Edge, Envoy, Muster};

    use super::alerts;

    /// What is counted only once it has happened.
    const ABSENT_AT_FIRST: [&str; 1] = ["muster_log_unreadable_total"];

    /// Labels that Prometheus adds, by targets.yml.
    const BY_PROMETHEUS: [&str; 4] = ["instance", "job", "le", "service"];

    #[tokio::test(flavor = "multi_thread")]
    async fn alerts_find_their_metrics_and_labels() {
        let deployment = Deployment::of_matches().await;
        let replica = deployment.replica(&["--trusted-hops", "1"]);
        let game = deployment.game_replica(&["--trusted-hops", "1"]);
        let mut edge = Edge::of(&[replica.api()]);
        edge.game = vec![game.api()];
        let matchmaking = deployment.matchmaking_replica(&edge.game, &["--trusted-hops", "1"]);
        edge.matchmaking = vec![matchmaking.api()];
        let leaderboard = deployment.leaderboard_replica(&edge.game, &["--trusted-hops", "1"]);
        edge.leaderboard = vec![leaderboard.api()];
        let envoy = Envoy::start(&edge);
        system_tests::Client::of(envoy.address()).register().await;
        // What comes with the first record and the first partition.
        let metrics_with = async |of: &Muster, names: &[&str]| {
            system_tests::eventually("the process has these metrics", async || {
                let metrics = Curl::to(of.admin()).text("/metrics");
                names.iter().all(|name| metrics.contains(name)).then_some(metrics)
            })
            .await
        };
        let scraped = metrics_with(&replica, &["muster_log_append_seconds_bucket", "muster_log_appends_total"]).await
            + &metrics_with(&leaderboard, &["muster_scores_lag_records"]).await
            + &Curl::to(game.admin()).text("/metrics")
            + &Curl::to(matchmaking.admin()).text("/metrics")
            + &Curl::to(envoy.admin()).text("/stats/prometheus");
        for alert in alerts() {
            for name in alert.metrics.iter().filter(|name| !ABSENT_AT_FIRST.contains(&name.as_str())) {
                let found = scraped
                    .lines()
                    .find(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} ")));
                assert!(found.is_some() || name == "up", "{}: no process has {name}", alert.name);
            }
            for label in alert.labels.iter().filter(|label| !BY_PROMETHEUS.contains(&label.as_str())) {
                assert!(scraped.contains(&format!("{label}=\"")), "{}: no metric has {label}", alert.name);
            }
        }
    }
}

struct Alert {
    name: String,
    metrics: BTreeSet<String>,
    labels: BTreeSet<String>,
}

fn alerts() -> Vec<Alert> {
    let rules = repository_file("deployments/prometheus/alerts.yml");
    let alerts: Vec<_> = rules.split("- alert: ").skip(1).map(Alert::parse).collect();
    assert!(!alerts.is_empty());
    alerts
}

impl Alert {
    fn parse(rule: &str) -> Self {
        let (name, rest) = rule.split_once('\n').unwrap();
        let expression = rest.split("expr:").nth(1).unwrap();
        let expression = ["\n        for:", "\n        labels:"]
            .iter()
            .fold(expression, |expression, next| expression.split(next).next().unwrap());
        let without_values: String = expression.split('"').step_by(2).collect();
        let (matched, rest) = cut(&without_values, "{", "}");
        let (grouped, rest) = cut(&rest, "by (", ")");
        let metrics = words(&rest).filter(|word| {
            *word == "up" || word.starts_with("envoy_") || OURS.iter().any(|prefix| word.starts_with(prefix))
        });
        Self {
            name: name.to_owned(),
            metrics: metrics.map(str::to_owned).collect(),
            labels: words(&matched).chain(words(&grouped)).map(str::to_owned).collect(),
        }
    }
}

/// What lies between these two, wherever they are, and what does not.
fn cut(text: &str, begin: &str, end: &str) -> (String, String) {
    let mut parts = text.split(begin);
    let (mut inside, mut outside) = (String::new(), parts.next().unwrap().to_owned());
    for part in parts {
        let (within, after) = part.split_once(end).unwrap();
        inside = inside + " " + within;
        outside = outside + " " + after;
    }
    (inside, outside)
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|word| !word.is_empty())
}

/// All texts in quotes in the sources of the services.
fn literals() -> BTreeSet<String> {
    let mut files = Vec::new();
    for folder in ["pkg", "services"] {
        rust_files(&root().join(folder), &mut files);
    }
    let mut literals = BTreeSet::new();
    for file in files {
        literals.extend(fs::read_to_string(file).unwrap().split('"').map(str::to_owned));
    }
    literals
}

fn rust_files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            rust_files(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap()
}
