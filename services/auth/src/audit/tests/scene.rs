//! What the calls of people, admins and game servers are recorded as.

use std::num::NonZeroU32;

use pkg_api::log::v1::{DeviceSessionEndReason as Ended, SignInMethod as Method, SignInRefusal as Refused};
use pkg_auth::{Argon2id, Issuer, JwkSet, RefreshSecrets, SigningKey, Verifier};
use pkg_db::SqlRevocations;
use pkg_middleware::{Quota, RevocationWatch};

use super::*;
use crate::account::{AccountRole, Email, Identifier, Username};
use crate::audit::{Actor, RequestId};
use crate::grpc::AuthApi;
use crate::limits::SignInQuotas;
use crate::moderation::BanReason;
use crate::ownership::Credential;
use crate::password::Password;
use crate::secret::SecretHash;
use crate::server_credential::ServerName;
use crate::sessions::{Origin, Owner};
use crate::sign_in::{DeviceSecret, Registration};
use crate::store::{SqlAccounts, SqlDeviceSessions};
use crate::tokens::{Lifetimes, Tokens};
use crate::{Deps, Parts, Settings};

/// The service on embedded stores, its tasks running.
struct Scene {
    log: Arc<dyn Log>,
    auth: AuthApi,
    _tasks: [Running; 2],
    _database: TestDatabase,
}

impl Scene {
    /// One in which each account may be tried so many times.
    async fn new(tries: u32) -> Self {
        let (database, ambient) = (pkg_db::testing::sqlite().await, Ambient::system());
        let log = log_in(&database);
        let key = SigningKey::generate([7; 32]);
        let deps = Deps {
            accounts: SqlAccounts::new(database.clone()),
            device_sessions: Arc::new(SqlDeviceSessions::new(database.clone())),
            log: log.clone(),
            revocations: RevocationWatch::new(Arc::new(SqlRevocations::new(database.clone())), ambient.clone()),
            verifier: Arc::new(Verifier::new(&JwkSet::new([key.public()]), "muster", "muster").unwrap()),
            issuer: Issuer::new(key, "muster", "muster"),
            refresh_secrets: RefreshSecrets::new([[7_u8; 32]]).unwrap(),
            stores: Vec::new(),
            ambient,
        };
        let many = Quota::per_second(NonZeroU32::new(1_000).unwrap(), NonZeroU32::new(1_000).unwrap());
        let per_account = Quota::every(Duration::from_hours(1), NonZeroU32::new(tries).unwrap());
        let settings = Settings {
            lifetimes: Lifetimes { access: Duration::from_mins(15), session: Duration::from_hours(1) },
            quotas: SignInQuotas { per_address: many, creations: many, per_account },
            hashing_threads: 1,
            hashing: Argon2id::with_params(8, 1, 1),
        };
        let Parts { auth, changes, sign_ins, .. } = Parts::of(deps, &settings);
        let tasks = [Running::start(|end| changes.run(end)), Running::start(|end| sign_ins.run(end))];
        Self { log, auth, _tasks: tasks, _database: database }
    }

    async fn register(&self, name: &str) -> (Uuid, Tokens) {
        let registration = Registration {
            username: Username::parse(name).unwrap(),
            email: Email::parse(&format!("{name}@example.com")).unwrap(),
            password: password("correct horse"),
            id: None,
        };
        let (account, tokens) = self.auth.sign_in.register(&registration, &origin()).await.unwrap();
        (account.id, tokens)
    }

    async fn log_in(&self, name: &str, text: &str) -> Option<Tokens> {
        let identifier = Identifier::parse(name).unwrap();
        let outcome = self.auth.sign_in.log_in(&identifier, &password(text), &origin()).await;
        outcome.ok().map(|(_, tokens)| tokens)
    }

    async fn log_in_with_device(&self, secret: &str) -> Option<(Uuid, Tokens)> {
        let secret = DeviceSecret(SecretHash::of(secret));
        let outcome = self.auth.sign_in.log_in_with_device(&secret, &origin()).await;
        outcome.ok().map(|(account, tokens, _)| (account.id, tokens))
    }

    /// What is recorded under a key, in short, once there are so many records in all. Changes of the account come first,
    /// as they have another way to the log.
    async fn recorded(&self, count: usize, key: &str) -> Vec<String> {
        let events = read(&*self.log, count).await.remove(key).unwrap_or_default();
        let (sign_ins, changes): (Vec<Event>, Vec<Event>) = events.into_iter().partition(|event| {
            matches!(event, Event::SignedIn(_) | Event::SignInRefused(_) | Event::DeviceSessionEnded(_))
        });
        changes.iter().chain(&sign_ins).map(in_short).collect()
    }
}

