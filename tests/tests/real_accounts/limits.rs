//! How often an address and an account may try.

use pkg_api::auth::v1::RefreshTokenRequest;
use system_tests::{Client, Deployment, PASSWORD, random_text, refusal, with_forwarded_for};
use tonic::{Code, Status};

/// Few at once, and one per second: the calls of a test come faster.
const FEW: [&str; 4] = ["--address-burst", "3", "--address-rate", "1"];
/// So many calls in a row pass any such limit, unless they are not counted together.
const MANY: u8 = 100;

#[tokio::test]
async fn a_made_up_forwarded_for_does_not_pass_the_limit_of_an_address() {
    let deployment = Deployment::new().await;
    let replica = deployment.replica(&[&FEW[..], &["--trusted-hops", "0"]].concat());
    let client = Client::of(replica.api());
    let refused = first_limited(&client, |n| format!("198.51.100.{n}")).await.expect("the peer's limit is reached");
    assert!(tonic_types::StatusExt::get_details_retry_info(&refused).is_some_and(|info| info.retry_delay.is_some()));
}

#[tokio::test]
async fn behind_a_trusted_proxy_the_last_entry_counts_and_no_other() {
    let deployment = Deployment::new().await;
    let replica = deployment.replica(&[&FEW[..], &["--trusted-hops", "1"]].concat());
    let client = Client::of(replica.api());
    let others = first_limited(&client, |n| format!("192.0.2.1, 198.51.100.{n}")).await;
    assert!(others.is_none(), "{others:?}");
    let forged = first_limited(&client, |n| format!("198.51.100.{n}, 192.0.2.1")).await;
    assert!(forged.is_some(), "the limit of 192.0.2.1 is reached");
}

#[tokio::test]
async fn an_account_s_limit_is_the_same_whether_it_exists_or_not() {
    const BURST: usize = 3;
    let deployment = Deployment::new().await;
    let replica = deployment.replica(&["--account-burst", "3", "--account-rate", "1"]);
    let client = Client::of(replica.api());
    let known = client.register().await.user.unwrap().username;
    let unknown = format!("nobody_{}", random_text::<6>());

    for name in [&known, &unknown] {
        for _ in 0..BURST {
            let refused = client.log_in(name, "not-the-password").await.unwrap_err();
            assert_eq!(refusal(&refused), (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned()), "{name}");
        }
        for tried in [name.clone(), name.to_uppercase()] {
            let refused = client.log_in(&tried, PASSWORD).await.unwrap_err();
            assert_eq!(refusal(&refused), (Code::ResourceExhausted, "RATE_LIMITED".to_owned()), "{name}");
        }
    }
    client.new_guest().await;
}

/// The first of many calls that is refused for its address, if one is; a refresh costs the server nothing else.
async fn first_limited(client: &Client, forwarded_for: impl Fn(u8) -> String) -> Option<Status> {
    for n in 0..MANY {
        let request = RefreshTokenRequest { refresh_token: "nonsense".to_owned() };
        let request = with_forwarded_for(request, &forwarded_for(n));
        let refused = client.auth().refresh_token(request).await.unwrap_err();
        if refused.code() == Code::ResourceExhausted {
            assert_eq!(refusal(&refused).1, "RATE_LIMITED");
            return Some(refused);
        }
        assert_eq!(refusal(&refused), (Code::Unauthenticated, "REFRESH_TOKEN_INVALID".to_owned()));
    }
    None
}
