//! The facts about scores, as they are kept.

use std::collections::{BTreeMap, HashMap};

use bytes::{Bytes, BytesMut};
use pkg_api::game::v1::AttributeValue;
use pkg_api::leaderboard::v1::Entry;
use prost::Message;

/// Attributes of a message as bytes: the same for the same attributes, and none for none.
#[must_use]
pub fn write(attributes: &HashMap<String, AttributeValue>) -> Bytes {
    let sorted: BTreeMap<&String, &AttributeValue> = attributes.iter().collect();
    let mut bytes = BytesMut::new();
    for (key, value) in sorted {
        // Messages that follow one another are read as one.
        let one = Entry { attributes: HashMap::from([(key.clone(), value.clone())]), ..Entry::default() };
        one.encode_raw(&mut bytes);
    }
    bytes.freeze()
}

/// What [`write`] wrote; nothing if another version wrote it.
#[must_use]
pub fn read(bytes: &Bytes) -> HashMap<String, AttributeValue> {
    if bytes.is_empty() {
        return HashMap::new();
    }
    Entry::decode(bytes.clone()).map(|entry| entry.attributes).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use pkg_api::game::v1::attribute_value::Kind;
    use proptest::prelude::*;

    use super::*;

    fn kind() -> impl Strategy<Value = Kind> {
        prop_oneof![
            any::<String>().prop_map(Kind::StringValue),
            any::<i64>().prop_map(Kind::IntValue),
            any::<bool>().prop_map(Kind::BoolValue),
        ]
    }

    proptest! {
        #[test]
        fn attributes_come_out_as_they_went_in(given in prop::collection::hash_map(".*", kind(), 0..8)) {
            let attributes: HashMap<String, AttributeValue> =
                given.into_iter().map(|(key, kind)| (key, AttributeValue { kind: Some(kind) })).collect();
            let bytes = write(&attributes);
            prop_assert_eq!(read(&bytes), attributes.clone());
            prop_assert_eq!(write(&attributes.into_iter().collect()), bytes);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = read(&bytes.into());
        }
    }
}
