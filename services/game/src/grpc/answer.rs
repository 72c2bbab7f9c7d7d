//! What all answers are made of.

use std::time::Duration;

use pkg_ambient::Ambient;
use pkg_api::game::v1 as api;
use time::OffsetDateTime;

/// How long a client that is sent elsewhere waits at most, so that not all come at once.
const SPREAD: Duration = Duration::from_secs(3);

pub(super) fn timestamp(time: OffsetDateTime) -> prost_types::Timestamp {
    prost_types::Timestamp {
        seconds: time.unix_timestamp(),
        nanos: i32::try_from(time.nanosecond()).unwrap_or_default(),
    }
}

pub(super) fn heartbeat(ambient: &Ambient) -> api::Heartbeat {
    api::Heartbeat { server_time: Some(timestamp(ambient.now())) }
}

/// The last message of a stream whose server drains.
pub(super) fn go_away(ambient: &Ambient) -> api::GoAway {
    let part = u32::from(u16::from_le_bytes(ambient.random()));
    let delay = SPREAD * part / u32::from(u16::MAX);
    let retry_delay = prost_types::Duration {
        seconds: i64::try_from(delay.as_secs()).unwrap_or_default(),
        nanos: i32::try_from(delay.subsec_nanos()).unwrap_or_default(),
    };
    api::GoAway { reason: api::GoAwayReason::Drain.into(), retry_delay: Some(retry_delay) }
}
