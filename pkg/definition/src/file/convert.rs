//! From TOML values to fields of messages, by the descriptors of the messages.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::ops::Range;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use prost_reflect::{DynamicMessage, EnumDescriptor, FieldDescriptor, Kind, MapKey, MessageDescriptor, Value};
use toml::de::{DeArray, DeInteger, DeTable, DeValue};

use super::{FileProblem, Position};
use crate::reading::echo;

const DURATION: &str = "google.protobuf.Duration";
const ATTRIBUTE: &str = "muster.game.v1.AttributeValue";

/// A file while it is being read.
pub(super) struct Conversion<'t> {
    text: &'t str,
    path: String,
    positions: BTreeMap<String, Position>,
    problems: Vec<FileProblem>,
}

/// A value that is not what its field takes; says what that would be.
type Mismatch = String;

impl<'t> Conversion<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        Self { text, path: String::new(), positions: BTreeMap::new(), problems: Vec::new() }
    }

    /// Where each place is, or what is wrong, in the order of the file.
    pub(super) fn finish(mut self) -> Result<BTreeMap<String, Position>, Vec<FileProblem>> {
        self.problems.sort();
        if self.problems.is_empty() { Ok(self.positions) } else { Err(self.problems) }
    }

    /// Sets the fields that a table has.
    pub(super) fn table(
        &mut self,
        table: &DeTable<'_>,
        fields: &[FieldDescriptor],
        mut set: impl FnMut(&FieldDescriptor, Value),
    ) {
        let mut given: HashMap<String, String> = HashMap::new();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            self.within(echo(name), key.span(), |at| {
                let Some(field) = fields.iter().find(|field| field.name() == name) else {
                    let known: Vec<&str> = fields.iter().map(FieldDescriptor::name).collect();
                    return at.refuse(format!("is not known; here may be {}", known.join(", ")));
                };
                if let Some(choice) = field.containing_oneof().filter(|choice| !choice.is_synthetic())
                    && let Some(other) = given.insert(choice.name().to_owned(), name.to_owned())
                {
                    return at.refuse(format!("is one too many: there is {other}, and only one of them may be"));
                }
                if let Some(value) = at.field(field, value.get_ref()) {
                    set(field, value);
                }
            });
        }
    }

    fn within(&mut self, step: impl Display, span: Range<usize>, read: impl FnOnce(&mut Self)) {
        let length = self.path.len();
        if length > 0 {
            self.path.push('.');
        }
        self.enter(length, &step.to_string(), span, read);
    }

    fn within_element(&mut self, step: impl Display, span: Range<usize>, read: impl FnOnce(&mut Self)) {
        self.enter(self.path.len(), &format!("[{step}]"), span, read);
    }

    fn enter(&mut self, length: usize, step: &str, span: Range<usize>, read: impl FnOnce(&mut Self)) {
        self.path.push_str(step);
        self.positions.insert(self.path.clone(), Position::of(self.text, span.start));
        read(self);
        self.path.truncate(length);
    }

    fn refuse(&mut self, problem: impl Into<String>) {
        // Whatever is read has been entered, so its position is known.
        let position = self.positions.get(&self.path).copied().unwrap_or(Position { line: 1, column: 1 });
        self.problems.push(FileProblem { position, place: self.path.clone(), problem: problem.into() });
    }

    /// The value of a field; `None` if it was refused.
    fn field(&mut self, field: &FieldDescriptor, value: &DeValue<'_>) -> Option<Value> {
        match value {
            DeValue::Array(elements) if field.is_list() => Some(self.list(&field.kind(), elements)),
            DeValue::Table(entries) if field.is_map() => self.map(&field.kind(), entries),
            _ if field.is_list() => {
                self.refuse("is a list: [ … ], or [[…]] for each element");
                None
            }
            _ if field.is_map() => {
                self.refuse("is a table of keys and values");
                None
            }
            value => self.single(&field.kind(), value),
        }
    }

    fn list(&mut self, kind: &Kind, elements: &DeArray<'_>) -> Value {
        let mut list = Vec::new();
        for (place, element) in elements.iter().enumerate() {
            self.within_element(place, element.span(), |at| list.extend(at.single(kind, element.get_ref())));
        }
        Value::List(list)
    }

    fn map(&mut self, kind: &Kind, entries: &DeTable<'_>) -> Option<Value> {
        let value = kind.as_message()?.map_entry_value_field().kind();
        let mut map = HashMap::new();
        for (key, entry) in entries {
            let name: &str = key.get_ref().as_ref();
            self.within_element(echo(name), key.span(), |at| {
                if let Some(value) = at.single(&value, entry.get_ref()) {
                    map.insert(MapKey::String(name.to_owned()), value);
                }
            });
        }
        Some(Value::Map(map))
    }

    fn single(&mut self, kind: &Kind, value: &DeValue<'_>) -> Option<Value> {
        let converted = match (kind, value) {
            (Kind::Message(message), value) if message.full_name() == DURATION => duration(message, value),
            (Kind::Message(message), value) if message.full_name() == ATTRIBUTE => attribute(message, value),
            (Kind::Message(message), DeValue::Table(table)) => return Some(self.message(message, table)),
            (Kind::Message(_), _) => Err("is a table: { … } or [ … ]".to_owned()),
            (kind, value) => scalar(kind, value),
        };
        converted.map_err(|mismatch| self.refuse(mismatch)).ok()
    }

    fn message(&mut self, descriptor: &MessageDescriptor, table: &DeTable<'_>) -> Value {
        let mut message = DynamicMessage::new(descriptor.clone());
        let fields: Vec<FieldDescriptor> = descriptor.fields().collect();
        self.table(table, &fields, |field, value| message.set_field(field, value));
        Value::Message(message)
    }
}

