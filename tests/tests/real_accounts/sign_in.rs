//! What an attacker learns and breaks at sign-in: nothing.

use std::sync::atomic::{AtomicBool, Ordering};

use futures::future::join_all;
use pkg_api::auth::v1::ValidateTokenRequest;
use system_tests::{Client, Deployment, random_text, refusal};
use tonic::Code;

/// How many sign in at once.
const FLOOD: usize = 64;

#[tokio::test]
async fn an_unknown_user_and_a_wrong_password_have_one_answer() {
    let deployment = Deployment::new().await;
    let replica = deployment.replica(&[]);
    let client = Client::of(replica.api());
    let known = client.register().await.user.unwrap();
    let guest = client.log_in_with_device(&random_text::<32>()).await.unwrap().user.unwrap();
    let wrong = client.log_in(&known.username, "not-the-password").await.unwrap_err();
    assert_eq!(refusal(&wrong), (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned()));

    for identifier in [known.email, guest.username, random_text::<8>(), format!("{}@example.com", random_text::<8>())] {
        let other = client.log_in(&identifier, "not-the-password").await.unwrap_err();
        assert_eq!(
            (other.code(), other.message(), other.details()),
            (wrong.code(), wrong.message(), wrong.details()),
            "{identifier}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_flood_of_logins_is_shed_while_other_calls_go_on() {
    let deployment = Deployment::new().await;
    let replica = deployment.unlimited_replica(&[]);
    let client = Client::of(replica.api());
    let registered = client.register().await;
    let (name, token) = (registered.user.unwrap().username, registered.tokens.unwrap().access_token);
    let is_over = AtomicBool::new(false);

    let flood = async {
        let attackers: Vec<_> = (0..FLOOD).map(|_| Client::of(replica.api())).collect();
        let tries = attackers.iter().map(|attacker| attacker.log_in(&name, "not-the-password"));
        let answers = join_all(tries).await;
        is_over.store(true, Ordering::SeqCst);
        answers
    };
    let others = async {
        let mut validated = 0;
        while !is_over.load(Ordering::SeqCst) {
            let request = ValidateTokenRequest { access_token: token.clone() };
            assert!(client.auth().validate_token(request).await.unwrap().into_inner().valid);
            validated += 1;
        }
        validated
    };
    let (answers, validated) = tokio::join!(flood, others);

    assert!(validated > 0);
    let refusals: Vec<_> = answers.into_iter().map(|answer| refusal(&answer.unwrap_err())).collect();
    let served = (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned());
    let shed = (Code::ResourceExhausted, "SIGN_IN_OVERLOADED".to_owned());
    assert!(refusals.contains(&served), "{refusals:?}");
    let others: Vec<_> = refusals.iter().filter(|refusal| **refusal != served && **refusal != shed).collect();
    assert!(others.is_empty(), "{others:?}");
}
