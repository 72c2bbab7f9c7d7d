//! What every adapter promises. Each function is one promise; at the end they run against each adapter.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::{Ambient, ManualClock};
use pkg_api::auth::v1::Role;
use pkg_api::log::v1::{self as log, record::Event};
use time::OffsetDateTime;
use uuid::Uuid;

use super::*;
use crate::audit::timestamp;
use crate::device_session::{Device, DeviceSession};
use crate::profile::{AvatarUrl, DisplayName, Edit, Locale};
use crate::server_credential::ServerName;

const ADMIN: Uuid = Uuid::from_u128(7);
const SESSION: Uuid = Uuid::from_u128(8);

fn ambient() -> Ambient {
    Ambient::system()
}

fn occasion() -> Occasion {
    Occasion::now(&ambient(), &"a request".into())
}

/// A time without what the stores do not keep.
fn now() -> OffsetDateTime {
    Ambient::with_clock(ManualClock::new()).now()
}

fn new_account(name: &str) -> NewAccount {
    NewAccount {
        id: ambient().id(),
        username: Username::parse(name).unwrap(),
        email: Some(Email::parse(&format!("{name}@example.com")).unwrap()),
        password_hash: Some("$hash".to_owned()),
        registration_id: Some(ambient().id()),
        created_at: now(),
    }
}

fn new_guest() -> NewAccount {
    let username = Username::for_guest(ambient().random());
    NewAccount { username, email: None, password_hash: None, registration_id: None, ..new_account("unused") }
}

async fn an_account_is_found_by_all_its_names(store: &dyn AccountStore) {
    let new = new_account("Neo");
    let created = store.create(&new, &occasion()).await.unwrap();
    assert_eq!(created.username, new.username);
    assert_eq!(created.email, new.email);
    assert_eq!(created.created_at, new.created_at);
    assert_eq!(created.role, AccountRole::Player);
    assert!(!created.is_guest());

    let by = async |text| store.account_by_identifier(&Identifier::parse(text).unwrap()).await.unwrap();
    assert_eq!(store.account(new.id).await.unwrap().as_ref(), Some(&created));
    assert_eq!(by("nEO").await.as_ref(), Some(&created));
    assert_eq!(by("NEO@example.COM").await.as_ref(), Some(&created));
    assert_eq!(by("trinity").await, None);
    assert_eq!(store.account_by_registration(new.registration_id.unwrap()).await.unwrap(), Some(created));
}

async fn names_are_unique_without_regard_to_case(store: &dyn AccountStore) {
    let first = new_account("Morpheus");
    store.create(&first, &occasion()).await.unwrap();

    let same_name = NewAccount { email: None, registration_id: None, ..new_account("morpheus") };
    assert!(matches!(store.create(&same_name, &occasion()).await, Err(ClaimError::UsernameTaken)));
    let same_email = NewAccount { email: Some(Email::parse("MORPHEUS@example.com").unwrap()), ..new_account("other") };
    assert!(matches!(store.create(&same_email, &occasion()).await, Err(ClaimError::EmailTaken)));
    let same_registration = NewAccount { registration_id: first.registration_id, ..new_account("another") };
    assert!(matches!(store.create(&same_registration, &occasion()).await, Err(ClaimError::RegistrationUsed)));
}

async fn a_device_has_one_account_however_often_it_asks(store: &dyn AccountStore) {
    let device = SecretHash::of("device one");
    let (first, created) = store.create_guest(&new_guest(), &device, &occasion()).await.unwrap();
    assert!(created && first.is_guest());

    let (second, created) = store.create_guest(&new_guest(), &device, &occasion()).await.unwrap();
    assert!(!created);
    assert_eq!(second, first);
    assert_eq!(store.account_by_device(&device).await.unwrap(), Some(first));
    assert_eq!(store.account_by_device(&SecretHash::of("unknown")).await.unwrap(), None);
}

