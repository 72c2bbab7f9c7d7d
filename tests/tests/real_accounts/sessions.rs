//! What ends a session at one replica ends it at the other.

use pkg_api::auth::v1::{
    BanUserRequest, ChangePasswordRequest, CreateServerCredentialRequest, DeleteAccountRequest,
    DeleteServerCredentialRequest, EndDeviceSessionRequest, EndOtherDeviceSessionsRequest, IssueServerTokenRequest,
    ListDeviceSessionsRequest, LogoutRequest, Role, SetRoleRequest, Tokens, UnbanUserRequest,
    delete_account_request::Credential,
};
use pkg_api::player::v1::FindPlayerRequest;
use system_tests::{Client, Deployment, Muster, PASSWORD, bearer, eventually, random_text, refusal};
use tonic::Code;

/// Two replicas, and somebody who is signed in.
struct Scene {
    deployment: Deployment,
    first: Client,
    second: Client,
    user: String,
    username: String,
    tokens: Tokens,
    _replicas: [Muster; 2],
}

impl Scene {
    async fn set() -> Self {
        let deployment = Deployment::new().await;
        let replicas = [deployment.replica(&[]), deployment.replica(&[])];
        let [first, second] = replicas.each_ref().map(|replica| Client::of(replica.api()));
        let registered = first.register().await;
        let (user, tokens) = (registered.user.unwrap(), registered.tokens.unwrap());
        second.use_token(&tokens.access_token).await.unwrap();
        let (user, username) = (user.user_id, user.username);
        Self { deployment, first, second, user, username, tokens, _replicas: replicas }
    }

    /// Both tokens of a session are refused by both replicas.
    async fn assert_ended(&self, tokens: &Tokens) {
        for replica in [&self.second, &self.first] {
            replica.wait_until_revoked(&tokens.access_token).await;
            let refused = replica.refresh(&tokens.refresh_token).await.unwrap_err();
            assert_eq!(refusal(&refused), (Code::Unauthenticated, "REFRESH_TOKEN_INVALID".to_owned()));
        }
    }
}

#[tokio::test]
async fn an_account_made_at_one_replica_is_whole_at_the_other() {
    let scene = Scene::set().await;
    let tokens = scene.second.log_in(&scene.username.to_uppercase(), PASSWORD).await.unwrap();
    let tokens = scene.first.refresh(&tokens.refresh_token).await.unwrap();
    let tokens = scene.second.refresh(&tokens.refresh_token).await.unwrap();
    scene.first.use_token(&tokens.access_token).await.unwrap();
    let list = bearer(ListDeviceSessionsRequest {}, &tokens.access_token);
    assert_eq!(scene.first.auth().list_device_sessions(list).await.unwrap().into_inner().sessions.len(), 2);
}

#[tokio::test]
async fn a_logout_ends_the_session_and_no_other() {
    let scene = Scene::set().await;
    let other = scene.second.log_in(&scene.username, PASSWORD).await.unwrap();
    scene.first.auth().logout(bearer(LogoutRequest {}, &scene.tokens.access_token)).await.unwrap();
    scene.assert_ended(&scene.tokens).await;
    scene.first.use_token(&other.access_token).await.unwrap();
}

#[tokio::test]
async fn a_ban_ends_all_sessions_and_keeps_new_ones_from_being_opened() {
    let scene = Scene::set().await;
    let secret = random_text::<32>();
    let guest = scene.second.log_in_with_device(&secret).await.unwrap();
    let admin = scene.deployment.admin_token();
    for user_id in [scene.user.clone(), guest.user.unwrap().user_id] {
        let ban = BanUserRequest { user_id, reason: "cheating".to_owned(), duration: None };
        scene.first.auth().ban_user(bearer(ban, &admin)).await.unwrap();
    }

    let banned = (Code::PermissionDenied, "ACCOUNT_BANNED".to_owned());
    for tokens in [&scene.tokens, &guest.tokens.unwrap()] {
        scene.second.wait_until_revoked(&tokens.access_token).await;
        assert_eq!(refusal(&scene.second.refresh(&tokens.refresh_token).await.unwrap_err()), banned);
    }
    assert_eq!(refusal(&scene.second.log_in(&scene.username, PASSWORD).await.unwrap_err()), banned);
    assert_eq!(refusal(&scene.second.log_in_with_device(&secret).await.unwrap_err()), banned);

    let unban = UnbanUserRequest { user_id: scene.user.clone() };
    scene.second.auth().unban_user(bearer(unban, &admin)).await.unwrap();
    let tokens = scene.first.log_in(&scene.username, PASSWORD).await.unwrap();
    scene.second.use_token(&tokens.access_token).await.unwrap();
    scene.assert_ended(&scene.tokens).await;
}

