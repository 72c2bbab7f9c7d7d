//! Three Redis masters do as well as one.

use pkg_api::events::v1::event::Payload;
use pkg_api::events::v1::subscribe_response::Message;
use pkg_api::game::v1::{
    CreateEntityRequest, FinishSessionRequest, NewEntity, PlayerResult, SessionResults, SessionState,
    StartSessionRequest,
};
use pkg_auth::Role;
use pkg_redis::testing::CLUSTER_VARIABLE;
use system_tests::{Client, Deployment, Follower, bearer, game_event, test_variable};

use crate::system::{generous, topic_of};

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_played_over_two_replicas_on_a_cluster() {
    let deployment = Deployment::with_redis(test_variable(CLUSTER_VARIABLE)).await;
    let replicas = [deployment.game_replica(&[]), deployment.game_replica(&[])];
    let [here, there] = replicas.each_ref().map(|replica| Client::of(replica.api()));
    let signer = deployment.signer();
    let (owner, other) = (signer.sign_in(Role::Player), signer.sign_in(Role::Player));
    let game = here.create_game(&deployment.admin_token(), generous()).await;

    // Several, so that they lie on all masters.
    for _ in 0..6 {
        let created = here.create_session(&owner, &game).await;
        let session = created.session.unwrap().session_id;
        there.join_session(&other, &session).await.unwrap();
        let mut follower = Follower::of(&there, &other, &topic_of(&session), &created.cursor).await.unwrap();
        let entity = NewEntity { r#type: "crate".to_owned(), ..NewEntity::default() };
        let request = CreateEntityRequest { session_id: session.clone(), entity: Some(entity) };
        here.entities().create_entity(bearer(request, &owner.token)).await.unwrap();
        let request = StartSessionRequest { session_id: session.clone() };
        here.sessions().start_session(bearer(request, &owner.token)).await.unwrap();
        for number in 0..100 {
            here.publish(&owner, &session, vec![game_event(number.to_string())]).await.unwrap();
        }
        for number in 0..100 {
            assert_eq!(follower.next_data().await, number.to_string().into_bytes());
        }
        let result = PlayerResult { player_id: owner.id.clone(), placement: 1, ..PlayerResult::default() };
        let results = SessionResults { players: vec![result], ..SessionResults::default() };
        let request = FinishSessionRequest { session_id: session.clone(), results: Some(results) };
        here.sessions().finish_session(bearer(request, &owner.token)).await.unwrap();
        let ended = |payload: &Payload| matches!(payload, Payload::SessionFinished(_));
        while !ended(&follower.next_payload().await) {}
        assert!(matches!(follower.next().await, Ok(Some(Message::TopicClosed(_)))));
        assert_eq!(there.get_session(&other, &session).await.unwrap().state(), SessionState::Finished);
    }
}
