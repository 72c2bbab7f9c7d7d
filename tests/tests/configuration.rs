//! Settings: all are described, bad ones are refused with their name, secrets are in no output.

#![expect(clippy::unwrap_used, reason = "a test fails where something is missing")]

use std::collections::BTreeSet;
use std::net::TcpListener;

use pkg_ambient::Ambient;
use pkg_auth::SigningKey;
use secrecy::ExposeSecret;
use system_tests::{Finished, random_text, run_muster};
use tempfile::TempDir;

/// The commands, and those of their flags that say what to do this once and so have no variable.
const COMMANDS: [(&[&str], &[&str]); 14] = [
    (&["dev"], &[]),
    (&["auth"], &[]),
    (&["game"], &[]),
    (&["matchmaking"], &[]),
    (&["leaderboard"], &[]),
    (&["boards", "rebuild"], &["--game", "--board", "--period"]),
    (&["migrate", "up"], &["--to"]),
    (&["migrate", "down"], &["--to"]),
    (&["migrate", "status"], &[]),
    (&["log", "tail"], &["--from-beginning", "--no-follow"]),
    (&["descriptors"], &["--output"]),
    (&["health"], &[]),
    (&["apply"], &["--dry-run"]),
    (&["token"], &["--role", "--lifetime"]),
];

/// The roles that call other services and are called by them.
const CALLED: [&str; 3] = ["game", "matchmaking", "leaderboard"];

#[test]
fn every_flag_is_described_with_its_variable() {
    for (command, without_variable) in COMMANDS {
        let help = run_muster(&[command, &["--help"]].concat(), &[]);
        assert!(help.status.success(), "{help:?}");
        let flags = described_flags(&help.stdout);
        assert!(!flags.is_empty(), "{command:?}");
        for (flag, text) in flags {
            let variable = format!("MUSTER_{}", flag.trim_start_matches("--").to_uppercase().replace('-', "_"));
            let has_variable = text.contains(&format!("[env: {variable}"));
            assert_eq!(has_variable, !without_variable.contains(&flag.as_str()), "{command:?} {flag}: {text}");
            assert!(text.contains(' '), "{command:?} {flag} is not described");
        }
    }
}

#[test]
fn a_variable_does_what_its_flag_does() {
    let by_flag = run_muster(&["token", "--data", "/nowhere/by-flag"], &[]);
    let by_variable = run_muster(&["token"], &[("MUSTER_DATA", "/nowhere/by-variable".to_owned())]);
    assert!(by_flag.stderr.contains("/nowhere/by-flag"), "{by_flag:?}");
    assert!(by_variable.stderr.contains("/nowhere/by-variable"), "{by_variable:?}");
}

#[test]
fn a_bad_value_is_refused_with_its_name() {
    let dev = [
        ("--listen", "here", "--listen"),
        ("--listen", "127.0.0.1:99999", "--listen"),
        ("--drain", "5 parsecs", "--drain"),
        ("--access-token-lifetime", "soon", "--access-token-lifetime"),
        ("--access-token-lifetime", "1h", "MUSTER_ACCESS_TOKEN_LIFETIME"),
        ("--access-token-lifetime", "0s", "MUSTER_ACCESS_TOKEN_LIFETIME"),
        ("--session-lifetime", "1s", "MUSTER_SESSION_LIFETIME"),
        ("--trusted-hops", "300", "--trusted-hops"),
        ("--address-rate", "0", "--address-rate"),
        ("--account-burst", "-1", "--account-burst"),
        ("--hashing-threads", "0", "--hashing-threads"),
        ("--log", "=[", "MUSTER_LOG"),
        ("--cors-origins", "play.example.com", "MUSTER_CORS_ORIGINS"),
        ("--cors-origins", "https://play.example.com/path", "MUSTER_CORS_ORIGINS"),
        ("--data", "/proc/nowhere", "MUSTER_DATA"),
    ];
    let mut wrong = Vec::new();
    for (flag, value, name) in dev {
        let mut arguments = vec!["dev", "--listen", "127.0.0.1:0"];
        arguments.extend((flag != "--data").then_some("--data=none"));
        arguments.retain(|argument| flag != "--listen" || !["--listen", "127.0.0.1:0"].contains(argument));
        let assignment = format!("{flag}={value}");
        arguments.push(&assignment);
        wrong.extend(not_refused(&run_muster(&arguments, &[]), &[name], &assignment));
    }
    wrong.extend(not_refused(&run_muster(&["dev", "--no-such-flag"], &[]), &["--no-such-flag"], "--no-such-flag"));
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn an_address_that_is_taken_is_named() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    assert_refused(&run_muster(&["dev", "--data", "none", "--listen", &address], &[]), &address, "a taken address");
}