async fn a_guest_is_upgraded_once_and_keeps_id_and_device(store: &dyn AccountStore) {
    let device = SecretHash::of("device two");
    let (guest, _) = store.create_guest(&new_guest(), &device, &occasion()).await.unwrap();
    let taken = store.create(&new_account("Tank"), &occasion()).await.unwrap();
    let upgrade = |name: &str| Upgrade {
        username: Username::parse(name).unwrap(),
        email: Email::parse(&format!("{name}-new@example.com")).unwrap(),
        password_hash: "$new".to_owned(),
    };

    assert!(matches!(
        store.upgrade_guest(guest.id, &upgrade("TANK"), &occasion()).await,
        Err(ClaimError::UsernameTaken)
    ));
    let upgraded = store.upgrade_guest(guest.id, &upgrade("Dozer"), &occasion()).await.unwrap().unwrap();
    assert_eq!(upgraded.id, guest.id);
    assert!(!upgraded.is_guest());
    assert_eq!(store.account_by_device(&device).await.unwrap(), Some(upgraded));
    assert!(store.upgrade_guest(guest.id, &upgrade("Dozer2"), &occasion()).await.unwrap().is_none());
    assert!(store.upgrade_guest(taken.id, &upgrade("Tank2"), &occasion()).await.unwrap().is_none());
}

async fn a_password_changes_only_from_the_one_expected(store: &dyn AccountStore) {
    let account = store.create(&new_account("Switch"), &occasion()).await.unwrap();
    let from = |old: &str| PasswordChange { old: old.to_owned(), new: "$new".to_owned(), session: SESSION };
    assert_eq!(store.change_password(account.id, &from("$wrong"), &occasion()).await.unwrap(), None);
    let epoch = store.change_password(account.id, &from("$hash"), &occasion()).await.unwrap().unwrap();
    assert!(epoch > account.epoch);

    store.rehash_password(account.id, "$hash", "$late").await.unwrap();
    store.rehash_password(account.id, "$new", "$rehashed").await.unwrap();
    let changed = store.account(account.id).await.unwrap().unwrap();
    assert_eq!(changed.password_hash.as_deref(), Some("$rehashed"));
    assert_eq!(changed.epoch, epoch, "a rehash ends no session");
}

async fn a_ban_begins_an_epoch_and_can_be_lifted(store: &dyn AccountStore) {
    let account = store.create(&new_account("Cypher"), &occasion()).await.unwrap();
    let ban = Ban { reason: "betrayal".to_owned(), until: Some(now() + Duration::from_mins(1)) };
    let epoch = store.set_ban(account.id, Some(&ban), ADMIN, &occasion()).await.unwrap().unwrap();
    assert!(epoch > account.epoch);
    assert_eq!(store.account(account.id).await.unwrap().unwrap().ban, Some(ban));

    let for_good = Ban { reason: "again".to_owned(), until: None };
    let epoch = store.set_ban(account.id, Some(&for_good), ADMIN, &occasion()).await.unwrap().unwrap();
    let repeated = store.set_ban(account.id, Some(&for_good), ADMIN, &occasion()).await.unwrap();
    assert_eq!(repeated, Some(epoch), "it was there already");
    assert_eq!(store.account(account.id).await.unwrap().unwrap().ban, Some(for_good));

    store.set_ban(account.id, None, ADMIN, &occasion()).await.unwrap().unwrap();
    assert_eq!(store.account(account.id).await.unwrap().unwrap().ban, None);
    assert_eq!(store.set_ban(ambient().id(), None, ADMIN, &occasion()).await.unwrap(), None);
}

async fn a_role_begins_an_epoch(store: &dyn AccountStore) {
    let account = store.create(&new_account("Oracle"), &occasion()).await.unwrap();
    let epoch = store.set_role(account.id, AccountRole::Admin, ADMIN, &occasion()).await.unwrap().unwrap();
    let changed = store.account(account.id).await.unwrap().unwrap();
    assert_eq!((changed.role, changed.epoch), (AccountRole::Admin, epoch));
    assert!(epoch > account.epoch);
    let repeated = store.set_role(account.id, AccountRole::Admin, ADMIN, &occasion()).await.unwrap();
    assert_eq!(repeated, Some(epoch), "it was theirs already");
    assert_eq!(store.set_role(ambient().id(), AccountRole::Admin, ADMIN, &occasion()).await.unwrap(), None);
}

