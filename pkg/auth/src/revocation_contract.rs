//! What every store of revocations promises, for the tests of its adapters.

use std::collections::BTreeSet;

use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use crate::{Revocation, Revocations};

/// The stores that keep their own time ignore this.
const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH.saturating_add(Duration::milliseconds(1_780_000_000_000));

/// Runs the whole contract against an empty store.
///
/// Trimming is not in it: a store that goes by its own clock cannot be told that time has passed.
///
/// # Panics
/// If the store breaks a promise.
pub async fn verify(store: &dyn Revocations) {
    an_empty_store_has_none(store).await;
    what_is_appended_is_shown_in_order(store).await;
    reading_starts_at_the_given_time_inclusively(store).await;
    a_session_revoked_again_is_shown_once_and_not_earlier(store).await;
    a_clock_that_went_back_hides_nothing(store).await;
    many_at_once_are_kept(store).await;
}

async fn an_empty_store_has_none(store: &dyn Revocations) {
    assert_eq!(all(store).await, []);
    store.append(&[], NOW).await.expect("nothing to append is no error");
    assert_eq!(all(store).await, []);
}

async fn what_is_appended_is_shown_in_order(store: &dyn Revocations) {
    append(store, &[1, 2], NOW).await;
    append(store, &[3], NOW + Duration::seconds(1)).await;
    let shown = all(store).await;
    assert_eq!(ids(&shown), BTreeSet::from([1, 2, 3]));
    assert!(shown.is_sorted_by_key(|revocation| revocation.at));
    assert_eq!(shown[0].at, shown[1].at, "one append is one moment");
}

async fn reading_starts_at_the_given_time_inclusively(store: &dyn Revocations) {
    let last = last(store).await;
    assert!(ids(&since(store, last.at).await).contains(&last.session.as_u128()));
    assert_eq!(since(store, last.at + Duration::hours(1)).await, []);
}

async fn a_session_revoked_again_is_shown_once_and_not_earlier(store: &dyn Revocations) {
    let before = all(store).await;
    append(store, &[1], NOW + Duration::seconds(2)).await;
    let after = all(store).await;
    assert_eq!(ids(&after), ids(&before));
    assert_eq!(after.len(), before.len());
    let at = |shown: &[Revocation]| shown.iter().find(|revocation| revocation.session.as_u128() == 1).map(|one| one.at);
    assert!(at(&after) >= at(&before));
}

async fn a_clock_that_went_back_hides_nothing(store: &dyn Revocations) {
    let seen = last(store).await.at;
    append(store, &[4], NOW - Duration::minutes(1)).await;
    assert!(ids(&since(store, seen).await).contains(&4), "a reader goes on from the last time that it has seen");
}

async fn many_at_once_are_kept(store: &dyn Revocations) {
    const MANY: u128 = 10_000;
    let sessions: Vec<u128> = (1_000..1_000 + MANY).collect();
    append(store, &sessions, NOW + Duration::seconds(3)).await;
    assert!(ids(&all(store).await).is_superset(&sessions.into_iter().collect()));
}

async fn append(store: &dyn Revocations, sessions: &[u128], now: OffsetDateTime) {
    let sessions: Vec<Uuid> = sessions.iter().copied().map(Uuid::from_u128).collect();
    store.append(&sessions, now).await.expect("the store serves");
}

async fn since(store: &dyn Revocations, from: OffsetDateTime) -> Vec<Revocation> {
    store.since(from).await.expect("the store serves")
}

async fn all(store: &dyn Revocations) -> Vec<Revocation> {
    since(store, OffsetDateTime::UNIX_EPOCH).await
}

async fn last(store: &dyn Revocations) -> Revocation {
    *all(store).await.last().expect("something was appended")
}

fn ids(revocations: &[Revocation]) -> BTreeSet<u128> {
    revocations.iter().map(|revocation| revocation.session.as_u128()).collect()
}
