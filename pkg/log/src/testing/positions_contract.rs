//! What all positions in the log promise.

use crate::{Positions, Topic};

/// Runs the contract over positions of these topics, none of which has any yet.
///
/// # Panics
/// If a promise is broken.
pub async fn verify(positions: &dyn Positions, topics: &[Topic]) {
    let next = async |topic, partition| positions.next_offset(topic, partition).await.expect("it is read");
    let advance = async |topic, partition, next| positions.advance(topic, partition, next).await.expect("it is noted");
    for topic in topics.iter().copied() {
        assert_eq!(next(topic, 3).await, None, "another topic is another place");
        advance(topic, 3, 7).await;
        advance(topic, 4, 1).await;
        advance(topic, 3, 5).await;
        assert_eq!(next(topic, 3).await, Some(7), "it never goes back");
        assert_eq!(next(topic, 4).await, Some(1));
    }
}
