//! The two ways of running everything on one machine, docker-compose.yaml and plain processes, are one: the same
//! variables, the same Envoy, the same alerts, the same versions.
//!
//! They read the same files, so what is held here is that they do. `make test-long` has docker compose itself read them.

#![expect(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::collections::{BTreeMap, BTreeSet};

use system_tests::{repository_file as read, run_muster};

/// Whose variables are in stores.env alone.
const MIGRATE: &str = "migrate";

/// What `system` makes for both ways.
const SECRETS: [&str; 2] = ["REFRESH_SECRET", "STORES_PASSWORD"];

#[test]
fn both_ways_run_the_same_services() {
    let services = services();
    assert!(services.contains("auth"), "{services:?}");
    let in_compose = blocks(&read("docker-compose.yaml"), "services:");
    let in_compose = in_compose.iter().filter(|(_, block)| block.contains("<<: *service"));
    assert_eq!(in_compose.map(|(name, _)| name.clone()).collect::<BTreeSet<_>>(), services);
    for way in ["local", "compose"] {
        let targets = read(&format!("deployments/prometheus/targets/{way}.yml"));
        let scraped: BTreeSet<_> = between_all(&targets, "job: muster, service: ", " }").collect();
        assert_eq!(scraped, services.iter().map(String::as_str).collect(), "{way}");
    }
}

#[test]
fn both_ways_take_variables_from_the_same_files_and_from_nowhere_else() {
    let compose = read("docker-compose.yaml");
    let blocks = blocks(&compose, "services:");
    for role in services().iter().map(String::as_str).chain([MIGRATE]) {
        let mut files = vec!["deployments/environment/stores.env".to_owned()];
        files.extend((role != MIGRATE).then(|| format!("deployments/environment/{role}.env")));
        let block = blocks.get(role).unwrap_or_else(|| panic!("{role} is not in docker-compose.yaml"));
        assert!(block.contains(&format!("    env_file: [{}]\n", files.join(", "))), "{role}: {block}");
        assert!(!block.contains("environment:"), "{role} is set to something of its own");
    }
    for file in ["docker-compose.yaml", "deployments/Dockerfile"] {
        let line = code(&read(file)).find(|line| line.contains("MUSTER_")).map(str::to_owned);
        assert_eq!(line, None, "{file} sets a variable of its own");
    }
    let local = read("deployments/local/servers/muster");
    assert!(local.contains("\"$environment/stores.env\" \"$environment/$1.env\"; do\n"), "{local}");
}

#[test]
fn both_ways_know_every_name_that_the_variables_are_made_of() {
    let local: BTreeSet<_> = variables("local.env").into_keys().collect();
    assert_eq!(local, variables("compose.env").into_keys().collect());
    for secret in SECRETS {
        assert!(read("deployments/local/system").contains(&format!("\n{secret}=$(")), "{secret} is made");
    }
    let known: BTreeSet<_> = local.iter().map(String::as_str).chain(SECRETS).collect();
    let mut used = BTreeSet::new();
    for role in services().iter().map(String::as_str).chain(["stores"]) {
        for value in variables(&format!("{role}.env")).into_values() {
            used.extend(between_all(&value, "${", "}").map(str::to_owned));
        }
    }
    assert_eq!(used.iter().map(String::as_str).collect::<BTreeSet<_>>(), known);
}

#[test]
fn every_variable_is_one_that_the_role_has() {
    let of_migrate = run_muster(&["migrate", "up", "--help"], &[]).stdout;
    for service in services() {
        let help = run_muster(&[&service, "--help"], &[]).stdout;
        for name in variables(&format!("{service}.env")).into_keys() {
            assert!(knows(&help, &name), "muster {service} knows no {name}");
        }
        for name in variables("stores.env").into_keys() {
            assert!(knows(&help, &name) || knows(&of_migrate, &name), "neither {service} nor migrate knows {name}");
        }
    }
}

#[test]
fn both_ways_have_the_same_envoy() {
    let compose = &blocks(&read("docker-compose.yaml"), "services:")["envoy"];
    let local = read("deployments/local/servers/envoy");
    assert!(local.contains("$(cat deployments/envoy/local.yaml envoy.yaml)"));
    for mounted in
        ["./envoy.yaml:/etc/envoy/envoy.yaml:ro", "./deployments/envoy/compose.yaml:/etc/envoy/addresses.yaml:ro"]
    {
        assert!(compose.contains(mounted), "{mounted}");
    }
    let flags =
        |text: &str| between_all(text, "--use-dynamic-base-id", "\n").next().map(|flags| flags.trim().to_owned());
    let drain = between_all(&local, "ENVOY_DRAIN_SECONDS=", "\n").next().unwrap();
    let local_flags = flags(&local).map(|flags| flags.replace("\"$ENVOY_DRAIN_SECONDS\"", drain));
    assert_eq!(flags(compose), local_flags);
    let anchors = |way: &str| -> BTreeSet<String> {
        let addresses = read(&format!("deployments/envoy/{way}.yaml"));
        code(&addresses).filter_map(|line| Some(line.strip_prefix("- &")?.split(' ').next()?.to_owned())).collect()
    };
    assert!(anchors("local").contains("auth"), "{:?}", anchors("local"));
    assert_eq!(anchors("local"), anchors("compose"));
}