async fn a_deleted_account_leaves_its_names_and_devices_free(store: &dyn AccountStore) {
    let device = SecretHash::of("device three");
    let (guest, _) = store.create_guest(&new_guest(), &device, &occasion()).await.unwrap();
    assert!(store.delete(guest.id, &occasion()).await.unwrap());
    assert!(!store.delete(guest.id, &occasion()).await.unwrap());
    assert_eq!(store.account_by_device(&device).await.unwrap(), None);
    assert!(store.create_guest(&new_guest(), &device, &occasion()).await.unwrap().1);

    let account = store.create(&new_account("Mouse"), &occasion()).await.unwrap();
    assert!(store.delete(account.id, &occasion()).await.unwrap());
    store.create(&new_account("mouse"), &occasion()).await.unwrap();
}

async fn a_profile_changes_field_by_field(accounts: &dyn AccountStore, profiles: &dyn ProfileStore) {
    let id = accounts.create(&new_account("Apoc"), &occasion()).await.unwrap().id;
    let fresh = profiles.profile(id).await.unwrap().unwrap();
    assert_eq!((fresh.display_name, fresh.avatar_url, fresh.locale), (None, None, None));

    let all = ProfileChange {
        display_name: Some(DisplayName::parse("Apoc!").unwrap()),
        avatar_url: AvatarUrl::parse("https://example.com/a.png").unwrap().into(),
        locale: Locale::parse("pt-BR").unwrap().into(),
        expected_version: Some(fresh.version),
    };
    let ProfileChanged::Done(changed) = profiles.change_profile(id, &all).await.unwrap() else { panic!("not changed") };
    assert_eq!(changed.display_name, all.display_name);
    assert_eq!(changed.avatar_url.as_ref(), all.avatar_url.value());
    assert_eq!(changed.locale.as_ref(), all.locale.value());
    assert!(changed.version > fresh.version);

    assert_eq!(profiles.change_profile(id, &all).await.unwrap(), ProfileChanged::Conflict);
    assert_eq!(profiles.change_profile(ambient().id(), &all).await.unwrap(), ProfileChanged::NotFound);

    let cleared = ProfileChange { avatar_url: Edit::Clear, ..ProfileChange::default() };
    let ProfileChanged::Done(cleared) = profiles.change_profile(id, &cleared).await.unwrap() else {
        panic!("conflict")
    };
    assert_eq!(cleared.avatar_url, None);
    assert_eq!((&cleared.display_name, &cleared.locale), (&changed.display_name, &changed.locale));
    assert_eq!(profiles.profile_by_username("apoc").await.unwrap(), Some(cleared));
}

async fn profiles_are_found_in_batches(accounts: &dyn AccountStore, profiles: &dyn ProfileStore) {
    let one = accounts.create(&new_account("Ghost"), &occasion()).await.unwrap().id;
    let two = accounts.create(&new_account("Sparks"), &occasion()).await.unwrap().id;
    let found = profiles.profiles(&[two, ambient().id(), one, two]).await.unwrap();
    let found: BTreeSet<Uuid> = found.iter().map(|profile| profile.id).collect();
    assert_eq!(found, BTreeSet::from([one, two]));
}

async fn server_credentials_are_listed_by_age_and_limited(store: &dyn ServerCredentialStore) {
    let secret = SecretHash::of("secret");
    let mut created = Vec::new();
    for number in 0..3 {
        let name = ServerName::parse(&format!("server {number}")).unwrap();
        let id = Uuid::from_u128(number + 1);
        let credential = ServerCredential { id, name, created_at: now() };
        assert!(store.add_credential(&credential, &secret, 3, ADMIN, &occasion()).await.unwrap());
        created.push(credential);
    }
    let one_too_many = ServerCredential { id: ambient().id(), ..created[0].clone() };
    assert!(!store.add_credential(&one_too_many, &secret, 3, ADMIN, &occasion()).await.unwrap());

    assert_eq!(store.credentials(None, 2).await.unwrap(), created[..2]);
    assert_eq!(store.credentials(Some(created[1].id), 2).await.unwrap(), created[2..]);
    assert_eq!(store.credential_secret(created[0].id).await.unwrap(), Some(secret));
    assert!(store.delete_credential(created[0].id, ADMIN, &occasion()).await.unwrap());
    assert!(!store.delete_credential(created[0].id, ADMIN, &occasion()).await.unwrap());
    assert_eq!(store.credential_secret(created[0].id).await.unwrap(), None);
}

