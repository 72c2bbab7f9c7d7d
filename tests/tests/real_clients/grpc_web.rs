//! gRPC-Web from Node: connect-web, with code generated from the API as it is now.

use std::path::Path;
use std::process::Command;

use system_tests::{Muster, Process, generate_javascript, node_client};

const ALLOWED_ORIGIN: &str = "https://play.example.com";

#[test]
fn a_web_page_s_client_does_all_it_needs() {
    let generated = generate_javascript();
    let muster = Muster::dev(Path::new("none"), &["--cors-origins", ALLOWED_ORIGIN]);

    let mut command = Command::new("node");
    command.arg(node_client().join("accounts.mjs")).arg(format!("http://{}", muster.api())).arg(ALLOWED_ORIGIN);
    command.arg(generated.path());
    let finished = Process::run(command);

    assert!(finished.status.success(), "{}{}", finished.stdout, finished.stderr);
}