#[test]
fn everything_is_looked_for_where_it_is() {
    for (way, host) in [("local", "127.0.0.1"), ("compose", "")] {
        let envoy = read(&format!("deployments/envoy/{way}.yaml"));
        let targets = read(&format!("deployments/prometheus/targets/{way}.yml"));
        for service in services() {
            let host = if host.is_empty() { &service } else { host };
            let variables = variables(&format!("{service}.env"));
            let port = |name: &str| variables[name].rsplit_once(':').unwrap().1;
            let api = format!("address: {host}, port_value: {} ", port("MUSTER_LISTEN"));
            assert!(envoy.contains(&api), "{way}: Envoy has no {api}");
            let admin = format!("\"{host}:{}\"", port("MUSTER_ADMIN_LISTEN"));
            assert!(targets.contains(&admin), "{way}: Prometheus has no {admin}");
        }
    }
}

#[test]
fn both_ways_have_the_same_alerts() {
    let compose = &blocks(&read("docker-compose.yaml"), "services:")["prometheus"];
    let local = read("deployments/local/servers/prometheus");
    for file in ["prometheus.yml", "alerts.yml"] {
        assert!(compose.contains(&format!("./deployments/prometheus/{file}:/etc/prometheus/{file}:ro")), "{file}");
        assert!(local.contains(&format!("$from/{file}")), "{file}");
    }
}

#[test]
fn images_have_the_versions_of_plain_processes() {
    let compose = read("docker-compose.yaml");
    let pinned = assignments(&read("deployments/local/versions.env"));
    let manifest = read("Cargo.toml");
    let in_manifest = |key: &str| between_all(&manifest, &format!("\n{key} = \""), "\"").next().unwrap().to_owned();
    for (image, version) in [
        ("postgres", &pinned["POSTGRES_MAJOR"]),
        ("redis", &pinned["REDIS_MAJOR"]),
        ("apache/kafka", &pinned["KAFKA_VERSION"]),
        ("envoyproxy/envoy", &format!("v{}", pinned["ENVOY_VERSION"])),
        ("prom/prometheus", &format!("v{}", pinned["PROMETHEUS_VERSION"])),
        ("muster", &in_manifest("version")),
    ] {
        let tag = between_all(&compose, &format!("image: {image}:"), "\n").next().unwrap();
        let rest = tag.strip_prefix(version.as_str());
        assert!(
            rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '-'])),
            "{image}:{tag} is not {version}"
        );
    }
    let dockerfile = read("deployments/Dockerfile");
    assert!(dockerfile.contains(&format!("FROM rust:{}", in_manifest("rust-version"))), "{dockerfile}");
    for image in between_all(&compose, "image: ", "\n") {
        let tag = image.split_once(':').unwrap_or_else(|| panic!("{image} is not pinned")).1;
        assert!(tag.contains('.') && tag.chars().any(|c| c.is_ascii_digit()), "{image} is not pinned");
    }
}

/// Whether a variable is in a help text.
fn knows(help: &str, name: &str) -> bool {
    [']', '='].iter().any(|end| help.contains(&format!("[env: {name}{end}")))
}

/// The services that plain processes are started for.
fn services() -> BTreeSet<String> {
    let system = read("deployments/local/system");
    let list = between_all(&system, "readonly SERVICES=(", ")").next().unwrap();
    list.split_whitespace().map(str::to_owned).collect()
}

/// What a file of deployments/environment sets.
fn variables(file: &str) -> BTreeMap<String, String> {
    assignments(&read(&format!("deployments/environment/{file}")))
}

fn assignments(text: &str) -> BTreeMap<String, String> {
    let set = code(text).filter(|line| !line.is_empty()).map(|line| line.split_once('=').unwrap());
    set.map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// The entries of a section of a YAML file that is indented by twos, each as its text.
fn blocks(yaml: &str, section: &str) -> BTreeMap<String, String> {
    let mut blocks: BTreeMap<String, String> = BTreeMap::new();
    let mut current = None;
    for line in yaml.lines().skip_while(|line| *line != section).skip(1) {
        if !line.is_empty() && !line.starts_with(' ') {
            break;
        }
        let entry = line.strip_prefix("  ").filter(|entry| !entry.starts_with([' ', '#']));
        if let Some(name) = entry.and_then(|entry| entry.strip_suffix(':')) {
            current = Some(name.to_owned());
        } else if let Some(name) = &current {
            let block = blocks.entry(name.clone()).or_default();
            block.push_str(line);
            block.push('\n');
        }
    }
    blocks
}

/// Lines without comments.
fn code(text: &str) -> impl Iterator<Item = &str> {
    text.lines().filter(|line| !line.trim_start().starts_with('#'))
}

/// What lies between a beginning and the end after it, wherever there is one.
fn between_all<'a>(text: &'a str, begin: &str, end: &str) -> std::vec::IntoIter<&'a str> {
    let found: Vec<_> = text.split(begin).skip(1).filter_map(|rest| rest.split(end).next()).collect();
    found.into_iter()
}