/// Empties the outbox and tells what it had under a key, oldest first.
async fn recorded(store: &SqlAccounts, key: Uuid) -> Vec<Event> {
    let taken = store.take(10_000).await.unwrap().expect("nobody else has a claim");
    let ids: Vec<Uuid> = taken.rows.iter().map(|row| row.record_id).collect();
    let records = taken.rows.into_iter().map(|row| {
        let record = row.record.unwrap();
        assert_eq!(record.record_id, row.record_id.to_string());
        assert_eq!(record.request_id, "a request");
        record
    });
    let of_key = records.filter(|record| record.key == key.to_string());
    let events = of_key.map(|record| record.event.expect("it has a kind")).collect();
    taken.claim.delete(&ids).await.unwrap();
    assert_eq!(store.waiting(10).await.unwrap(), 0);
    events
}

async fn each_change_of_an_account_is_recorded_once(store: &SqlAccounts) {
    let (device, other) = (SecretHash::of("device four"), SecretHash::of("device five"));
    let guest = new_guest();
    store.create_guest(&guest, &device, &occasion()).await.unwrap();
    store.create_guest(&new_guest(), &device, &occasion()).await.unwrap();
    let (user_id, actor_id) = (guest.id.to_string(), ADMIN.to_string());
    let registered = Event::AccountRegistered(log::AccountRegistered { user_id: user_id.clone(), guest: true });
    assert_eq!(store.waiting(10).await.unwrap(), 1, "the device's second sign-in created nothing");
    assert_eq!(recorded(store, guest.id).await, [registered]);

    let upgrade = Upgrade {
        username: Username::parse("Niobe").unwrap(),
        email: Email::parse("niobe@example.com").unwrap(),
        password_hash: "$hash".to_owned(),
    };
    let change = PasswordChange { old: "$hash".to_owned(), new: "$new".to_owned(), session: SESSION };
    let ban = Ban { reason: "words".to_owned(), until: Some(now() + Duration::from_mins(1)) };
    for _ in 0..2 {
        store.upgrade_guest(guest.id, &upgrade, &occasion()).await.unwrap();
        store.change_password(guest.id, &change, &occasion()).await.unwrap();
    }
    store.rehash_password(guest.id, "$new", "$rehashed").await.unwrap();
    for ban in [Some(&ban), Some(&ban), None, None] {
        store.set_ban(guest.id, ban, ADMIN, &occasion()).await.unwrap();
    }
    for role in [AccountRole::Player, AccountRole::Admin, AccountRole::Admin] {
        store.set_role(guest.id, role, ADMIN, &occasion()).await.unwrap();
    }
    for _ in 0..2 {
        store.delete(guest.id, &occasion()).await.unwrap();
    }
    store.create_guest(&new_guest(), &other, &occasion()).await.unwrap();
    let expected = [
        Event::GuestUpgraded(log::GuestUpgraded { user_id: user_id.clone() }),
        Event::PasswordChanged(log::PasswordChanged { user_id: user_id.clone(), session_id: SESSION.to_string() }),
        Event::UserBanned(log::UserBanned {
            user_id: user_id.clone(),
            actor_id: actor_id.clone(),
            expire_time: ban.until.map(timestamp),
        }),
        Event::UserUnbanned(log::UserUnbanned { user_id: user_id.clone(), actor_id: actor_id.clone() }),
        Event::RoleChanged(log::RoleChanged {
            user_id: user_id.clone(),
            actor_id,
            old_role: Role::Player.into(),
            new_role: Role::Admin.into(),
        }),
        Event::AccountDeleted(log::AccountDeleted { user_id }),
    ];
    assert_eq!(recorded(store, guest.id).await, expected);
}

async fn a_registration_is_recorded_only_if_its_names_are_free(store: &SqlAccounts) {
    let first = new_account("Seraph");
    store.create(&first, &occasion()).await.unwrap();
    assert!(store.create(&NewAccount { id: ambient().id(), ..first.clone() }, &occasion()).await.is_err());
    let registered = log::AccountRegistered { user_id: first.id.to_string(), guest: false };
    assert_eq!(store.waiting(10).await.unwrap(), 1);
    assert_eq!(recorded(store, first.id).await, [Event::AccountRegistered(registered)]);
}

