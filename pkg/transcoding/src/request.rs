//! From an HTTP request to the one gRPC request that it stands for.

use std::collections::HashSet;

use bytes::{BufMut, Bytes, BytesMut};
use http::{Method, Uri, Version};
use http_body_util::Full;
use prost::Message;
use prost_reflect::{DynamicMessage, FieldDescriptor, ReflectMessage, Value};

use crate::fields;
use crate::routes::{BodyRule, Route};
use crate::status::Refusal;
use crate::template::{Reserved, percent_decode};
use crate::{body, headers};

/// How many messages deep a request may nest: prost reads no more than 100.
const MAX_MESSAGE_DEPTH: usize = 99;

/// The request message: the body, then what the path says, then the query.
pub(crate) fn message(route: &Route, path: &[&str], query: &str, json: &[u8]) -> Result<DynamicMessage, Refusal> {
    let input = route.method.input();
    let mut message = match &route.body {
        BodyRule::Ignored => DynamicMessage::new(input),
        BodyRule::Message => body::message(&input, json)?,
        BodyRule::Field(field) => body::message_of_field(&input, field, json)?,
    };
    let mut bound = Bound::new();
    bind_path(route, path, &mut message, &mut bound)?;
    bind_query(query, &mut message, &mut bound)?;
    if depth(&message) > MAX_MESSAGE_DEPTH {
        return Err(Refusal::InvalidField {
            field: String::new(),
            description: "the request is nested too deep".into(),
        });
    }
    Ok(message)
}

/// The request to the service: one message in one frame.
pub(crate) fn grpc(
    route: &Route,
    head: http::request::Parts,
    message: &DynamicMessage,
) -> http::Request<tonic::body::Body> {
    let mut uri = head.uri.into_parts();
    uri.path_and_query = Some(route.grpc_path.clone());

    let mut request = http::Request::new(tonic::body::Body::new(Full::new(frame(message))));
    *request.method_mut() = Method::POST;
    *request.version_mut() = Version::HTTP_2;
    *request.uri_mut() = Uri::from_parts(uri).unwrap_or_else(|_| Uri::from(route.grpc_path.clone()));
    *request.headers_mut() = headers::of_request(head.headers);
    *request.extensions_mut() = head.extensions;
    request
}

/// A length-prefixed message, not compressed.
pub(crate) fn frame(message: &impl Message) -> Bytes {
    let length = message.encoded_len();
    let mut frame = BytesMut::with_capacity(5 + length);
    frame.put_u8(0);
    // No request comes near 4 GiB: its body is limited.
    frame.put_u32(u32::try_from(length).unwrap_or(u32::MAX));
    frame.extend_from_slice(&message.encode_to_vec());
    frame.freeze()
}

/// The fields that have a value, by their numbers.
type Bound = HashSet<Vec<u32>>;

fn bind_path(route: &Route, path: &[&str], message: &mut DynamicMessage, bound: &mut Bound) -> Result<(), Refusal> {
    for (variable, field) in route.template.variables.iter().zip(&route.variables) {
        let refuse = |description: String| Refusal::InvalidField { field: variable.field.clone(), description };
        let text = route.template.capture(variable, path).map_err(|error| refuse(error.to_string()))?;
        // The path wins over the body, a oneof included.
        clear(message, field);
        fields::bind(message, field, &text).map_err(|error| refuse(error.to_string()))?;
        bound.insert(field.iter().map(FieldDescriptor::number).collect());
    }
    Ok(())
}

fn bind_query(query: &str, message: &mut DynamicMessage, bound: &mut Bound) -> Result<(), Refusal> {
    for parameter in query.split('&') {
        let Some((name, value)) = parameter.split_once('=').filter(|(name, _)| !name.is_empty()) else { continue };
        let refuse = |description: &str| Refusal::InvalidParameter {
            field: name.to_owned(),
            description: description.to_owned(),
        };
        let field = fields::resolve(&message.descriptor(), name).ok_or_else(|| refuse("there is no such parameter"))?;
        let numbers = field.iter().map(FieldDescriptor::number).collect();
        let is_list = field.last().is_some_and(FieldDescriptor::is_list);
        if !bound.insert(numbers) && !is_list {
            return Err(refuse("the field takes one value and has one already"));
        }

        let mut decoded = Vec::with_capacity(value.len());
        percent_decode(value, Reserved::Decode, &mut decoded);
        let text = String::from_utf8(decoded).map_err(|_| refuse("the value is not UTF-8"))?;
        fields::bind(message, &field, &text).map_err(|error| refuse(&error.to_string()))?;
    }
    Ok(())
}

fn clear(message: &mut DynamicMessage, field: &[FieldDescriptor]) {
    let Some((first, left)) = field.split_first() else { return };
    if left.is_empty() || !message.has_field(first) {
        message.clear_field(first);
    } else if let Value::Message(inner) = message.get_field_mut(first) {
        clear(inner, left);
    }
}

fn depth(message: &DynamicMessage) -> usize {
    message.fields().map(|(_, value)| depth_of(value)).max().unwrap_or(0)
}

fn depth_of(value: &Value) -> usize {
    match value {
        Value::Message(message) => 1 + depth(message),
        Value::List(values) => values.iter().map(depth_of).max().unwrap_or(0),
        // An entry of a map is a message too.
        Value::Map(values) => 1 + values.values().map(depth_of).max().unwrap_or(0),
        _ => 0,
    }
}
