//! gRPC by reflection, by grpcurl.

use std::process::Command;

use serde_json::{Value, json};
use system_tests::{Finished, Muster, PASSWORD, Process, email, run_muster, test_variable, username};
use tempfile::TempDir;

const AUTH: &str = "muster.auth.v1.AuthService";

#[test]
fn the_api_describes_itself() {
    let grpcurl = Grpcurl::start();
    let listed = grpcurl.run(&[], &["list"]);
    let services: Vec<_> = listed.stdout.lines().collect();
    for service in [AUTH, "muster.player.v1.PlayerService", "grpc.health.v1.Health"] {
        assert!(services.contains(&service), "{service} is not in {services:?}");
    }
    for service in services {
        let described = grpcurl.run(&[], &["describe", service]);
        assert!(described.status.success(), "{service}: {}", described.stderr);
    }
    let message = grpcurl.run(&[], &["describe", "muster.auth.v1.RegisterRequest"]);
    assert!(message.stdout.contains("registration_id"), "{}", message.stdout);
}

#[test]
fn an_account_is_registered_signed_in_and_used() {
    let grpcurl = Grpcurl::start();
    let (name, mail) = (username(), email());
    let registered =
        grpcurl.call(&format!("{AUTH}/Register"), &json!({ "username": name, "email": mail, "password": PASSWORD }));
    assert_eq!(registered["user"]["username"], name.as_str());

    let answer = grpcurl.call(&format!("{AUTH}/Login"), &json!({ "identifier": mail, "password": PASSWORD }));
    let token = answer["tokens"]["accessToken"].as_str().expect("a sign-in has tokens");
    let profile = grpcurl.call_as(token, "muster.player.v1.PlayerService/GetProfile", &json!({}));
    assert_eq!(profile["profile"]["player"]["username"], name.as_str());
    let sessions = grpcurl.call_as(token, &format!("{AUTH}/ListDeviceSessions"), &json!({}));
    assert_eq!(sessions["sessions"].as_array().map(Vec::len), Some(2));

    let health = grpcurl.call("grpc.health.v1.Health/Check", &json!({ "service": AUTH }));
    assert_eq!(health["status"], "SERVING");
}

#[test]
fn an_operator_bans_with_a_token_of_their_own() {
    let grpcurl = Grpcurl::start();
    let name = username();
    let body = json!({ "username": name, "email": email(), "password": PASSWORD });
    let registered = grpcurl.call(&format!("{AUTH}/Register"), &body);
    let user = &registered["user"]["userId"];
    let ban = json!({ "userId": user, "reason": "cheating", "duration": "3600s" });

    let player = registered["tokens"]["accessToken"].as_str().expect("a sign-in has tokens");
    assert_eq!(
        grpcurl.refusal(Some(player), &format!("{AUTH}/BanUser"), &ban),
        ("PermissionDenied", "ROLE_NOT_ALLOWED".into())
    );
    let folder = grpcurl.data.path().to_str().expect("the folder's name is text");
    let printed = run_muster(&["token", "--data", folder], &[]);
    let admin = printed.stdout.trim();
    assert_eq!(grpcurl.call_as(admin, &format!("{AUTH}/BanUser"), &ban)["ban"]["reason"], "cheating");
    let login = json!({ "identifier": name, "password": PASSWORD });
    assert_eq!(grpcurl.refusal(None, &format!("{AUTH}/Login"), &login), ("PermissionDenied", "ACCOUNT_BANNED".into()));
}

#[test]
fn an_error_has_its_code_and_its_reason() {
    let grpcurl = Grpcurl::start();
    let login = format!("{AUTH}/Login");
    let wrong = json!({ "identifier": "nobody", "password": PASSWORD });
    assert_eq!(grpcurl.refusal(None, &login, &wrong), ("Unauthenticated", "CREDENTIALS_INVALID".into()));
    assert_eq!(grpcurl.refusal(None, &login, &json!({})), ("InvalidArgument", "INVALID_FIELD".into()));
    let sessions = format!("{AUTH}/ListDeviceSessions");
    assert_eq!(grpcurl.refusal(None, &sessions, &json!({})), ("Unauthenticated", "TOKEN_MISSING".into()));
    assert_eq!(grpcurl.refusal(Some("nonsense"), &sessions, &json!({})), ("Unauthenticated", "TOKEN_INVALID".into()));
}

/// grpcurl, and a server to call.
struct Grpcurl {
    muster: Muster,
    data: TempDir,
}

impl Grpcurl {
    fn start() -> Self {
        let data = TempDir::new().expect("there is a place for temporary files");
        Self { muster: Muster::dev(data.path(), &[]), data }
    }

    fn run(&self, flags: &[&str], arguments: &[&str]) -> Finished {
        let mut command = Command::new(test_variable("MUSTER_TEST_GRPCURL"));
        command.args(["-plaintext", "-max-time", "30"]).args(flags).arg(self.muster.api().to_string()).args(arguments);
        Process::run(command)
    }

    fn call(&self, method: &str, body: &Value) -> Value {
        self.answer(&["-d", &body.to_string()], method)
    }

    fn call_as(&self, token: &str, method: &str, body: &Value) -> Value {
        self.answer(&["-H", &format!("authorization: Bearer {token}"), "-d", &body.to_string()], method)
    }

    fn answer(&self, flags: &[&str], method: &str) -> Value {
        let finished = self.run(flags, &[method]);
        assert!(finished.status.success(), "{method}: {}", finished.stderr);
        serde_json::from_str(&finished.stdout).expect("grpcurl prints JSON")
    }

    /// The code and the reason of an error.
    fn refusal(&self, token: Option<&str>, method: &str, body: &Value) -> (&'static str, String) {
        let authorization = token.map(|token| format!("authorization: Bearer {token}"));
        let body = body.to_string();
        let mut flags = vec!["-format-error", "-d", &body];
        flags.extend(authorization.as_deref().into_iter().flat_map(|header| ["-H", header]));
        let finished = self.run(&flags, &[method]);
        let error: Value = serde_json::from_str(&finished.stderr)
            .unwrap_or_else(|error| panic!("{method}: {error}: {}{}", finished.stdout, finished.stderr));
        let details = error["details"].as_array().expect("there are details");
        let is_info = |detail: &&Value| detail["@type"] == "type.googleapis.com/google.rpc.ErrorInfo";
        let info = details.iter().find(is_info).expect("there is ErrorInfo");
        assert_eq!(info["domain"], "muster");
        (code_name(&error["code"]), info["reason"].as_str().expect("there is a reason").to_owned())
    }
}

fn code_name(code: &Value) -> &'static str {
    match code.as_i64() {
        Some(3) => "InvalidArgument",
        Some(7) => "PermissionDenied",
        Some(16) => "Unauthenticated",
        _ => "another one",
    }
}
