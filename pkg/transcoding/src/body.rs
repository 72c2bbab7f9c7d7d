//! The body of a request: reading it, and its JSON as a message.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use http::header::{self, HeaderValue};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use prost_reflect::{DynamicMessage, FieldDescriptor, Kind, MessageDescriptor};
use serde::de::value::MapDeserializer;
use serde_json::error::Category;
use serde_json::value::RawValue;
use tonic::codegen::StdError;

use crate::fields;
use crate::status::Refusal;

/// How long a client may take to send a body.
const BODY_TIMEOUT: Duration = Duration::from_secs(30);

/// How many messages deep a refused body is searched for the field at fault; each level reads it once more.
const FAULT_DEPTH: usize = 8;

/// Reads a body of at most `limit` bytes. What is not empty must be JSON.
pub(crate) async fn read<B>(body: B, headers: &HeaderMap, limit: usize) -> Result<Bytes, Refusal>
where
    B: http_body::Body<Data = Bytes>,
    B::Error: Into<StdError>,
{
    if usize::try_from(body.size_hint().lower()).unwrap_or(usize::MAX) > limit {
        return Err(Refusal::BodyTooLarge { limit });
    }
    let body = std::pin::pin!(Limited::new(body, limit));
    let body = tokio::time::timeout(BODY_TIMEOUT, body.collect()).await.map_err(|_| Refusal::BodyTimeout)?;
    let bytes = match body {
        Ok(body) => body.to_bytes(),
        Err(error) if error.is::<LengthLimitError>() => return Err(Refusal::BodyTooLarge { limit }),
        Err(_) => return Err(Refusal::BodyUnreadable),
    };
    if bytes.is_empty() || is_json(headers) && is_plain(headers) {
        return Ok(bytes);
    }
    Err(Refusal::NotJson)
}

/// The message that a whole body is. An empty body is an empty message.
pub(crate) fn message(descriptor: &MessageDescriptor, json: &[u8]) -> Result<DynamicMessage, Refusal> {
    if json.iter().all(u8::is_ascii_whitespace) {
        return Ok(DynamicMessage::new(descriptor.clone()));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(json);
    let message = DynamicMessage::deserialize(descriptor.clone(), &mut deserializer)
        .and_then(|message| deserializer.end().map(|()| message));
    message.map_err(|error| match error.classify() {
        Category::Data => refuse(descriptor, json, &error),
        Category::Io | Category::Syntax | Category::Eof => malformed(&error),
    })
}

/// The message that has the body as one of its fields. An empty body leaves the field unset.
pub(crate) fn message_of_field(
    descriptor: &MessageDescriptor,
    field: &FieldDescriptor,
    json: &[u8],
) -> Result<DynamicMessage, Refusal> {
    if json.iter().all(u8::is_ascii_whitespace) {
        return Ok(DynamicMessage::new(descriptor.clone()));
    }
    // Parsed first: text pasted into an object must not bring fields of its own.
    let value: &RawValue = serde_json::from_slice(json).map_err(|error| malformed(&error))?;
    let name = serde_json::Value::String(field.json_name().to_owned());
    message(descriptor, format!("{{{name}:{value}}}").as_bytes())
}

/// The content type that `curl -d` sends unless it is told otherwise. The body is read as JSON all the same: Envoy's
/// transcoder does so, and a form has no meaning here.
const CURL_DEFAULT: &str = "application/x-www-form-urlencoded";

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return true };
    let Ok(value) = value.to_str() else { return false };
    let mut parts = value.split(';').map(|part| part.trim().to_ascii_lowercase());
    let is_json = parts.next().is_some_and(|media| {
        media == "application/json"
            || media == CURL_DEFAULT
            || media.starts_with("application/") && media.ends_with("+json")
    });
    is_json && parts.all(|part| part.strip_prefix("charset=").is_none_or(|name| name.trim_matches('"') == "utf-8"))
}

fn is_plain(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_ENCODING).is_none_or(|value| value == HeaderValue::from_static("identity"))
}

fn malformed(error: &serde_json::Error) -> Refusal {
    Refusal::MalformedJson { line: error.line(), column: error.column() }
}

/// Tells which field of well-formed JSON does not fit the message.
fn refuse(descriptor: &MessageDescriptor, json: &[u8], error: &serde_json::Error) -> Refusal {
    match serde_json::from_slice(json) {
        Ok(json) => fault(descriptor, &json, FAULT_DEPTH)
            .unwrap_or_else(|| Refusal::InvalidField { field: String::new(), description: error.to_string() }),
        Err(error) => malformed(&error),
    }
}

fn fault(message: &MessageDescriptor, json: &serde_json::Value, depth: usize) -> Option<Refusal> {
    if fields::is_well_known(message) {
        return None;
    }
    for (name, value) in json.as_object()? {
        let field = fields::named(message, name);
        if field.is_none() && message.get_extension_by_json_name(name).is_none() {
            return Some(Refusal::InvalidField { field: name.clone(), description: "there is no such field".into() });
        }
        let only = MapDeserializer::new(std::iter::once((name.as_str(), value)));
        let Err::<_, serde_json::Error>(error) = DynamicMessage::deserialize(message.clone(), only) else { continue };

        let inner = match field.map(|field| field.kind()) {
            Some(Kind::Message(inner)) if depth > 1 => fault_inside(&inner, value, depth - 1),
            _ => None,
        };
        let description = error.to_string();
        return Some(match inner {
            Some((place, Refusal::InvalidField { field, description })) => {
                Refusal::InvalidField { field: format!("{name}{place}.{field}"), description }
            }
            _ => Refusal::InvalidField { field: name.clone(), description },
        });
    }
    None
}

/// The fault in a message or in a list of messages, and the place in the list.
fn fault_inside(message: &MessageDescriptor, value: &serde_json::Value, depth: usize) -> Option<(String, Refusal)> {
    let Some(values) = value.as_array() else {
        return fault(message, value, depth).map(|fault| (String::new(), fault));
    };
    let mut values = values.iter().enumerate();
    values.find_map(|(at, value)| fault(message, value, depth).map(|fault| (format!("[{at}]"), fault)))
}