#[test]
fn bad_keys_and_secrets_are_refused_with_their_name() {
    let given = Given::new();
    let (text, missing) = (given.write("text.pem", "not a key"), given.folder.path().join("missing.pem"));
    let public = given.write("public.pem", "-----BEGIN PUBLIC KEY-----\nMCow\n-----END PUBLIC KEY-----\n");
    let values = [
        ("MUSTER_SIGNING_KEY", text.clone()),
        ("MUSTER_SIGNING_KEY", public),
        ("MUSTER_SIGNING_KEY", missing.display().to_string()),
        ("MUSTER_ACCEPTED_KEYS", text),
        ("MUSTER_REFRESH_SECRETS", "short".to_owned()),
        ("MUSTER_REFRESH_SECRETS", format!("{},short", random_text::<32>())),
        ("MUSTER_POSTGRES_URL", "nonsense".to_owned()),
        ("MUSTER_POSTGRES_CONNECTIONS", "0".to_owned()),
        ("MUSTER_MODE", "relaxed".to_owned()),
    ];
    let mut wrong = Vec::new();
    for (name, value) in values {
        let refused = run_muster(&["auth"], &given.but(name, &value));
        wrong.extend(not_refused(&refused, &[name, &flag_of(name)], &format!("{name}={value}")));
    }
    for value in [given.write("none.pem", "not a key"), given.folder.path().join("missing.pem").display().to_string()] {
        for role in CALLED {
            for name in ["MUSTER_ACCEPTED_KEYS", "MUSTER_SERVICE_KEY"] {
                let refused = run_muster(&[role], &given.but(name, &value));
                wrong.extend(not_refused(&refused, &[name], &value));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn production_refuses_what_is_not_safe_and_says_what_to_set() {
    let given = Given::new();
    for missing in [
        "MUSTER_SIGNING_KEY",
        "MUSTER_REFRESH_SECRETS",
        "MUSTER_POSTGRES_URL",
        "MUSTER_REDIS_URL",
        "MUSTER_KAFKA_BROKERS",
    ] {
        assert_refused(&run_muster(&["auth"], &given.without(missing)), &flag_of(missing), missing);
    }
    for missing in [
        "MUSTER_ACCEPTED_KEYS",
        "MUSTER_SERVICE_KEY",
        "MUSTER_POSTGRES_URL",
        "MUSTER_REDIS_URL",
        "MUSTER_KAFKA_BROKERS",
    ] {
        for role in CALLED {
            assert_refused(&run_muster(&[role], &given.without(missing)), &flag_of(missing), missing);
        }
    }
    for (role, missing) in [
        ("game", "MUSTER_LEADERBOARD_ADDRESS"),
        ("matchmaking", "MUSTER_GAME_ADDRESS"),
        ("leaderboard", "MUSTER_GAME_ADDRESS"),
    ] {
        assert_refused(&run_muster(&[role], &given.without(missing)), &flag_of(missing), missing);
    }
    for (flags, name, allowance) in [
        (["--reflection", "true"], "MUSTER_REFLECTION", "MUSTER_ALLOW_IN_PRODUCTION=reflection"),
        (["--cors-origins", "*"], "MUSTER_CORS_ORIGINS", "MUSTER_ALLOW_IN_PRODUCTION=cors-any"),
        (["--cors-origins", "https://a.example.com,*"], "MUSTER_CORS_ORIGINS", "MUSTER_ALLOW_IN_PRODUCTION=cors-any"),
    ] {
        for role in ["auth"].into_iter().chain(CALLED) {
            let refused = run_muster(&[&[role], &flags[..]].concat(), &given.environment());
            assert_refused(&refused, name, name);
            assert_refused(&refused, allowance, name);
        }
    }
}

#[test]
fn a_start_that_fails_shows_no_secret() {
    let given = Given::new();
    let secret = random_text::<8>();
    let values = [
        ("MUSTER_POSTGRES_URL", format!("postgres://muster:{secret}@127.0.0.1:1/postgres")),
        ("MUSTER_POSTGRES_URL", format!("postgres://muster:{secret}@127.0.0.1:port/postgres")),
        ("MUSTER_POSTGRES_URL", format!("postgres://muster:{secret}@127.0.0.1:1/postgres?sslmode=nonsense")),
        ("MUSTER_POSTGRES_URL", format!("mysql://muster:{secret}@127.0.0.1:1/postgres")),
        ("MUSTER_POSTGRES_URL", format!("host=127.0.0.1 password={secret}")),
        ("MUSTER_REFRESH_SECRETS", secret.clone()),
        ("MUSTER_REFRESH_SECRETS", format!("{},{secret}", random_text::<32>())),
        (
            "MUSTER_SIGNING_KEY",
            given.write("key-of-another-kind.pem", &format!("-----BEGIN PRIVATE KEY-----\n{secret}\n")),
        ),
        ("MUSTER_LISTEN", "nonsense".to_owned()),
    ];
    for (name, value) in values {
        for flags in [
            &["auth"][..],
            &["auth", "--log", "trace"],
            &["game", "--log", "trace"],
            &["matchmaking", "--log", "trace"],
            &["leaderboard", "--log", "trace"],
            &["migrate", "up"],
        ] {
            let finished = run_muster(flags, &given.but(name, &value));
            let output = finished.stdout + &finished.stderr;
            // What a role does not use does no harm; no store is there, so services do not start at all.
            let does_not_use_it = flags[0] == "migrate" && name != "MUSTER_POSTGRES_URL";
            assert!(!finished.status.success() || does_not_use_it, "{name}={value}");
            for secret in [secret.as_str(), &given.postgres_password, &given.redis_password, &given.refresh_secret] {
                assert!(!output.contains(secret), "{flags:?} {name}={value}: {output}");
            }
        }
    }
    // Redis comes after Postgres, so its turn is where there is one: real_accounts/secrets.rs.
    let help = run_muster(&["auth", "--help"], &given.environment()).stdout;
    for secret in [&given.postgres_password, &given.redis_password, &given.refresh_secret] {
        assert!(!help.contains(secret.as_str()), "{help}");
    }
}

/// Settings of a replica that lack nothing, with stores that are not there.
struct Given {
    folder: TempDir,
    postgres_password: String,
    redis_password: String,
    refresh_secret: String,
}

impl Given {
    fn new() -> Self {
        let given = Self {
            folder: TempDir::new().unwrap(),
            postgres_password: random_text::<8>(),
            redis_password: random_text::<8>(),
            refresh_secret: random_text::<32>(),
        };
        given.write("key.pem", SigningKey::generate(Ambient::system().random()).to_pem().expose_secret());
        given
    }

    fn write(&self, name: &str, content: &str) -> String {
        let file = self.folder.path().join(name);
        std::fs::write(&file, content).unwrap();
        file.display().to_string()
    }

    fn environment(&self) -> Vec<(&'static str, String)> {
        vec![
            ("MUSTER_LISTEN", "127.0.0.1:0".to_owned()),
            ("MUSTER_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            ("MUSTER_POSTGRES_URL", format!("postgres://muster:{}@127.0.0.1:1/postgres", self.postgres_password)),
            ("MUSTER_REDIS_URL", format!("redis://default:{}@127.0.0.1:1/0", self.redis_password)),
            ("MUSTER_KAFKA_BROKERS", "127.0.0.1:1".to_owned()),
            ("MUSTER_SIGNING_KEY", self.folder.path().join("key.pem").display().to_string()),
            ("MUSTER_REFRESH_SECRETS", self.refresh_secret.clone()),
            ("MUSTER_ACCEPTED_KEYS", self.folder.path().join("key.pem").display().to_string()),
            ("MUSTER_SERVICE_KEY", self.folder.path().join("key.pem").display().to_string()),
            ("MUSTER_GAME_ADDRESS", "http://127.0.0.1:1".to_owned()),
            ("MUSTER_LEADERBOARD_ADDRESS", "http://127.0.0.1:1".to_owned()),
        ]
    }

    fn without(&self, name: &str) -> Vec<(&'static str, String)> {
        self.environment().into_iter().filter(|(given, _)| *given != name).collect()
    }

    fn but(&self, name: &'static str, value: &str) -> Vec<(&'static str, String)> {
        let mut environment = self.without(name);
        environment.push((name, value.to_owned()));
        environment
    }
}

/// Asserts that a start was refused for a reason that is named.
fn assert_refused(finished: &Finished, name: &str, what: &str) {
    assert_eq!(not_refused(finished, &[name], what), None);
}

/// What is wrong with a refusal: that it is none, or that it has none of these names.
fn not_refused(finished: &Finished, names: &[&str], what: &str) -> Option<String> {
    let is_named = names.iter().any(|name| finished.stderr.contains(name));
    let is_good = !finished.status.success() && is_named && !finished.stderr.contains("panicked");
    (!is_good).then(|| format!("{what} should name {names:?}: {} {}", finished.status, finished.stderr))
}

/// The flag that does what a variable does.
fn flag_of(variable: &str) -> String {
    format!("--{}", variable.trim_start_matches("MUSTER_").to_lowercase().replace('_', "-"))
}

/// The flags in a help text, each with what is said of it; help itself is known.
fn described_flags(help: &str) -> Vec<(String, String)> {
    let mut flags: Vec<(String, String)> = Vec::new();
    for line in help.lines() {
        let (flag, _) = line.trim_start().split_once([' ', '[']).unwrap_or((line.trim_start(), ""));
        if flag.starts_with("--") {
            flags.push((flag.to_owned(), String::new()));
        } else if line.trim_start().starts_with("-h, --help") {
            break;
        }
        if let Some((_, text)) = flags.last_mut() {
            *text += line;
        }
    }
    let names: BTreeSet<_> = flags.iter().map(|(flag, _)| flag).collect();
    assert_eq!(names.len(), flags.len(), "a flag is described twice");
    flags
}
