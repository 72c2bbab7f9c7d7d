//! How two states of a game differ, place by place, whatever fields the messages have.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};

use pkg_api::game::v1::{ChangeKind, DefinitionChange, Game, GameDefinition};
use prost::Message;
use prost_reflect::{
    DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, ReflectMessage, SerializeOptions, Value,
};

use crate::attributes::AttributeKey;
use crate::key::Key;

/// Messages of this package are values, not structures.
const WELL_KNOWN: &str = "google.protobuf";

/// How two definitions differ, in the order of their fields; nothing if they are equal. Places begin with `definition`
/// and name queues and leaderboards by their keys: `definition.queues[duel].rating_window.distance.start`. No place is
/// named twice. Values are JSON with the field names of the protos; one without a JSON form is null.
#[must_use]
pub fn definition_changes(old: &GameDefinition, new: &GameDefinition) -> Vec<DefinitionChange> {
    let describe = |definition| reflect("muster.game.v1.GameDefinition", definition);
    changes("definition", &describe(old.encode_to_vec()), &describe(new.encode_to_vec()))
}

/// How two games differ in what is shown of them, as [`definition_changes`] does; places begin with `game`.
#[must_use]
pub fn game_changes(old: &Game, new: &Game) -> Vec<DefinitionChange> {
    let describe = |game| reflect("muster.game.v1.Game", game);
    changes("game", &describe(old.encode_to_vec()), &describe(new.encode_to_vec()))
}

/// A message of the API that can be asked for its fields.
#[expect(clippy::needless_pass_by_value, reason = "the bytes were made for this")]
fn reflect(name: &str, encoded: Vec<u8>) -> DynamicMessage {
    let descriptor = pkg_api::descriptors().get_message_by_name(name).expect("the API has the message");
    DynamicMessage::decode(descriptor, encoded.as_slice()).expect("the message was encoded just now")
}

fn changes(root: &str, old: &DynamicMessage, new: &DynamicMessage) -> Vec<DefinitionChange> {
    let mut comparison = Comparison { changes: Vec::new() };
    comparison.messages(root, old, new);
    comparison.changes
}

struct Comparison {
    changes: Vec<DefinitionChange>,
}

impl Comparison {
    fn note(&mut self, path: &str, old: Option<String>, new: Option<String>) {
        let kind = match (&old, &new) {
            (None, _) => ChangeKind::Added,
            (Some(_), Some(_)) => ChangeKind::Changed,
            (Some(_), None) => ChangeKind::Removed,
        };
        self.changes.push(DefinitionChange {
            kind: kind.into(),
            path: path.to_owned(),
            old_value: old.unwrap_or_default(),
            new_value: new.unwrap_or_default(),
        });
    }

    fn messages(&mut self, path: &str, old: &DynamicMessage, new: &DynamicMessage) {
        let descriptor = old.descriptor();
        let mut fields: Vec<FieldDescriptor> = descriptor.fields().collect();
        fields.sort_by_key(FieldDescriptor::number);
        for field in fields {
            let path = format!("{path}.{}", field.name());
            let (was, is) = (old.get_field(&field), new.get_field(&field));
            match (&*was, &*is) {
                (Value::List(was), Value::List(is)) => self.lists(&path, &descriptor, &field, was, is),
                (Value::Map(was), Value::Map(is)) => {
                    let was = was.iter().map(|(key, value)| (map_place(key), value)).collect();
                    let is = is.iter().map(|(key, value)| (map_place(key), value)).collect();
                    self.maps(&path, &field, &was, &is);
                }
                (was, is) => {
                    let was = old.has_field(&field).then_some(was);
                    let is = new.has_field(&field).then_some(is);
                    self.values(&path, &descriptor, &field, was, is);
                }
            }
        }
    }

    /// A field with one value, or none.
    fn values(
        &mut self,
        path: &str,
        owner: &MessageDescriptor,
        field: &FieldDescriptor,
        was: Option<&Value>,
        is: Option<&Value>,
    ) {
        match (was, is) {
            (Some(Value::Message(was)), Some(Value::Message(is))) if is_structure(&was.descriptor()) => {
                self.messages(path, was, is);
            }
            (was, is) if was != is => {
                let text = |value: &Value| json(owner, field, value);
                self.note(path, was.map(text), is.map(text));
            }
            _ => {}
        }
    }

    fn lists(&mut self, path: &str, owner: &MessageDescriptor, field: &FieldDescriptor, was: &[Value], is: &[Value]) {
        if let (Some(was), Some(is)) = (keyed(was), keyed(is)) {
            return self.keyed_lists(path, &was, &is);
        }
        if matches!(field.kind(), Kind::Message(_)) {
            for place in 0..was.len().max(is.len()) {
                let path = format!("{path}[{place}]");
                self.elements(
                    &path,
                    was.get(place).and_then(Value::as_message),
                    is.get(place).and_then(Value::as_message),
                );
            }
            return;
        }
        if was != is {
            let text = |list: &[Value]| (!list.is_empty()).then(|| json(owner, field, &Value::List(list.to_vec())));
            self.note(path, text(was), text(is));
        }
    }