async fn each_change_of_a_server_credential_is_recorded_once(store: &SqlAccounts) {
    let name = ServerName::parse("the recorded one").unwrap();
    let credential = ServerCredential { id: ambient().id(), name, created_at: now() };
    let secret = SecretHash::of("secret");
    assert!(store.add_credential(&credential, &secret, 1_000, ADMIN, &occasion()).await.unwrap());
    let refused = ServerCredential { id: ambient().id(), ..credential.clone() };
    assert!(!store.add_credential(&refused, &secret, 1, ADMIN, &occasion()).await.unwrap());
    for _ in 0..2 {
        store.delete_credential(credential.id, ADMIN, &occasion()).await.unwrap();
    }
    let (credential_id, actor_id) = (credential.id.to_string(), ADMIN.to_string());
    let created = log::ServerCredentialCreated { credential_id: credential_id.clone(), actor_id: actor_id.clone() };
    let deleted = log::ServerCredentialDeleted { credential_id, actor_id };
    assert_eq!(store.waiting(10).await.unwrap(), 2);
    let expected = [Event::ServerCredentialCreated(created), Event::ServerCredentialDeleted(deleted)];
    assert_eq!(recorded(store, credential.id).await, expected);
}

/// Each change is tried with the id of a record that is in the outbox already, so that it cannot be recorded.
async fn what_cannot_be_recorded_does_not_happen(store: &SqlAccounts) {
    let used = occasion();
    let account = store.create(&new_account("Keymaker"), &used).await.unwrap();
    let (guest, _) = store.create_guest(&new_guest(), &SecretHash::of("device six"), &occasion()).await.unwrap();
    let name = ServerName::parse("the kept one").unwrap();
    let credential = ServerCredential { id: ambient().id(), name, created_at: now() };
    let secret = SecretHash::of("secret");
    assert!(store.add_credential(&credential, &secret, 1_000, ADMIN, &occasion()).await.unwrap());
    let waiting = store.waiting(10).await.unwrap();

    let new = new_account("Merovingian");
    assert!(store.create(&new, &used).await.is_err());
    assert_eq!(store.account(new.id).await.unwrap(), None);
    let (new, device) = (new_guest(), SecretHash::of("device seven"));
    assert!(store.create_guest(&new, &device, &used).await.is_err());
    assert_eq!(store.account(new.id).await.unwrap(), None);
    assert_eq!(store.account_by_device(&device).await.unwrap(), None);

    let upgrade = Upgrade {
        username: Username::parse("Persephone").unwrap(),
        email: Email::parse("persephone@example.com").unwrap(),
        password_hash: "$hash".to_owned(),
    };
    assert!(store.upgrade_guest(guest.id, &upgrade, &used).await.is_err());
    assert_eq!(store.account(guest.id).await.unwrap(), Some(guest));
    let change = PasswordChange { old: "$hash".to_owned(), new: "$new".to_owned(), session: SESSION };
    assert!(store.change_password(account.id, &change, &used).await.is_err());
    let ban = Ban { reason: "words".to_owned(), until: None };
    assert!(store.set_ban(account.id, Some(&ban), ADMIN, &used).await.is_err());
    assert!(store.set_role(account.id, AccountRole::Admin, ADMIN, &used).await.is_err());
    assert!(store.delete(account.id, &used).await.is_err());
    assert_eq!(store.account(account.id).await.unwrap(), Some(account));

    let refused = ServerCredential { id: ambient().id(), ..credential.clone() };
    assert!(store.add_credential(&refused, &secret, 1_000, ADMIN, &used).await.is_err());
    assert_eq!(store.credential_secret(refused.id).await.unwrap(), None);
    assert!(store.delete_credential(credential.id, ADMIN, &used).await.is_err());
    assert_eq!(store.credential_secret(credential.id).await.unwrap(), Some(secret));
    assert_eq!(store.waiting(10).await.unwrap(), waiting);
}