fn in_short(event: &Event) -> String {
    match event {
        Event::AccountDeleted(_) => "deleted".to_owned(),
        Event::AccountRegistered(event) => format!("registered, guest: {}", event.guest),
        Event::GuestUpgraded(_) => "upgraded".to_owned(),
        Event::PasswordChanged(event) => format!("password changed by {}", event.session_id),
        Event::UserBanned(event) => format!("banned by {}, for good: {}", event.actor_id, event.expire_time.is_none()),
        Event::UserUnbanned(event) => format!("unbanned by {}", event.actor_id),
        Event::RoleChanged(event) => {
            format!("role by {}: {:?} to {:?}", event.actor_id, event.old_role(), event.new_role())
        }
        Event::ServerCredentialCreated(event) => format!("created by {}", event.actor_id),
        Event::ServerCredentialDeleted(event) => format!("deleted by {}", event.actor_id),
        Event::SignedIn(event) if event.replaced_session_id.is_empty() => signed_in(event.method(), &event.session_id),
        Event::SignedIn(event) => {
            let signed_in = signed_in(event.method(), &event.session_id);
            format!("{signed_in} instead of {}", event.replaced_session_id)
        }
        Event::SignInRefused(event) => refused(event.method(), event.reason()),
        Event::DeviceSessionEnded(event) => ended(event.reason(), &event.session_id),
        other => panic!("unexpected {other:?}"),
    }
}

fn signed_in(method: Method, session: impl std::fmt::Display) -> String {
    format!("signed in by {method:?}: {session}")
}

fn refused(method: Method, reason: Refused) -> String {
    format!("refused by {method:?}: {reason:?}")
}

fn ended(reason: Ended, session: impl std::fmt::Display) -> String {
    format!("ended by {reason:?}: {session}")
}

fn password(text: &str) -> Password {
    Password::parse(text).unwrap()
}

fn request() -> RequestId {
    "a request".into()
}

fn origin() -> Origin {
    Origin { request: request(), ..Origin::default() }
}

fn owner(user: Uuid, tokens: &Tokens) -> Owner {
    Owner { user, session: tokens.session, address: None, request: request() }
}

fn admin() -> Actor {
    Actor { user: Uuid::from_u128(7), request: request() }
}

#[tokio::test]
async fn sign_ins_and_refusals() {
    let scene = Scene::new(100).await;
    let (user, first) = scene.register("neo").await;
    let second = scene.log_in("neo", "correct horse").await.unwrap();
    assert!(scene.log_in("neo", "wrong horse").await.is_none());
    assert!(scene.log_in("nobody", "wrong horse").await.is_none());
    scene.auth.moderation.ban(admin(), user, BanReason::parse("words").unwrap(), None).await.unwrap();
    assert!(scene.log_in("neo", "correct horse").await.is_none());

    let expected = [
        "registered, guest: false".to_owned(),
        format!("banned by {}, for good: true", admin().user),
        signed_in(Method::Registration, first.session),
        signed_in(Method::Password, second.session),
        refused(Method::Password, Refused::WrongCredential),
        ended(Ended::Banned, first.session),
        ended(Ended::Banned, second.session),
        refused(Method::Password, Refused::Banned),
    ];
    assert_eq!(scene.recorded(9, &user.to_string()).await, expected);
    assert_eq!(scene.recorded(9, "").await, [refused(Method::Password, Refused::UnknownUser)]);
}

#[tokio::test]
async fn too_many_tries() {
    let scene = Scene::new(1).await;
    let (guest, tokens) = scene.log_in_with_device("a device").await.unwrap();
    for _ in 0..3 {
        assert!(scene.log_in_with_device("a device").await.is_none());
    }
    assert!(scene.log_in("nobody", "wrong horse").await.is_none());
    let expected = ["registered, guest: true".to_owned(), signed_in(Method::Device, tokens.session)];
    assert_eq!(scene.recorded(4, &guest.to_string()).await, expected);
    let expected = [refused(Method::Device, Refused::RateLimited), refused(Method::Password, Refused::UnknownUser)];
    assert_eq!(scene.recorded(4, "").await, expected, "what comes too often is recorded once");
}