fn scalar(kind: &Kind, value: &DeValue<'_>) -> Result<Value, Mismatch> {
    match (kind, value) {
        (Kind::String, DeValue::String(text)) => Ok(Value::String(text.clone().into_owned())),
        (Kind::String, _) => Err("is a text: \"…\"".to_owned()),
        (Kind::Bool, DeValue::Boolean(value)) => Ok(Value::Bool(*value)),
        (Kind::Bool, _) => Err("is true or false".to_owned()),
        (Kind::Int32, DeValue::Integer(number)) => {
            let number = integer(number).and_then(|number| i32::try_from(number).ok());
            number.map(Value::I32).ok_or_else(|| "is a whole number of up to 2147483647".to_owned())
        }
        (Kind::Int64, DeValue::Integer(number)) => {
            integer(number).map(Value::I64).ok_or_else(|| "is a whole number of 64 bits".to_owned())
        }
        (Kind::Int32 | Kind::Int64, _) => Err("is a whole number".to_owned()),
        (Kind::Double, value) => number(value).map(Value::F64).ok_or_else(|| "is a number".to_owned()),
        (Kind::Bytes, DeValue::String(text)) => {
            let bytes = STANDARD.decode(text.as_bytes()).map_err(|_| "is base64 with its padding".to_owned())?;
            Ok(Value::Bytes(bytes.into()))
        }
        (Kind::Bytes, _) => Err("is a text of base64: \"…\"".to_owned()),
        (Kind::Enum(choices), value) => choice(choices, value),
        _ => Err("cannot be given in a file".to_owned()),
    }
}

fn integer(number: &DeInteger<'_>) -> Option<i64> {
    i64::from_str_radix(number.as_str(), number.radix()).ok()
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a whole number where any number may be is rounded as its text would be"
)]
fn number(value: &DeValue<'_>) -> Option<f64> {
    match value {
        DeValue::Integer(number) => integer(number).map(|number| number as f64),
        DeValue::Float(number) => number.as_str().parse().ok(),
        _ => None,
    }
}

/// A value by its short name: `high_wins` for `LEADERBOARD_ORDER_HIGH_WINS`.
fn choice(choices: &EnumDescriptor, value: &DeValue<'_>) -> Result<Value, Mismatch> {
    let names = short_names(choices);
    let given = value.as_str().and_then(|text| names.iter().find(|(name, _)| name == text));
    given.map(|(_, number)| Value::EnumNumber(*number)).ok_or_else(|| {
        let names: Vec<String> = names.iter().map(|(name, _)| format!("\"{name}\"")).collect();
        format!("is one of {}", names.join(", "))
    })
}

/// All values but the unspecified one, which the first is and whose name tells what all names begin with.
fn short_names(choices: &EnumDescriptor) -> Vec<(String, i32)> {
    let prefix = choices.default_value().name().trim_end_matches("UNSPECIFIED").to_owned();
    let short = |name: &str| name.strip_prefix(&prefix).unwrap_or(name).to_ascii_lowercase();
    let given = choices.values().filter(|value| value.number() != 0);
    given.map(|value| (short(value.name()), value.number())).collect()
}

fn duration(descriptor: &MessageDescriptor, value: &DeValue<'_>) -> Result<Value, Mismatch> {
    let text = || "is a span of time: \"30s\", \"5m\", \"250ms\", \"1h 30m\"".to_owned();
    let span = value.as_str().and_then(|text| humantime::parse_duration(text).ok()).ok_or_else(text)?;
    let seconds = i64::try_from(span.as_secs()).map_err(|_| text())?;
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_name("seconds", Value::I64(seconds));
    // Below 10^9, which an i32 holds.
    message.set_field_by_name("nanos", Value::I32(i32::try_from(span.subsec_nanos()).unwrap_or_default()));
    Ok(Value::Message(message))
}

/// The kind of an attribute is that of its value in the file: `1` is a whole number, `1.0` is not.
fn attribute(descriptor: &MessageDescriptor, value: &DeValue<'_>) -> Result<Value, Mismatch> {
    let (kind, value) = match value {
        DeValue::String(text) => ("string_value", Value::String(text.clone().into_owned())),
        DeValue::Boolean(value) => ("bool_value", Value::Bool(*value)),
        DeValue::Float(number) => {
            ("float_value", Value::F64(number.as_str().parse().map_err(|_| "is a number".to_owned())?))
        }
        DeValue::Integer(number) => {
            let number = integer(number).ok_or_else(|| "is a whole number of 64 bits".to_owned())?;
            ("int_value", Value::I64(number))
        }
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => {
            return Err("is a text, a number, true or false".to_owned());
        }
    };
    let mut message = DynamicMessage::new(descriptor.clone());
    message.set_field_by_name(kind, value);
    Ok(Value::Message(message))
}
