//! Nothing that is secret is logged.

use pkg_api::auth::v1::{ChangePasswordRequest, CreateServerCredentialRequest, IssueServerTokenRequest};
use system_tests::{Client, Deployment, PASSWORD, bearer, random_text, run_muster};
use url::Url;

#[tokio::test(flavor = "multi_thread")]
async fn no_secret_is_in_the_logs_of_a_replica() {
    let deployment = Deployment::new().await;
    let replica = deployment.unlimited_replica(&["--log", "debug"]);
    let client = Client::of(replica.api());
    let registered = client.register().await;
    let (user, tokens) = (registered.user.unwrap(), registered.tokens.unwrap());
    let [typo, new_password] = [random_text::<8>(), random_text::<8>()];
    client.log_in(&user.username, &typo).await.unwrap_err();
    let refreshed = client.refresh(&tokens.refresh_token).await.unwrap();
    let change = ChangePasswordRequest { current_password: PASSWORD.to_owned(), new_password: new_password.clone() };
    client.auth().change_password(bearer(change, &refreshed.access_token)).await.unwrap();
    let device_secret = random_text::<32>();
    let guest = client.log_in_with_device(&device_secret).await.unwrap().tokens.unwrap();
    let admin = deployment.admin_token();
    let creation = bearer(CreateServerCredentialRequest { name: "fra-1".to_owned() }, &admin);
    let created = client.auth().create_server_credential(creation).await.unwrap().into_inner();
    let credential_id = created.credential.unwrap().credential_id;
    let exchange = IssueServerTokenRequest { credential_id, secret: created.secret.clone() };
    let server = client.auth().issue_server_token(exchange).await.unwrap().into_inner();
    // Refused tokens are what a log might show.
    client.use_token(&format!("{}x", guest.access_token)).await.unwrap_err();
    client.refresh(&format!("{}x", guest.refresh_token)).await.unwrap_err();

    replica.terminate();
    let finished = replica.finish();
    let log = finished.stdout + &finished.stderr;
    assert!(log.contains(&user.user_id), "the calls are logged");
    let mut secrets = vec![
        PASSWORD.to_owned(),
        typo,
        new_password,
        device_secret,
        created.secret,
        admin,
        server.access_token,
        tokens.access_token,
        tokens.refresh_token,
        refreshed.access_token,
        refreshed.refresh_token,
        guest.access_token,
        guest.refresh_token,
        user.email,
    ];
    for (name, value) in deployment.environment() {
        match name {
            "MUSTER_POSTGRES_URL" | "MUSTER_REDIS_URL" => {
                secrets.extend(Url::parse(&value).unwrap().password().map(str::to_owned));
            }
            "MUSTER_REFRESH_SECRETS" => secrets.push(value),
            _ => {}
        }
    }
    for secret in secrets {
        let line = log.lines().find(|line| line.contains(&secret));
        assert_eq!(line, None, "{secret} is logged");
    }
}

#[tokio::test]
async fn a_start_that_fails_for_a_store_names_it_and_shows_no_password() {
    let deployment = Deployment::new().await;
    let secret = random_text::<8>();
    let with = |name: &'static str, value: String| {
        let mut environment = deployment.environment();
        environment.retain(|(given, _)| *given != name);
        environment.push((name, value));
        environment.extend([
            ("MUSTER_LISTEN", "127.0.0.1:0".to_owned()),
            ("MUSTER_ADMIN_LISTEN", "127.0.0.1:0".to_owned()),
            ("MUSTER_LOG", "debug".to_owned()),
        ]);
        environment
    };
    let redis = |url: String| with("MUSTER_REDIS_URL", url);
    let mut wrong_password = Url::parse(&deployment.environment()[0].1).unwrap();
    wrong_password.set_password(Some(&secret)).unwrap();
    let starts = [
        ("127.0.0.1:1", redis(format!("redis://default:{secret}@127.0.0.1:1/0"))),
        ("MUSTER_REDIS_URL", redis(format!("redis://default:{secret}@127.0.0.1:port/0"))),
        ("MUSTER_REDIS_URL", redis(format!("http://default:{secret}@127.0.0.1:1/0"))),
        ("MUSTER_REDIS_URL", redis(secret.clone())),
        ("127.0.0.1", with("MUSTER_POSTGRES_URL", wrong_password.into())),
    ];
    let mut unnamed = Vec::new();
    for (name, environment) in starts {
        let finished = run_muster(&["auth"], &environment);
        assert!(!finished.status.success(), "{finished:?}");
        let output = finished.stdout + &finished.stderr;
        assert!(!output.contains(&secret), "{output}");
        let said = output.lines().last().unwrap_or_default().to_owned();
        unnamed.extend((!said.contains(name)).then(|| format!("{name} is not named: {said}")));
    }
    assert!(unnamed.is_empty(), "{unnamed:#?}");
}