#[tokio::test]
async fn a_guest_from_the_first_sign_in_to_the_end() {
    let scene = Scene::new(100).await;
    let (guest, first) = scene.log_in_with_device("a device").await.unwrap();
    let (_, second) = scene.log_in_with_device("a device").await.unwrap();
    let (name, email) = (Username::parse("neo").unwrap(), Email::parse("neo@example.com").unwrap());
    let (old, new) = (password("correct horse"), password("better horse"));
    scene.auth.ownership.upgrade_guest(&owner(guest, &second), name, email, &old).await.unwrap();
    let third = scene.log_in("neo", "correct horse").await.unwrap();
    for _ in 0..2 {
        scene.auth.ownership.change_password(&owner(guest, &third), &old, &new).await.unwrap();
    }
    let credential = Credential::Password(new);
    for _ in 0..2 {
        scene.auth.ownership.delete(&owner(guest, &third), &credential).await.unwrap();
    }

    let expected = [
        "registered, guest: true".to_owned(),
        "upgraded".to_owned(),
        format!("password changed by {}", third.session),
        "deleted".to_owned(),
        signed_in(Method::Device, first.session),
        format!("{} instead of {}", signed_in(Method::Device, second.session), first.session),
        signed_in(Method::Password, third.session),
        ended(Ended::PasswordChanged, second.session),
        ended(Ended::AccountDeleted, third.session),
    ];
    assert_eq!(scene.recorded(expected.len(), &guest.to_string()).await, expected);
}

#[tokio::test]
async fn why_sessions_end() {
    let scene = Scene::new(100).await;
    let (user, first) = scene.register("neo").await;
    let mut opened = vec![first];
    for _ in 0..5 {
        opened.push(scene.log_in("neo", "correct horse").await.unwrap());
    }
    let [reused, kept, ended_by_other, other, logged_out, demoted] = opened.as_slice() else { unreachable!() };

    let successor = scene.auth.sessions.refresh(&reused.refresh, &origin()).await.unwrap();
    scene.auth.sessions.refresh(&successor.refresh, &origin()).await.unwrap();
    assert!(scene.auth.sessions.refresh(&reused.refresh, &origin()).await.is_err());
    scene.auth.sessions.log_out(&owner(user, logged_out)).await.unwrap();
    scene.auth.sessions.log_out(&owner(user, logged_out)).await.unwrap();
    scene.auth.sessions.end_any(&owner(user, kept), ended_by_other.session).await.unwrap();
    assert_eq!(scene.auth.sessions.end_others(&owner(user, demoted)).await.unwrap(), 2);
    for _ in 0..2 {
        scene.auth.moderation.set_role(admin(), user, AccountRole::Admin).await.unwrap();
        scene.auth.moderation.unban(admin(), user).await.unwrap();
    }

    let expected = [
        "registered, guest: false".to_owned(),
        format!("role by {}: Player to Admin", admin().user),
        ended(Ended::TokenReused, reused.session),
        ended(Ended::Logout, logged_out.session),
        ended(Ended::EndedByUser, ended_by_other.session),
        ended(Ended::EndedByUser, kept.session),
        ended(Ended::EndedByUser, other.session),
        ended(Ended::RoleChanged, demoted.session),
    ];
    let mut recorded = scene.recorded(expected.len() + opened.len(), &user.to_string()).await;
    recorded.retain(|line| !line.starts_with("signed in"));
    assert_eq!(recorded, expected);
}

#[tokio::test]
async fn game_servers_and_their_credentials() {
    let scene = Scene::new(100).await;
    let name = ServerName::parse("a server").unwrap();
    let (credential, secret) = scene.auth.servers.create(&admin(), name).await.unwrap();
    scene.auth.servers.issue_token(credential.id, &secret, &origin()).await.unwrap();
    assert!(scene.auth.servers.issue_token(credential.id, "wrong", &origin()).await.is_err());
    assert!(scene.auth.servers.issue_token(id(), &secret, &origin()).await.is_err());
    scene.auth.servers.delete(&admin(), credential.id).await.unwrap();
    assert!(scene.auth.servers.delete(&admin(), credential.id).await.is_err());

    let expected = [
        format!("created by {}", admin().user),
        format!("deleted by {}", admin().user),
        signed_in(Method::ServerCredential, ""),
        refused(Method::ServerCredential, Refused::WrongCredential),
    ];
    assert_eq!(scene.recorded(5, &credential.id.to_string()).await, expected);
    assert_eq!(scene.recorded(5, "").await, [refused(Method::ServerCredential, Refused::UnknownUser)]);
}
