//! A page in a real browser, with a gRPC-Web client.

use std::process::Command;

use system_tests::{Process, free_address, generate_javascript, node_client, test_variable};

use crate::System;

#[tokio::test]
async fn a_page_of_an_allowed_origin_uses_an_account_and_no_other_page_does() {
    let (allowed, other) = (free_address(), free_address());
    let system = System::start(|edge| edge.origins = vec![format!("http://{allowed}")]).await;
    let generated = generate_javascript();

    let mut command = Command::new("node");
    command.arg(node_client().join("browser.mjs")).arg(format!("http://{}", system.envoy.address()));
    command.arg(allowed.to_string()).arg(other.to_string()).arg(generated.path());
    command.arg(test_variable("MUSTER_TEST_CHROMIUM"));
    let finished = Process::run(command);

    assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
}
