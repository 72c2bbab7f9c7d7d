//! Messages at random, by their descriptors.

use std::collections::HashMap;

use proptest::prelude::*;
use proptest::strategy::Union;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

use pkg_api::game::v1::GameDefinition;

/// How deep messages are nested.
const DEPTH: u32 = 6;
/// How long lists and maps are.
const LENGTH: usize = 3;

/// Definitions of any content, most of them not valid.
pub(crate) fn definitions() -> impl Strategy<Value = GameDefinition> {
    let descriptor =
        pkg_api::descriptors().get_message_by_name("muster.game.v1.GameDefinition").expect("the API has it");
    messages(&descriptor, DEPTH).prop_map(|message| message.transcode_to().expect("it was made by its descriptor"))
}

fn messages(descriptor: &MessageDescriptor, depth: u32) -> BoxedStrategy<DynamicMessage> {
    if depth == 0 {
        return Just(DynamicMessage::new(descriptor.clone())).boxed();
    }
    let fields: Vec<_> = descriptor
        .fields()
        .map(|field| prop::option::of(values(&field, depth - 1)).prop_map(move |value| (field.clone(), value)))
        .collect();
    let descriptor = descriptor.clone();
    fields
        .prop_map(move |fields| {
            let mut message = DynamicMessage::new(descriptor.clone());
            for (field, value) in fields {
                if let Some(value) = value {
                    message.set_field(&field, value);
                }
            }
            message
        })
        .boxed()
}

fn values(field: &FieldDescriptor, depth: u32) -> BoxedStrategy<Value> {
    if field.is_map() {
        let Kind::Message(entry) = field.kind() else { unreachable!("a map has entries") };
        let value = singles(&entry.map_entry_value_field().kind(), depth);
        return prop::collection::hash_map(texts(), value, 0..LENGTH)
            .prop_map(|map| {
                let map: HashMap<MapKey, Value> =
                    map.into_iter().map(|(key, value)| (MapKey::String(key), value)).collect();
                Value::Map(map)
            })
            .boxed();
    }
    let single = singles(&field.kind(), depth);
    if field.is_list() { prop::collection::vec(single, 0..LENGTH).prop_map(Value::List).boxed() } else { single }
}

fn singles(kind: &Kind, depth: u32) -> BoxedStrategy<Value> {
    match kind {
        Kind::String => texts().prop_map(Value::String).boxed(),
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::Int32 => numbers().prop_map(|number| Value::I32(i32::try_from(number).unwrap_or(i32::MIN))).boxed(),
        Kind::Int64 => numbers().prop_map(Value::I64).boxed(),
        Kind::Double => prop_oneof![Just(0.0), Just(0.5), any::<f64>()].prop_map(Value::F64).boxed(),
        Kind::Enum(_) => (-1..15).prop_map(Value::EnumNumber).boxed(),
        Kind::Message(message) => messages(message, depth).prop_map(Value::Message).boxed(),
        other => unreachable!("no definition has {other:?}"),
    }
}

/// Few and short, so that the same come again; keys among them, and what only looks like one.
fn texts() -> BoxedStrategy<String> {
    let known = ["", "a", "b", "duel", "team-1", "a].b[", "\"", "UTC"].map(|text| Just(text.to_owned()));
    prop_oneof![4 => Union::new(known), 1 => any::<String>()].boxed()
}

fn numbers() -> BoxedStrategy<i64> {
    prop_oneof![4 => -1_i64..20, 1 => any::<i64>(), 1 => 0_i64..2_000_000_000].boxed()
}
