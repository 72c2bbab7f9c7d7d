//! `envoy.yaml` after each file of addresses.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::Path;

use system_tests::{Edge, names_of_addresses, repository_file, validate_envoy};

const LOCAL: &str = "deployments/envoy/local.yaml";
const COMPOSE: &str = "deployments/envoy/compose.yaml";

#[test]
fn it_is_valid_in_each_way_of_running() {
    for (file, api, script) in
        [(LOCAL, ".stack/envoy/api", "deployments/envoy"), (COMPOSE, "/etc/envoy/api", "/etc/envoy")]
    {
        let checked = validate_envoy(&repository_file(file), api, script);
        assert!(checked.status.success(), "{file}: {}{}", checked.stdout, checked.stderr);
    }
}

#[test]
fn the_ways_differ_in_values_and_not_in_names() {
    let (local, compose) = (repository_file(LOCAL), repository_file(COMPOSE));
    let nowhere = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    let tested = Edge::of(&[nowhere]).to_yaml(nowhere, nowhere, Path::new("/"));
    assert!(names_of_addresses(&local).len() > 5);
    assert_eq!(names_of_addresses(&local), names_of_addresses(&compose));
    assert_eq!(names_of_addresses(&local), names_of_addresses(&tested));
}

#[test]
fn a_broken_one_is_not_valid() {
    let broken = repository_file(LOCAL).replace("port_value: 8080", "port_value: 80800");
    assert!(!validate_envoy(&broken, ".stack/envoy/api", "deployments/envoy").status.success());
}