    fn keyed_lists(&mut self, path: &str, was: &[(Key, &DynamicMessage)], is: &[(Key, &DynamicMessage)]) {
        let before: BTreeMap<&Key, &DynamicMessage> = was.iter().map(|(key, element)| (key, *element)).collect();
        let after: BTreeSet<&Key> = is.iter().map(|(key, _)| key).collect();
        for (key, element) in is {
            self.elements(&format!("{path}[{key}]"), before.get(key).copied(), Some(element));
        }
        for (key, element) in was.iter().filter(|(key, _)| !after.contains(key)) {
            self.elements(&format!("{path}[{key}]"), Some(element), None);
        }
        let stayed = |list: &[(Key, &DynamicMessage)]| -> Vec<String> {
            let kept = list.iter().filter(|(key, _)| before.contains_key(key) && after.contains(key));
            kept.map(|(key, _)| key.to_string()).collect()
        };
        let (old_order, new_order) = (stayed(was), stayed(is));
        if old_order != new_order {
            let text = |keys: Vec<String>| Some(serde_json::Value::from(keys).to_string());
            self.note(path, text(old_order), text(new_order));
        }
    }

    fn elements(&mut self, path: &str, was: Option<&DynamicMessage>, is: Option<&DynamicMessage>) {
        match (was, is) {
            (Some(was), Some(is)) => self.messages(path, was, is),
            (was, is) => self.note(path, was.map(message_json), is.map(message_json)),
        }
    }

    fn maps(
        &mut self,
        path: &str,
        field: &FieldDescriptor,
        was: &BTreeMap<Cow<'_, str>, &Value>,
        is: &BTreeMap<Cow<'_, str>, &Value>,
    ) {
        let Kind::Message(entry) = field.kind() else { return };
        let value = entry.map_entry_value_field();
        let keys: BTreeSet<&Cow<'_, str>> = was.keys().chain(is.keys()).collect();
        for key in keys {
            let path = format!("{path}[{key}]");
            self.values(&path, &entry, &value, was.get(key).copied(), is.get(key).copied());
        }
    }
}

fn is_structure(descriptor: &MessageDescriptor) -> bool {
    descriptor.package_name() != WELL_KNOWN
}

/// The elements of a list by their keys, if all have one and no two the same.
fn keyed(list: &[Value]) -> Option<Vec<(Key, &DynamicMessage)>> {
    let key = |message: &DynamicMessage| Key::parse(message.get_field_by_name("key")?.as_str()?);
    let element = |value| Value::as_message(value).and_then(|message| Some((key(message)?, message)));
    let keyed: Vec<(Key, &DynamicMessage)> = list.iter().map(element).collect::<Option<_>>()?;
    let distinct: BTreeSet<&Key> = keyed.iter().map(|(key, _)| key).collect();
    (distinct.len() == keyed.len()).then_some(keyed)
}

/// A key that is none in truth is quoted, so that it cannot look like another place.
fn map_place(key: &MapKey) -> Cow<'_, str> {
    match key {
        MapKey::String(text) if AttributeKey::parse(text).is_some() => Cow::Borrowed(text),
        MapKey::String(text) => Cow::Owned(serde_json::Value::from(text.as_str()).to_string()),
        MapKey::Bool(value) => Cow::Owned(value.to_string()),
        MapKey::I32(number) => Cow::Owned(number.to_string()),
        MapKey::I64(number) => Cow::Owned(number.to_string()),
        MapKey::U32(number) => Cow::Owned(number.to_string()),
        MapKey::U64(number) => Cow::Owned(number.to_string()),
    }
}

/// A value of a field as JSON: that of a message which has nothing else.
fn json(owner: &MessageDescriptor, field: &FieldDescriptor, value: &Value) -> String {
    let mut message = DynamicMessage::new(owner.clone());
    message.set_field(field, value.clone());
    let mut object = to_json(&message);
    object.get_mut(field.name()).map(serde_json::Value::take).unwrap_or_default().to_string()
}

fn message_json(message: &DynamicMessage) -> String {
    to_json(message).to_string()
}

fn to_json(message: &DynamicMessage) -> serde_json::Value {
    let options = SerializeOptions::new().use_proto_field_name(true);
    message.serialize_with_options(serde_json::value::Serializer, &options).unwrap_or_default()
}

#[cfg(test)]
mod tests;
