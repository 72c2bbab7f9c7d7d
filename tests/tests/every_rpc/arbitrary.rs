//! Random messages of any type, in which names and ids of existing things occur.

use std::collections::HashMap;
use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};

/// How deep messages lie in messages.
const DEPTH: usize = 4;
/// How many elements a repeated field has at most.
const ELEMENTS: usize = 4;

/// Texts that mean something to the server, each with the field that it belongs in.
#[derive(Debug, Default)]
pub struct Texts(Vec<(&'static str, String)>);

impl Texts {
    pub fn of(texts: &[(&'static str, &str)]) -> Self {
        Self(texts.iter().map(|&(field, text)| (field, text.to_owned())).collect())
    }

    fn of_field(&self, field: &str) -> Vec<String> {
        self.0.iter().filter(|(known, _)| *known == field).map(|(_, text)| text.clone()).collect()
    }

    fn all(&self) -> Vec<String> {
        self.0.iter().map(|(_, text)| text.clone()).collect()
    }
}

/// How a message is made up.
#[derive(Debug, Clone)]
struct Style {
    texts: Arc<Texts>,
    /// Whether it is to be taken seriously: nearly all fields are there and have values that they could have.
    is_sound: bool,
}

/// A well-formed message: every other one such as an honest client would send, the rest with anything in it.
pub fn message(descriptor: &MessageDescriptor, texts: &Arc<Texts>) -> BoxedStrategy<DynamicMessage> {
    let with = |is_sound| message_within(descriptor, &Style { texts: texts.clone(), is_sound }, DEPTH);
    prop_oneof![with(true), with(false)].boxed()
}

fn message_within(descriptor: &MessageDescriptor, style: &Style, depth: usize) -> BoxedStrategy<DynamicMessage> {
    let empty = DynamicMessage::new(descriptor.clone());
    if depth == 0 {
        return Just(empty).boxed();
    }
    let presence = if style.is_sound { 0.95 } else { 0.7 };
    let fields: Vec<_> = descriptor.fields().collect();
    let values: Vec<_> =
        fields.iter().map(|field| proptest::option::weighted(presence, value(field, style, depth))).collect();
    let fill = move |values: Vec<Option<Value>>| {
        let mut message = empty.clone();
        for (field, value) in fields.iter().zip(values) {
            if let Some(value) = value {
                message.set_field(field, value);
            }
        }
        message
    };
    values.prop_map(fill).boxed()
}

fn value(field: &FieldDescriptor, style: &Style, depth: usize) -> BoxedStrategy<Value> {
    match &field.kind() {
        Kind::Message(entry) if field.is_map() => {
            let key = single(&entry.map_entry_key_field().kind(), "", style, depth);
            let value = single(&entry.map_entry_value_field().kind(), "", style, depth);
            vec((key, value), 0..ELEMENTS).prop_map(|pairs| Value::Map(map(pairs))).boxed()
        }
        kind if field.is_list() => {
            vec(single(kind, field.name(), style, depth), 0..ELEMENTS).prop_map(Value::List).boxed()
        }
        kind => single(kind, field.name(), style, depth),
    }
}

fn map(pairs: Vec<(Value, Value)>) -> HashMap<MapKey, Value> {
    pairs.into_iter().filter_map(|(key, value)| Some((key.into_map_key()?, value))).collect()
}

fn single(kind: &Kind, name: &str, style: &Style, depth: usize) -> BoxedStrategy<Value> {
    match kind {
        Kind::Double => any::<f64>().prop_map(Value::F64).boxed(),
        Kind::Float => any::<f32>().prop_map(Value::F32).boxed(),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => number(style, any::<i32>()).prop_map(Value::I32).boxed(),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => number(style, any::<i64>()).prop_map(Value::I64).boxed(),
        Kind::Uint32 | Kind::Fixed32 => number(style, any::<u32>()).prop_map(Value::U32).boxed(),
        Kind::Uint64 | Kind::Fixed64 => number(style, any::<u64>()).prop_map(Value::U64).boxed(),
        Kind::Bool => any::<bool>().prop_map(Value::Bool).boxed(),
        Kind::String if style.is_sound => sound_text(name, &style.texts).prop_map(Value::String).boxed(),
        Kind::String => text(name, &style.texts).prop_map(Value::String).boxed(),
        Kind::Bytes => vec(any::<u8>(), 0..100).prop_map(|bytes| Value::Bytes(bytes.into())).boxed(),
        Kind::Enum(_) => number(style, any::<i32>()).prop_map(Value::EnumNumber).boxed(),
        Kind::Message(descriptor) => message_within(descriptor, style, depth - 1).prop_map(Value::Message).boxed(),
    }
}

/// A small number, or any.
fn number<N: From<u8> + Clone + std::fmt::Debug + 'static>(
    style: &Style,
    any: impl Strategy<Value = N> + 'static,
) -> BoxedStrategy<N> {
    let small = (0..4_u8).prop_map(N::from);
    if style.is_sound { small.boxed() } else { prop_oneof![small, any].boxed() }
}

/// What could be in a field: what is known to belong there, or the like of it.
fn sound_text(field: &str, texts: &Arc<Texts>) -> BoxedStrategy<String> {
    let plausible = match field {
        "username" | "identifier" => "[a-zA-Z0-9_-]{3,32}",
        "email" => "[a-zA-Z]{1,10}@[a-z]{1,10}\\.[a-z]{2,3}",
        "avatar_url" => "https://[a-z]{1,20}\\.com/[a-z]{0,10}",
        "locale" => "[a-z]{2}(-[A-Z]{2})?",
        "device_secret" => "[A-Za-z0-9_-]{43,64}",
        name if name.ends_with("_id") || name.ends_with("_ids") => {
            "[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}"
        }
        "page_token" | "registration_id" => "",
        _ => "[ -~]{8,30}",
    };
    match texts.of_field(field) {
        known if known.is_empty() => plausible.boxed(),
        known => prop_oneof![2 => select(known), 1 => plausible].boxed(),
    }
}

/// Anything that can be in a field: sound, out of place, or odd.
pub fn text(field: &str, texts: &Arc<Texts>) -> BoxedStrategy<String> {
    prop_oneof![
        3 => sound_text(field, texts),
        2 => select(texts.all()),
        2 => any::<String>(),
        1 => vec(any::<char>(), 0..40).prop_map(String::from_iter),
        1 => "[\\x00-\\x1f\\x7f\u{85}\u{200b}-\u{202e}\u{feff}]{1,20}",
        1 => "[^ -~]{1,100}",
        1 => "[a-z]{1000,2000}",
    ]
    .boxed()
}
