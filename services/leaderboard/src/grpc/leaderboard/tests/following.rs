//! What is told on the topics of boards.

use std::time::Instant;

use pkg_api::events::v1::event::Payload;
use pkg_api::events::v1::{Event, LeaderboardUpdated};
use pkg_bus::{Delivery, Reader, Topic};
use pkg_envelope::Envelope;
use prost::Message;

use crate::grpc::harness::{GAME, Harness, in_time, on_both, places, score};

on_both! {
    a_topic_is_told_of_every_period_a_few_times_a_second
}

async fn next(reader: &mut Reader) -> LeaderboardUpdated {
    in_time(async {
        loop {
            let Delivery::Event(event) = reader.next().await else { continue };
            assert!(event.cursor().is_some(), "it is retained");
            let envelope = Envelope::parse(event.payload()).expect("an envelope");
            let event = Event::decode(envelope.event).expect("an event");
            if let Some(Payload::LeaderboardUpdated(updated)) = event.payload {
                return updated;
            }
        }
    })
    .await
}

async fn a_topic_is_told_of_every_period_a_few_times_a_second(harness: Harness) {
    let mut reader = harness.bus.reader();
    let topic = Topic::new(&format!("board/{GAME}/points")).expect("a topic");
    reader.follow(&topic, None).await.expect("it can be followed");
    let begun = Instant::now();
    let submitting = async {
        for value in 1..=100_i64 {
            harness.player(1).submit(score("points", value.unsigned_abs().into(), value)).await.unwrap();
        }
    };
    let reading = async {
        // Periods are read one after the other, while scores go on.
        let mut seen: Vec<[i64; 2]> = Vec::new();
        while seen.last() != Some(&[100, 100]) {
            let updated = next(&mut reader).await;
            assert_eq!((updated.game_id.as_str(), updated.board_key.as_str()), (GAME.to_string().as_str(), "points"));
            let [all_time, daily] = updated.views.iter().map(places).collect::<Vec<_>>().try_into().unwrap();
            seen.push([all_time[0].2, daily[0].2]);
        }
        seen
    };
    let ((), seen) = tokio::join!(submitting, reading);
    assert!((0..2).all(|period| seen.is_sorted_by_key(|values| values[period])));
    let most = 2.0 + 4.0 * begun.elapsed().as_secs_f64();
    assert!(f64::from(u32::try_from(seen.len()).unwrap()) <= most, "{seen:?} in {:?}", begun.elapsed());
}