async fn the_outbox_gives_what_is_oldest_until_it_is_deleted(store: &SqlAccounts) {
    let occasions = [occasion(), occasion(), occasion()];
    for (number, occasion) in occasions.iter().enumerate() {
        store.create(&new_account(&format!("Twin-{number}")), occasion).await.unwrap();
    }
    tokio::time::timeout(Duration::from_secs(30), store.written()).await.expect("it was told of what was written");
    let ids = async || {
        let taken = store.take(2).await.unwrap().expect("nobody else has a claim");
        (taken.rows.iter().map(|row| row.record_id).collect::<Vec<_>>(), taken.claim)
    };
    let expected = [occasions[0].record_id, occasions[1].record_id];
    assert_eq!(store.waiting(2).await.unwrap(), 2, "no further than that");

    let (first, claim) = ids().await;
    assert_eq!(first, expected);
    claim.delete(&[]).await.unwrap();
    let (again, claim) = ids().await;
    assert_eq!(again, expected);
    claim.delete(&[expected[0]]).await.unwrap();
    let (rest, claim) = ids().await;
    assert_eq!(rest, [occasions[1].record_id, occasions[2].record_id]);
    claim.delete(&rest).await.unwrap();
    assert_eq!(store.waiting(2).await.unwrap(), 0);
}

fn device_session() -> DeviceSession {
    let now = now();
    DeviceSession {
        id: ambient().id(),
        device_key: Some(SecretHash::of("device")),
        device: Device { name: "Neo's phone 📱".to_owned(), platform: "android".to_owned() },
        address: Some("2001:db8::1".parse().unwrap()),
        created_at: now,
        refreshed_at: now,
        expires_at: now + Duration::from_hours(1),
        access_expires_at: now + Duration::from_mins(15),
        epoch: 3,
        refresh_hash: SecretHash::of("refresh"),
        previous_hash: None,
    }
}

/// The time that the store's own clock will not have reached while the test runs.
fn far() -> OffsetDateTime {
    ambient().now() + Duration::from_hours(1)
}

async fn sessions_come_back_as_they_were_saved(store: &dyn DeviceSessionStore) {
    let user = ambient().id();
    let mut loaded = store.load(user).await.unwrap();
    assert_eq!(loaded, Loaded::default());

    loaded.sessions.lowest_epoch = i64::MAX;
    loaded.sessions.sessions.push(device_session());
    assert!(store.save(user, &loaded, ambient().now(), far()).await.unwrap());
    let again = store.load(user).await.unwrap();
    assert_eq!(again.sessions, loaded.sessions);
    assert!(again.version > loaded.version);
    assert_eq!(store.load(ambient().id()).await.unwrap(), Loaded::default());
}

async fn of_two_saves_of_one_load_the_second_is_refused(store: &dyn DeviceSessionStore) {
    let user = ambient().id();
    for _ in 0..3 {
        let loaded = store.load(user).await.unwrap();
        assert!(store.save(user, &loaded, ambient().now(), far()).await.unwrap());
        assert!(!store.save(user, &loaded, ambient().now(), far()).await.unwrap());
    }
}

async fn of_a_hundred_saves_at_once_one_succeeds(store: Arc<dyn DeviceSessionStore>) {
    let user = ambient().id();
    let loaded = store.load(user).await.unwrap();
    let mut attempts = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (store, loaded) = (store.clone(), loaded.clone());
        attempts.spawn(async move { store.save(user, &loaded, ambient().now(), far()).await.unwrap() });
    }
    let saved = attempts.join_all().await.into_iter().filter(|saved| *saved).count();
    assert_eq!(saved, 1);
}

async fn account_contract(store: &SqlAccounts) {
    an_account_is_found_by_all_its_names(store).await;
    names_are_unique_without_regard_to_case(store).await;
    a_device_has_one_account_however_often_it_asks(store).await;
    a_guest_is_upgraded_once_and_keeps_id_and_device(store).await;
    a_password_changes_only_from_the_one_expected(store).await;
    a_ban_begins_an_epoch_and_can_be_lifted(store).await;
    a_role_begins_an_epoch(store).await;
    a_deleted_account_leaves_its_names_and_devices_free(store).await;
    a_profile_changes_field_by_field(store, store).await;
    profiles_are_found_in_batches(store, store).await;
    server_credentials_are_listed_by_age_and_limited(store).await;
}

