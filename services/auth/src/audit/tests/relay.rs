//! From the outbox to the log.

use std::sync::atomic::Ordering;

use super::*;
use crate::account::{AccountRole, Email, Username};
use crate::audit::{Occasion, OutboxRelay};
use crate::store::{AccountStore, AuditOutbox, NewAccount, SqlAccounts};

/// How often the role of an account changes in its life.
const CHANGES: usize = 6;

fn occasion() -> Occasion {
    Occasion::now(&Ambient::system(), &"a request".into())
}

fn relay(store: &SqlAccounts, log: Arc<dyn Log>, counted: &Counted) -> OutboxRelay {
    OutboxRelay { outbox: Arc::new(store.clone()), log, counters: counted.counters.clone() }
}

/// An account that is registered, changed some times, and deleted.
pub(super) async fn life(store: &SqlAccounts, name: &str) -> Uuid {
    let user = register(store, name).await;
    for role in [AccountRole::Admin, AccountRole::Player].into_iter().cycle().take(CHANGES) {
        store.set_role(user, role, id(), &occasion()).await.unwrap().unwrap();
    }
    assert!(store.delete(user, &occasion()).await.unwrap());
    user
}

/// How many records there are of a [`life`].
pub(super) const RECORDS: usize = CHANGES + 2;

async fn register(store: &SqlAccounts, name: &str) -> Uuid {
    let account = NewAccount {
        id: id(),
        username: Username::parse(name).unwrap(),
        email: Some(Email::parse(&format!("{name}@example.com")).unwrap()),
        password_hash: Some("$hash".to_owned()),
        registration_id: None,
        created_at: Ambient::system().now(),
    };
    store.create(&account, &occasion()).await.unwrap().id
}

/// The records of each [`life`] are there, in their order and each once.
pub(super) async fn assert_recorded(log: &dyn Log, users: &[Uuid]) {
    let mut by_key = read(log, users.len() * RECORDS).await;
    for user in users {
        let events = by_key.remove(&user.to_string()).expect("something is recorded of each");
        let [Event::AccountRegistered(_), changes @ .., Event::AccountDeleted(_)] = events.as_slice() else {
            panic!("unexpected {events:?}");
        };
        assert_eq!(changes.len(), CHANGES);
        for pair in changes.windows(2) {
            let [Event::RoleChanged(first), Event::RoleChanged(second)] = pair else { panic!("unexpected {pair:?}") };
            assert_eq!(first.new_role(), second.old_role());
        }
    }
    assert_eq!(by_key, BTreeMap::new());
}

/// Waits until nothing is left to be appended.
pub(super) async fn emptied(store: &SqlAccounts) {
    let empty = async {
        while store.waiting(1).await.unwrap() > 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, empty).await.expect("the outbox is emptied");
}

#[tokio::test]
async fn changes_reach_the_log_in_their_order_and_leave_the_outbox() {
    let database = pkg_db::testing::sqlite().await;
    let (store, log, counted) = (SqlAccounts::new(database.clone()), log_in(&database), Counted::new());
    let before = life(&store, "before").await;
    let running = Running::start(|shutdown| relay(&store, log.clone(), &counted).run(shutdown));
    emptied(&store).await;
    let after = life(&store, "after").await;
    emptied(&store).await;
    running.stop().await;
    assert_recorded(&*log, &[before, after]).await;
}

#[tokio::test]
async fn a_change_made_here_does_not_wait_for_a_poll() {
    const SOON: Duration = Duration::from_secs(2);
    let database = pkg_db::testing::sqlite().await;
    let (store, log, counted) = (SqlAccounts::new(database.clone()), log_in(&database), Counted::new());
    let running = Running::start(|shutdown| relay(&store, log.clone(), &counted).run(shutdown));
    for number in 0..3 {
        register(&store, &format!("user-{number}")).await;
        tokio::time::timeout(SOON, emptied(&store)).await.expect("the relay was woken");
    }
    running.stop().await;
}

#[tokio::test]
async fn nothing_is_lost_while_the_log_is_unavailable() {
    let database = pkg_db::testing::sqlite().await;
    let (store, counted) = (SqlAccounts::new(database.clone()), Counted::new());
    let log = Faulty::before(log_in(&database), Some(Fault::Unavailable));
    let running = Running::start(|shutdown| relay(&store, log.clone(), &counted).run(shutdown));
    let first = life(&store, "first").await;
    let second = life(&store, "second").await;
    assert_eq!(store.waiting(100).await.unwrap(), 2 * RECORDS);

    log.set(None);
    emptied(&store).await;
    running.stop().await;
    assert_recorded(&*log, &[first, second]).await;
}

#[tokio::test]
async fn what_may_have_been_appended_is_appended_again_as_the_same_record() {
    let database = pkg_db::testing::sqlite().await;
    let (store, counted) = (SqlAccounts::new(database.clone()), Counted::new());
    let log = Faulty::before(log_in(&database), Some(Fault::Unknown));
    let user = life(&store, "neo").await;
    let running = Running::start(|shutdown| relay(&store, log.clone(), &counted).run(shutdown));
    let partition = Topic::Accounts.partition_of(&user.to_string());
    let repeated = async {
        while log.range(Topic::Accounts, partition).await.unwrap().end < 2 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(LIMIT, repeated).await.expect("it is appended again");
    assert_eq!(read(&*log, 1).await[&user.to_string()].len(), 1, "the next one waits for it");
    assert_eq!(store.waiting(100).await.unwrap(), RECORDS);

    log.set(None);
    emptied(&store).await;
    running.stop().await;
    assert_recorded(&*log, &[user]).await;
}

#[tokio::test]
async fn two_relays_at_once_keep_the_order() {
    let database = pkg_db::testing::sqlite().await;
    let (store, log, counted) = (SqlAccounts::new(database.clone()), log_in(&database), Counted::new());
    let relays = [(); 2].map(|()| Running::start(|shutdown| relay(&store, log.clone(), &counted).run(shutdown)));
    let mut users = Vec::new();
    for number in 0..5 {
        users.push(life(&store, &format!("user-{number}")).await);
    }
    emptied(&store).await;
    for relay in relays {
        relay.stop().await;
    }
    assert_recorded(&*log, &users).await;
}

#[tokio::test]
async fn what_no_log_takes_does_not_stop_the_rest() {
    let database = pkg_db::testing::sqlite().await;
    let (store, counted) = (SqlAccounts::new(database.clone()), Counted::new());
    store.write_row(id(), b"\xff no record").await;
    let too_large = register(&store, "large").await;
    let user = life(&store, "small").await;
    let log = Faulty::before(log_in(&database), Some(Fault::TooLarge(too_large.to_string())));
    let running = Running::start(|shutdown| relay(&store, log.clone(), &counted).run(shutdown));
    emptied(&store).await;
    running.stop().await;
    assert_recorded(&*log, &[user]).await;
    assert_eq!(counted.defect.load(Ordering::Relaxed), 2);
}
