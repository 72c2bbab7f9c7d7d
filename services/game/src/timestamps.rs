//! Times as messages of the API hold them.

use time::OffsetDateTime;

pub fn timestamp(time: OffsetDateTime) -> prost_types::Timestamp {
    let nanos = i32::try_from(time.nanosecond()).unwrap_or_default();
    prost_types::Timestamp { seconds: time.unix_timestamp(), nanos }
}