/// Of an outbox that nobody else uses.
async fn audit_contract(store: &SqlAccounts) {
    each_change_of_an_account_is_recorded_once(store).await;
    a_registration_is_recorded_only_if_its_names_are_free(store).await;
    each_change_of_a_server_credential_is_recorded_once(store).await;
    the_outbox_gives_what_is_oldest_until_it_is_deleted(store).await;
    what_cannot_be_recorded_does_not_happen(store).await;
}

async fn device_session_contract(store: Arc<dyn DeviceSessionStore>) {
    sessions_come_back_as_they_were_saved(&*store).await;
    of_two_saves_of_one_load_the_second_is_refused(&*store).await;
    of_a_hundred_saves_at_once_one_succeeds(store).await;
}

mod sqlite {
    use super::*;

    #[tokio::test]
    async fn keeps_the_account_contract() {
        let database = pkg_db::testing::sqlite().await;
        account_contract(&SqlAccounts::new(database.clone())).await;
    }

    #[tokio::test]
    async fn keeps_the_audit_contract() {
        let database = pkg_db::testing::sqlite().await;
        audit_contract(&SqlAccounts::new(database.clone())).await;
    }

    #[tokio::test]
    async fn keeps_the_device_session_contract() {
        let database = pkg_db::testing::sqlite().await;
        device_session_contract(Arc::new(SqlDeviceSessions::new(database.clone()))).await;
    }
}

mod real_postgres {
    use super::*;

    #[tokio::test]
    async fn keeps_the_account_contract() {
        let database = pkg_db::testing::postgres().await;
        account_contract(&SqlAccounts::new(database.clone())).await;
    }

    #[tokio::test]
    async fn keeps_the_audit_contract() {
        let database = pkg_db::testing::postgres().await;
        audit_contract(&SqlAccounts::new(database.clone())).await;
    }
    #[tokio::test]
    async fn one_claim_at_a_time_holds_the_outbox() {
        let database = pkg_db::testing::postgres().await;
        let (here, there) = (SqlAccounts::new(database.clone()), SqlAccounts::new(database.clone()));
        here.create(&new_account("Link"), &occasion()).await.unwrap();

        let held = here.take(10).await.unwrap().expect("nobody else has a claim");
        assert!(there.take(10).await.unwrap().is_none());
        here.create(&new_account("Zee"), &occasion()).await.expect("a claim does not hold up changes");
        held.claim.delete(&[held.rows[0].record_id]).await.unwrap();
        let held = there.take(10).await.unwrap().expect("the claim is over");
        assert_eq!(held.rows.len(), 1);

        let other_schema = pkg_db::testing::postgres().await;
        let elsewhere = SqlAccounts::new(other_schema.clone());
        assert!(elsewhere.take(10).await.unwrap().is_some(), "it has an outbox of its own");
    }

    #[tokio::test]
    async fn changes_of_one_account_at_once_are_recorded_in_their_order() {
        let database = pkg_db::testing::postgres().await;
        let store = SqlAccounts::new(database.clone());
        let account = store.create(&new_account("Ballard"), &occasion()).await.unwrap();
        let roles = [AccountRole::Admin, AccountRole::Player].into_iter().cycle().take(64);
        let changes = roles.map(|role| {
            let store = store.clone();
            tokio::spawn(async move { store.set_role(account.id, role, ADMIN, &occasion()).await.unwrap() })
        });
        for change in changes.collect::<Vec<_>>() {
            change.await.unwrap();
        }
        let mut now = Role::Player;
        for event in &recorded(&store, account.id).await[1..] {
            let Event::RoleChanged(change) = event else { panic!("unexpected {event:?}") };
            assert_eq!(change.old_role(), now, "each change begins where the one before ended");
            now = change.new_role();
        }
    }
}

mod real_redis {
    use super::*;

    #[tokio::test]
    async fn keeps_the_device_session_contract() {
        let redis = pkg_redis::testing::redis().await;
        device_session_contract(Arc::new(RedisDeviceSessions::new(redis.clone()))).await;
    }
}
