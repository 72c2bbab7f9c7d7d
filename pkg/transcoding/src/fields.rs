//! Fields named by dotted paths, and their values as texts: what paths and queries are made of.

use base64::Engine;
use base64::engine::DecodePaddingMode;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor, Value};

/// How deep a dotted path may go: a recursive message would nest without end.
const MAX_FIELD_PATH: usize = 16;

/// Base64 as protobuf's JSON takes it: with or without padding.
const BASE64: GeneralPurposeConfig =
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
static STANDARD: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, BASE64);
static URL_SAFE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::URL_SAFE, BASE64);

/// Why a text cannot be the value of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BindError {
    #[error("the value is not of the field's type")]
    Type,
    #[error("a field of this type cannot be given in a path or a query")]
    Unbindable,
    #[error("another field of the same oneof is given too")]
    Oneof,
}

/// The fields along a dotted path, by their proto or JSON names.
pub(crate) fn resolve(message: &MessageDescriptor, path: &str) -> Option<Vec<FieldDescriptor>> {
    let mut fields: Vec<FieldDescriptor> = Vec::new();
    for name in path.split('.') {
        let parent = match fields.last() {
            None => message.clone(),
            Some(field) => nested(field)?,
        };
        if fields.len() == MAX_FIELD_PATH {
            return None;
        }
        fields.push(named(&parent, name)?);
    }
    Some(fields)
}

/// The field with this JSON or proto name.
pub(crate) fn named(message: &MessageDescriptor, name: &str) -> Option<FieldDescriptor> {
    message.get_field_by_json_name(name).or_else(|| message.get_field_by_name(name))
}

/// Whether the JSON of a message is something of its own rather than an object of its fields.
pub(crate) fn is_well_known(message: &MessageDescriptor) -> bool {
    message.package_name() == "google.protobuf"
}

/// Whether [`bind`] can take a field at all.
pub(crate) fn is_bindable(field: &FieldDescriptor) -> bool {
    let kind = match field.kind() {
        Kind::Message(message) => is_wrapper(&message) || is_text(&message),
        _ => true,
    };
    kind && !field.is_map()
}

/// Gives a field its value: sets it, or appends to it if it is repeated.
pub(crate) fn bind(message: &mut DynamicMessage, path: &[FieldDescriptor], text: &str) -> Result<(), BindError> {
    let Some((field, parents)) = path.split_last() else { return Err(BindError::Unbindable) };
    if !is_bindable(field) {
        return Err(BindError::Unbindable);
    }
    let value = parse(&field.kind(), text)?;

    let mut parent = message;
    for step in parents {
        refuse_oneof_clash(parent, step)?;
        let Value::Message(next) = parent.get_field_mut(step) else { return Err(BindError::Unbindable) };
        parent = next;
    }
    refuse_oneof_clash(parent, field)?;
    if field.is_list() {
        let Value::List(values) = parent.get_field_mut(field) else { return Err(BindError::Unbindable) };
        values.push(value);
        return Ok(());
    }
    parent.try_set_field(field, value).map_err(|_| BindError::Type)
}

fn nested(field: &FieldDescriptor) -> Option<MessageDescriptor> {
    match field.kind() {
        Kind::Message(message) if !field.is_list() && !field.is_map() && !is_well_known(&message) => Some(message),
        _ => None,
    }
}

fn refuse_oneof_clash(message: &DynamicMessage, field: &FieldDescriptor) -> Result<(), BindError> {
    let Some(oneof) = field.containing_oneof() else { return Ok(()) };
    let clash = oneof.fields().any(|other| other != *field && message.has_field(&other));
    if clash { Err(BindError::Oneof) } else { Ok(()) }
}

fn parse(kind: &Kind, text: &str) -> Result<Value, BindError> {
    let value = match kind {
        Kind::Bool => text.parse().ok().map(Value::Bool),
        Kind::Int32 | Kind::Sint32 | Kind::Sfixed32 => text.parse().ok().map(Value::I32),
        Kind::Int64 | Kind::Sint64 | Kind::Sfixed64 => text.parse().ok().map(Value::I64),
        Kind::Uint32 | Kind::Fixed32 => text.parse().ok().map(Value::U32),
        Kind::Uint64 | Kind::Fixed64 => text.parse().ok().map(Value::U64),
        Kind::Float => parse_float(text).map(Value::F32),
        Kind::Double => parse_float(text).map(Value::F64),
        Kind::String => Some(Value::String(text.to_owned())),
        Kind::Bytes => parse_base64(text).map(|bytes| Value::Bytes(bytes.into())),
        Kind::Enum(values) => match values.get_value_by_name(text) {
            Some(value) => Some(Value::EnumNumber(value.number())),
            None => text.parse().ok().map(Value::EnumNumber),
        },
        Kind::Message(message) if is_wrapper(message) => return parse_wrapper(message, text),
        Kind::Message(message) if is_text(message) => {
            let text = serde_json::Value::String(text.to_owned());
            DynamicMessage::deserialize(message.clone(), text).ok().map(Value::Message)
        }
        Kind::Message(_) => return Err(BindError::Unbindable),
    };
    value.ok_or(BindError::Type)
}

fn parse_wrapper(message: &MessageDescriptor, text: &str) -> Result<Value, BindError> {
    let field = message.get_field_by_name("value").ok_or(BindError::Unbindable)?;
    let value = parse(&field.kind(), text)?;
    let mut wrapper = DynamicMessage::new(message.clone());
    wrapper.try_set_field(&field, value).map_err(|_| BindError::Type)?;
    Ok(Value::Message(wrapper))
}

/// Numbers as JSON writes them, and the three words of protobuf; not Rust's `inf`, and nothing too large.
fn parse_float<F: std::str::FromStr + Into<f64> + Copy>(text: &str) -> Option<F> {
    let value: F = text.parse().ok()?;
    let is_word = matches!(text, "NaN" | "Infinity" | "-Infinity");
    (is_word || value.into().is_finite()).then_some(value)
}

fn parse_base64(text: &str) -> Option<Vec<u8>> {
    STANDARD.decode(text).or_else(|_| URL_SAFE.decode(text)).ok()
}

fn is_wrapper(message: &MessageDescriptor) -> bool {
    is_well_known(message)
        && matches!(
            message.name(),
            "BoolValue"
                | "BytesValue"
                | "DoubleValue"
                | "FloatValue"
                | "Int32Value"
                | "Int64Value"
                | "StringValue"
                | "UInt32Value"
                | "UInt64Value"
        )
}

/// Messages whose JSON is one string.
fn is_text(message: &MessageDescriptor) -> bool {
    is_well_known(message) && matches!(message.name(), "Duration" | "FieldMask" | "Timestamp")
}
