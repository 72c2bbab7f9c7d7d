//! What every adapter promises. Each function is one promise; at the end they run against each adapter.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use pkg_ambient::{Ambient, ManualClock};
use time::OffsetDateTime;
use uuid::Uuid;

use super::*;
use crate::device_session::{Device, DeviceSession};
use crate::profile::{AvatarUrl, DisplayName, Edit, Locale};
use crate::server_credential::ServerName;

fn ambient() -> Ambient {
    Ambient::system()
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
    let created = store.create(&new).await.unwrap();
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
    store.create(&first).await.unwrap();

    let same_name = NewAccount { email: None, registration_id: None, ..new_account("morpheus") };
    assert!(matches!(store.create(&same_name).await, Err(ClaimError::UsernameTaken)));
    let same_email = NewAccount { email: Some(Email::parse("MORPHEUS@example.com").unwrap()), ..new_account("other") };
    assert!(matches!(store.create(&same_email).await, Err(ClaimError::EmailTaken)));
    let same_registration = NewAccount { registration_id: first.registration_id, ..new_account("another") };
    assert!(matches!(store.create(&same_registration).await, Err(ClaimError::RegistrationUsed)));
}

async fn a_device_has_one_account_however_often_it_asks(store: &dyn AccountStore) {
    let device = SecretHash::of("device one");
    let (first, created) = store.create_guest(&new_guest(), &device).await.unwrap();
    assert!(created && first.is_guest());

    let (second, created) = store.create_guest(&new_guest(), &device).await.unwrap();
    assert!(!created);
    assert_eq!(second, first);
    assert_eq!(store.account_by_device(&device).await.unwrap(), Some(first));
    assert_eq!(store.account_by_device(&SecretHash::of("unknown")).await.unwrap(), None);
}

async fn a_guest_is_upgraded_once_and_keeps_id_and_device(store: &dyn AccountStore) {
    let device = SecretHash::of("device two");
    let (guest, _) = store.create_guest(&new_guest(), &device).await.unwrap();
    let taken = store.create(&new_account("Tank")).await.unwrap();
    let upgrade = |name: &str| Upgrade {
        username: Username::parse(name).unwrap(),
        email: Email::parse(&format!("{name}-new@example.com")).unwrap(),
        password_hash: "$new".to_owned(),
    };

    assert!(matches!(store.upgrade_guest(guest.id, &upgrade("TANK")).await, Err(ClaimError::UsernameTaken)));
    let upgraded = store.upgrade_guest(guest.id, &upgrade("Dozer")).await.unwrap().unwrap();
    assert_eq!(upgraded.id, guest.id);
    assert!(!upgraded.is_guest());
    assert_eq!(store.account_by_device(&device).await.unwrap(), Some(upgraded));
    assert!(store.upgrade_guest(guest.id, &upgrade("Dozer2")).await.unwrap().is_none());
    assert!(store.upgrade_guest(taken.id, &upgrade("Tank2")).await.unwrap().is_none());
}

async fn a_password_changes_only_from_the_one_expected(store: &dyn AccountStore) {
    let account = store.create(&new_account("Switch")).await.unwrap();
    assert_eq!(store.change_password(account.id, "$wrong", "$new").await.unwrap(), None);
    let epoch = store.change_password(account.id, "$hash", "$new").await.unwrap().unwrap();
    assert!(epoch > account.epoch);

    store.rehash_password(account.id, "$hash", "$late").await.unwrap();
    store.rehash_password(account.id, "$new", "$rehashed").await.unwrap();
    let changed = store.account(account.id).await.unwrap().unwrap();
    assert_eq!(changed.password_hash.as_deref(), Some("$rehashed"));
    assert_eq!(changed.epoch, epoch, "a rehash ends no session");
}

async fn a_ban_begins_an_epoch_and_can_be_lifted(store: &dyn AccountStore) {
    let account = store.create(&new_account("Cypher")).await.unwrap();
    let ban = Ban { reason: "betrayal".to_owned(), until: Some(now() + Duration::from_mins(1)) };
    let epoch = store.set_ban(account.id, Some(&ban)).await.unwrap().unwrap();
    assert!(epoch > account.epoch);
    assert_eq!(store.account(account.id).await.unwrap().unwrap().ban, Some(ban));

    let for_good = Ban { reason: "again".to_owned(), until: None };
    store.set_ban(account.id, Some(&for_good)).await.unwrap().unwrap();
    assert_eq!(store.account(account.id).await.unwrap().unwrap().ban, Some(for_good));

    store.set_ban(account.id, None).await.unwrap().unwrap();
    assert_eq!(store.account(account.id).await.unwrap().unwrap().ban, None);
    assert_eq!(store.set_ban(ambient().id(), None).await.unwrap(), None);
}

async fn a_role_begins_an_epoch(store: &dyn AccountStore) {
    let account = store.create(&new_account("Oracle")).await.unwrap();
    let epoch = store.set_role(account.id, AccountRole::Admin).await.unwrap().unwrap();
    let changed = store.account(account.id).await.unwrap().unwrap();
    assert_eq!((changed.role, changed.epoch), (AccountRole::Admin, epoch));
    assert!(epoch > account.epoch);
    assert_eq!(store.set_role(ambient().id(), AccountRole::Admin).await.unwrap(), None);
}

async fn a_deleted_account_leaves_its_names_and_devices_free(store: &dyn AccountStore) {
    let device = SecretHash::of("device three");
    let (guest, _) = store.create_guest(&new_guest(), &device).await.unwrap();
    assert!(store.delete(guest.id).await.unwrap());
    assert!(!store.delete(guest.id).await.unwrap());
    assert_eq!(store.account_by_device(&device).await.unwrap(), None);
    assert!(store.create_guest(&new_guest(), &device).await.unwrap().1);

    let account = store.create(&new_account("Mouse")).await.unwrap();
    assert!(store.delete(account.id).await.unwrap());
    store.create(&new_account("mouse")).await.unwrap();
}

async fn a_profile_changes_field_by_field(accounts: &dyn AccountStore, profiles: &dyn ProfileStore) {
    let id = accounts.create(&new_account("Apoc")).await.unwrap().id;
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
    let one = accounts.create(&new_account("Ghost")).await.unwrap().id;
    let two = accounts.create(&new_account("Sparks")).await.unwrap().id;
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
        assert!(store.add_credential(&credential, &secret, 3).await.unwrap());
        created.push(credential);
    }
    let one_too_many = ServerCredential { id: ambient().id(), ..created[0].clone() };
    assert!(!store.add_credential(&one_too_many, &secret, 3).await.unwrap());

    assert_eq!(store.credentials(None, 2).await.unwrap(), created[..2]);
    assert_eq!(store.credentials(Some(created[1].id), 2).await.unwrap(), created[2..]);
    assert_eq!(store.credential_secret(created[0].id).await.unwrap(), Some(secret));
    assert!(store.delete_credential(created[0].id).await.unwrap());
    assert!(!store.delete_credential(created[0].id).await.unwrap());
    assert_eq!(store.credential_secret(created[0].id).await.unwrap(), None);
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
}

mod real_redis {
    use super::*;

    #[tokio::test]
    async fn keeps_the_device_session_contract() {
        let redis = pkg_redis::testing::redis().await;
        device_session_contract(Arc::new(RedisDeviceSessions::new(redis.clone()))).await;
    }
}
