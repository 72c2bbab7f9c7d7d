//! Announcements.

use pkg_ambient::Ambient;
use pkg_api::events::v1::event::Payload;
use pkg_api::events::v1::subscribe_response::Message;
use pkg_api::events::v1::{Announcement, CreateAnnouncementRequest, ListAnnouncementsRequest};
use pkg_auth::Role;
use tonic::{Code, Status};
use uuid::Uuid;

use super::world::{Client, World, error, failure};

fn news(title: &str, game: Option<Uuid>) -> CreateAnnouncementRequest {
    let game_id = game.map(|game| game.to_string()).unwrap_or_default();
    CreateAnnouncementRequest { title: title.to_owned(), game_id, ..CreateAnnouncementRequest::default() }
}

async fn create(client: &Client, request: CreateAnnouncementRequest) -> Result<Announcement, Status> {
    let created = client.events.clone().create_announcement(request).await?;
    Ok(created.into_inner().announcement.expect("the announcement"))
}

async fn list(client: &Client, game: Option<Uuid>, size: i32) -> Vec<Vec<String>> {
    let mut request = ListAnnouncementsRequest {
        game_id: game.map(|game| game.to_string()).unwrap_or_default(),
        page_size: size,
        page_token: String::new(),
    };
    let mut pages = Vec::new();
    loop {
        let page = client.events.clone().list_announcements(request.clone()).await.unwrap().into_inner();
        pages.push(page.announcements.into_iter().map(|announcement| announcement.title).collect());
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            return pages;
        }
    }
}

#[tokio::test]
async fn an_announcement_reaches_those_who_follow_and_is_listed() {
    let world = World::start().await;
    let (admin, player) = (world.client(Role::Admin).await, world.player().await);
    let of_game = format!("announcements/{}", world.game);
    let mut stream = player.try_subscribe(&[("announcements", ""), (&of_game, "")]).await.unwrap();
    for _ in 0..2 {
        assert!(matches!(stream.next().await, Message::Subscribed(_)));
    }
    for (title, game) in [("one", None), ("two", Some(world.game)), ("three", None)] {
        let created = create(&admin, news(title, game)).await.unwrap();
        let Message::Event(event) = stream.next().await else { panic!("an event") };
        assert!(!event.cursor.is_empty());
        assert_eq!(event.payload, Some(Payload::Announcement(created)));
    }
    assert_eq!(list(&player, Some(world.game), 2).await, [vec!["three", "two"], vec!["one"]]);
    assert_eq!(list(&player, None, 0).await, [["three", "one"]]);
}

#[tokio::test]
async fn a_repeated_call_is_told_once_and_another_one_refused() {
    let world = World::start().await;
    let (admin, player) = (world.client(Role::Admin).await, world.player().await);
    let mut stream = player.try_subscribe(&[("announcements", "")]).await.unwrap();
    assert!(matches!(stream.next().await, Message::Subscribed(_)));
    let request =
        CreateAnnouncementRequest { announcement_id: Ambient::system().id().to_string(), ..news("one", None) };
    let first = create(&admin, request.clone()).await.unwrap();
    assert_eq!(create(&admin, request.clone()).await.unwrap(), first);
    let other = CreateAnnouncementRequest { title: "other".to_owned(), ..request };
    assert_eq!(failure(create(&admin, other).await), error(Code::AlreadyExists, "ANNOUNCEMENT_ID_TAKEN"));
    create(&admin, news("two", None)).await.unwrap();
    for title in ["one", "two"] {
        let Message::Event(event) = stream.next().await else { panic!("an event") };
        let Some(Payload::Announcement(announcement)) = event.payload else { panic!("an announcement") };
        assert_eq!(announcement.title, title);
    }
}

#[tokio::test]
async fn who_may_not_and_what_is_not_valid_is_refused() {
    let world = World::start().await;
    let (admin, player) = (world.client(Role::Admin).await, world.player().await);
    let denied = error(Code::PermissionDenied, "ROLE_NOT_ALLOWED");
    assert_eq!(failure(create(&player, news("x", None)).await), denied);
    assert_eq!(failure(create(&world.client(Role::Server).await, news("x", None)).await), denied);
    let unknown = news("x", Some(Uuid::from_u128(1)));
    assert_eq!(failure(create(&admin, unknown).await), error(Code::NotFound, "GAME_NOT_FOUND"));
    let long = CreateAnnouncementRequest { text: "x".repeat(4_001), ..news("x", None) };
    let random = CreateAnnouncementRequest { announcement_id: Uuid::from_u128(4).to_string(), ..news("x", None) };
    let short = prost_types::Duration { seconds: 59, nanos: 0 };
    let short = CreateAnnouncementRequest { lifetime: Some(short), ..news("x", None) };
    for request in [news("", None), news(&"x".repeat(201), None), long, random, short] {
        assert_eq!(failure(create(&admin, request).await), error(Code::InvalidArgument, "INVALID_FIELD"));
    }
    let request = ListAnnouncementsRequest { page_token: "?".to_owned(), ..ListAnnouncementsRequest::default() };
    let listed = player.events.clone().list_announcements(request).await;
    assert_eq!(failure(listed), error(Code::InvalidArgument, "INVALID_FIELD"));
}
