//! Changing attributes, and writing them into a store.

use std::collections::BTreeSet;

use pkg_definition::{AttributeKey, Attributes, AttributesTooLarge};

/// A change of attributes: values to set, keys to remove. A key in both is set.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AttributeChange {
    pub set: Attributes,
    pub remove: BTreeSet<AttributeKey>,
}

/// What a change of attributes did; what was so before is not in it.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct AttributeDifference {
    /// What is new or has another value.
    pub set: Attributes,
    /// What is gone.
    pub removed: Vec<AttributeKey>,
}

impl AttributeDifference {
    /// Whether nothing changed.
    pub fn is_empty(&self) -> bool {
        self.set.is_empty() && self.removed.is_empty()
    }
}

impl AttributeChange {
    /// The attributes after the change, and what it did.
    pub fn apply(&self, before: &Attributes) -> Result<(Attributes, AttributeDifference), AttributesTooLarge> {
        let mut after = before.clone().into_map();
        let removed = self.remove.iter().filter(|key| self.set.get(key.as_str()).is_none());
        let removed: Vec<_> = removed.filter(|key| after.remove(*key).is_some()).cloned().collect();
        let set = self.set.iter().filter(|(key, value)| before.get(key.as_str()) != Some(*value));
        let set: Vec<_> = set.map(|(key, value)| (key.clone(), value.clone())).collect();
        after.extend(set.iter().cloned());
        Ok((Attributes::new(after)?, AttributeDifference { set: Attributes::new(set.into_iter().collect())?, removed }))
    }
}

/// Attributes as a map of their keys to `{"s": text}`, `{"i": number}`, `{"f": the bits of a number}` or `{"b": true}`:
/// decimal digits would be read back inexactly.
pub(crate) mod serial {
    use std::collections::BTreeMap;

    use pkg_definition::{AttributeKey, AttributeValue, Attributes, Finite};
    use serde::de::Error;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    enum Written {
        #[serde(rename = "s")]
        Text(String),
        #[serde(rename = "i")]
        Int(i64),
        #[serde(rename = "f")]
        Float(u64),
        #[serde(rename = "b")]
        Bool(bool),
    }

    pub(crate) fn serialize<S: Serializer>(attributes: &Attributes, to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(attributes.iter().map(|(key, value)| {
            let value = match value {
                AttributeValue::Text(text) => Written::Text(text.as_str().to_owned()),
                AttributeValue::Int(number) => Written::Int(*number),
                AttributeValue::Float(number) => Written::Float(number.get().to_bits()),
                AttributeValue::Bool(value) => Written::Bool(*value),
            };
            (key.as_str(), value)
        }))
    }

    pub(crate) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Attributes, D::Error> {
        let written: BTreeMap<String, Written> = BTreeMap::deserialize(from)?;
        let read = written.into_iter().map(|(key, value)| {
            let value = match value {
                Written::Text(text) => AttributeValue::text(&text),
                Written::Int(number) => Some(AttributeValue::Int(number)),
                Written::Float(bits) => Finite::new(f64::from_bits(bits)).map(AttributeValue::Float),
                Written::Bool(value) => Some(AttributeValue::Bool(value)),
            };
            AttributeKey::parse(&key).zip(value)
        });
        let read: Option<BTreeMap<_, _>> = read.collect();
        Attributes::new(read.ok_or_else(|| D::Error::custom("not attributes"))?).map_err(D::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use pkg_definition::{ATTRIBUTES_MAX, AttributeValue, Finite};
    use serde::{Deserialize, Serialize};

    use super::*;

    fn key(text: &str) -> AttributeKey {
        AttributeKey::parse(text).unwrap()
    }

    fn attributes(values: &[(&str, i64)]) -> Attributes {
        let values = values.iter().map(|(name, value)| (key(name), AttributeValue::Int(*value)));
        Attributes::new(values.collect()).unwrap()
    }

    #[test]
    fn a_change_says_what_it_did_and_no_more() {
        let before = attributes(&[("a", 1), ("b", 2), ("c", 3)]);
        let change = AttributeChange {
            set: attributes(&[("a", 1), ("b", 5), ("d", 4)]),
            remove: [key("c"), key("d"), key("none")].into(),
        };
        let (after, difference) = change.apply(&before).unwrap();
        assert_eq!(after, attributes(&[("a", 1), ("b", 5), ("d", 4)]));
        assert_eq!(difference.set, attributes(&[("b", 5), ("d", 4)]));
        assert_eq!(difference.removed, [key("c")]);
        assert!(change.apply(&after).unwrap().1.is_empty());
    }

    #[test]
    fn the_limit_holds_for_what_comes_out() {
        let names: Vec<String> = (0..ATTRIBUTES_MAX).map(|number| format!("{number:02}")).collect();
        let full = attributes(&names.iter().map(|name| (name.as_str(), 0)).collect::<Vec<_>>());
        let more = AttributeChange { set: attributes(&[("x", 1)]), remove: BTreeSet::new() };
        assert!(more.apply(&full).is_err());
        let swap = AttributeChange { remove: [key("00")].into(), ..more };
        assert_eq!(swap.apply(&full).unwrap().0.len(), ATTRIBUTES_MAX);
    }

    #[derive(Serialize, Deserialize)]
    struct Holder(#[serde(with = "serial")] Attributes);

    #[test]
    fn every_kind_is_written_and_read_to_the_bit() {
        let mut values = vec![(key("t"), AttributeValue::text("ä").unwrap()), (key("b"), AttributeValue::Bool(true))];
        values.extend([i64::MIN, i64::MAX].map(|number| (key(&format!("i{number}")), AttributeValue::Int(number))));
        for number in [0.1 + 0.2, -0.0, f64::MIN_POSITIVE, 1e300] {
            values.push((key(&format!("f{}", values.len())), AttributeValue::Float(Finite::new(number).unwrap())));
        }
        let before = Attributes::new(values.into_iter().collect()).unwrap();
        let text = serde_json::to_string(&Holder(before.clone())).unwrap();
        let Holder(after) = serde_json::from_str(&text).unwrap();
        assert_eq!(after, before);
        let bits = |attributes: &Attributes| -> Vec<u64> {
            let floats = attributes.iter().filter_map(|(_, value)| match value {
                AttributeValue::Float(number) => Some(number.get().to_bits()),
                _ => None,
            });
            floats.collect()
        };
        assert_eq!(bits(&after), bits(&before));
    }
}
