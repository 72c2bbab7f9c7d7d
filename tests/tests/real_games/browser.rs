//! A page in a real browser that plays, by gRPC-Web.

use std::process::Command;

use system_tests::{Deployment, Process, free_address, generate_javascript, node_client, test_variable};

use crate::system::{System, generous};

#[tokio::test(flavor = "multi_thread")]
async fn a_page_opens_a_session_and_hears_what_it_publishes() {
    let page = free_address();
    let system = System::with(Deployment::new().await, |edge| edge.origins = vec![format!("http://{page}")]);
    let (game, player) = (system.game(generous()).await, system.player());
    let generated = generate_javascript();

    let mut command = Command::new("node");
    command.arg(node_client().join("events_browser.mjs")).arg(format!("http://{}", system.envoy.address()));
    command.arg(page.to_string()).arg(generated.path()).arg(test_variable("MUSTER_TEST_CHROMIUM"));
    command.arg(&player.token).arg(&game);
    let finished = Process::run(command);
    assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
}
