//! Records as bytes.

use pkg_api::log::v1::Record;
use prost::Message as _;

use crate::{AppendError, Topic, Unreadable, gauges};

/// The largest record, encoded. Kafka takes a million bytes by default, for a batch with its overhead.
pub const MAX_RECORD_BYTES: usize = 256 * 1024;

pub(crate) fn encode(record: &Record) -> Result<Vec<u8>, AppendError> {
    let bytes = record.encoded_len();
    if bytes > MAX_RECORD_BYTES {
        return Err(AppendError::TooLarge { bytes });
    }
    Ok(record.encode_to_vec())
}

pub(crate) fn decode(topic: Topic, bytes: &[u8]) -> Result<Record, Unreadable> {
    Record::decode(bytes).map_err(|_| {
        gauges::unreadable(topic);
        Unreadable { bytes: bytes.to_vec() }
    })
}