#[tokio::test]
async fn a_new_password_ends_the_other_sessions() {
    const NEW_PASSWORD: &str = "battery-staple-8";
    let scene = Scene::set().await;
    let other = scene.second.log_in(&scene.username, PASSWORD).await.unwrap();
    let change = ChangePasswordRequest { current_password: PASSWORD.to_owned(), new_password: NEW_PASSWORD.to_owned() };
    scene.first.auth().change_password(bearer(change, &scene.tokens.access_token)).await.unwrap();

    scene.assert_ended(&other).await;
    scene.second.use_token(&scene.tokens.access_token).await.unwrap();
    scene.second.refresh(&scene.tokens.refresh_token).await.unwrap();
    let refused = scene.second.log_in(&scene.username, PASSWORD).await.unwrap_err();
    assert_eq!(refusal(&refused), (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned()));
    scene.second.log_in(&scene.username, NEW_PASSWORD).await.unwrap();
}

#[tokio::test]
async fn the_other_sessions_can_be_ended_one_or_all() {
    let scene = Scene::set().await;
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(scene.second.log_in(&scene.username, PASSWORD).await.unwrap());
    }
    let token = &scene.tokens.access_token;
    let end = EndDeviceSessionRequest { session_id: others[0].session_id.clone() };
    scene.first.auth().end_device_session(bearer(end, token)).await.unwrap();
    scene.assert_ended(&others[0]).await;
    scene.second.use_token(&others[1].access_token).await.unwrap();

    let end = bearer(EndOtherDeviceSessionsRequest {}, token);
    let ended = scene.first.auth().end_other_device_sessions(end).await.unwrap().into_inner();
    assert_eq!(ended.ended_count, 2);
    scene.assert_ended(&others[1]).await;
    scene.assert_ended(&others[2]).await;
    scene.second.use_token(token).await.unwrap();
}

#[tokio::test]
async fn a_device_that_signs_in_again_replaces_its_session() {
    let scene = Scene::set().await;
    let secret = random_text::<32>();
    let before = scene.first.log_in_with_device(&secret).await.unwrap();
    let after = scene.second.log_in_with_device(&secret).await.unwrap();
    assert!(before.created && !after.created);
    scene.assert_ended(&before.tokens.unwrap()).await;
    scene.first.use_token(&after.tokens.unwrap().access_token).await.unwrap();
}

#[tokio::test]
async fn a_new_role_ends_the_sessions_that_have_the_old_one() {
    let scene = Scene::set().await;
    let admin = scene.deployment.admin_token();
    let promotion = SetRoleRequest { user_id: scene.user.clone(), role: Role::Admin.into() };
    scene.first.auth().set_role(bearer(promotion, &admin)).await.unwrap();
    scene.assert_ended(&scene.tokens).await;

    let tokens = scene.second.log_in(&scene.username, PASSWORD).await.unwrap();
    let demotion = SetRoleRequest { user_id: scene.user.clone(), role: Role::Player.into() };
    scene.second.auth().set_role(bearer(demotion, &tokens.access_token)).await.unwrap();
    scene.assert_ended(&tokens).await;
}

#[tokio::test]
async fn a_deleted_account_is_gone_everywhere() {
    let scene = Scene::set().await;
    let deletion = DeleteAccountRequest { credential: Some(Credential::Password(PASSWORD.to_owned())) };
    scene.first.auth().delete_account(bearer(deletion, &scene.tokens.access_token)).await.unwrap();

    scene.assert_ended(&scene.tokens).await;
    let refused = scene.second.log_in(&scene.username, PASSWORD).await.unwrap_err();
    assert_eq!(refusal(&refused), (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned()));
    let guest = scene.second.new_guest().await;
    let find = bearer(FindPlayerRequest { username: scene.username.clone() }, &guest.access_token);
    let refused = scene.second.player().find_player(find).await.unwrap_err();
    assert_eq!(refusal(&refused), (Code::NotFound, "PLAYER_NOT_FOUND".to_owned()));
}

#[tokio::test]
async fn a_game_server_loses_its_token_with_its_credential() {
    let scene = Scene::set().await;
    let admin = scene.deployment.admin_token();
    let creation = CreateServerCredentialRequest { name: "fra-1".to_owned() };
    let created = scene.first.auth().create_server_credential(bearer(creation, &admin)).await.unwrap().into_inner();
    let credential_id = created.credential.unwrap().credential_id;
    let exchange = IssueServerTokenRequest { credential_id: credential_id.clone(), secret: created.secret };
    let token = scene.second.auth().issue_server_token(exchange.clone()).await.unwrap().into_inner().access_token;
    let find = || bearer(FindPlayerRequest { username: scene.username.clone() }, &token);
    scene.second.player().find_player(find()).await.unwrap();

    let deletion = bearer(DeleteServerCredentialRequest { credential_id }, &admin);
    scene.first.auth().delete_server_credential(deletion).await.unwrap();

    let refused = eventually("the token is refused", async || scene.second.player().find_player(find()).await.err());
    assert_eq!(refusal(&refused.await), (Code::Unauthenticated, "TOKEN_REVOKED".to_owned()));
    let refused = scene.second.auth().issue_server_token(exchange).await.unwrap_err();
    assert_eq!(refusal(&refused), (Code::Unauthenticated, "CREDENTIALS_INVALID".to_owned()));
}
