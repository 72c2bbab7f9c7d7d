//! The JSON routes, and random requests to them.

use std::sync::Arc;

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor};
use serde_json::Value;

use crate::arbitrary::{Texts, message, text};

const VERBS: [&str; 5] = ["get", "put", "post", "delete", "patch"];
/// What a server takes in one body.
const BODY_LIMIT: usize = 1024 * 1024;
/// How deep arrays lie in one another: deeper than any parser goes.
const NESTING: usize = 10_000;

/// A `google.api.http` rule.
#[derive(Debug, Clone)]
pub struct Route {
    pub verb: String,
    pub template: String,
    request: MessageDescriptor,
}

/// What is sent to a route.
#[derive(Debug, Clone)]
pub struct JsonRequest {
    pub verb: String,
    pub path: String,
    pub body: Bytes,
}

/// The routes of the API that are served: whichever is not is answered with 404, which is no fault.
pub fn of(pool: &DescriptorPool) -> Vec<Route> {
    let annotation = pool.get_extension_by_name("google.api.http").expect("the API has routes");
    let mut routes = Vec::new();
    let methods = pool.services().flat_map(|service| service.methods().collect::<Vec<_>>());
    // The answer of a stream need not end.
    for method in methods.filter(|method| !method.is_server_streaming()) {
        let options = method.options();
        if !options.has_extension(&annotation) {
            continue;
        }
        let rule = options.get_extension(&annotation);
        let rule = rule.as_message().expect("a rule is a message");
        let more = rule.get_field_by_name("additional_bindings");
        let more = more.as_deref().and_then(prost_reflect::Value::as_list).unwrap_or_default();
        for rule in std::iter::once(rule).chain(more.iter().filter_map(prost_reflect::Value::as_message)) {
            let request = method.input();
            routes.extend(pattern(rule).map(|(verb, template)| Route { verb, template, request }));
        }
    }
    routes
}

fn pattern(rule: &DynamicMessage) -> Option<(String, String)> {
    let verb = VERBS.into_iter().find(|verb| rule.has_field_by_name(verb))?;
    let template = rule.get_field_by_name(verb)?.as_str()?.to_owned();
    Some((verb.to_uppercase(), template))
}

/// A request to a route: known and random texts in its path and its query, JSON of all kinds in its body.
pub fn request(route: &Route, texts: &Arc<Texts>) -> impl Strategy<Value = JsonRequest> + use<> {
    let names: Vec<_> = route.request.fields().map(|field| field.json_name().to_owned()).collect();
    let names = prop_oneof![proptest::sample::select([names, vec!["updateMask".to_owned()]].concat()), any::<String>()];
    let query = vec((names, text("", texts)), 0..3);
    let (verb, template) = (route.verb.clone(), route.template.clone());
    (text("_id", texts), query, body(&route.request, texts)).prop_map(move |(text, query, body)| {
        let query: Vec<_> = query.iter().map(|(name, value)| format!("{}={}", encode(name), encode(value))).collect();
        let path = format!("{}?{}", fill(&template, &encode(&text)), query.join("&"));
        JsonRequest { verb: verb.clone(), path, body }
    })
}

fn body(request: &MessageDescriptor, texts: &Arc<Texts>) -> BoxedStrategy<Bytes> {
    // Values that JSON cannot express have no form.
    let like_a_message = message(request, texts).prop_map(|message| serde_json::to_vec(&message).unwrap_or_default());
    let odd = [
        vec![b' '; BODY_LIMIT - 1],
        vec![b' '; BODY_LIMIT + 1],
        vec![b'['; NESTING],
        br#"{"a":"#.repeat(NESTING),
        br#"{"password":1e999999999}"#.to_vec(),
        b"\xff\xfe".to_vec(),
        Vec::new(),
    ];
    prop_oneof![
        6 => like_a_message,
        2 => any_json().prop_map(|json| json.to_string().into_bytes()),
        1 => any::<String>().prop_map(String::into_bytes),
        1 => proptest::sample::select(odd.to_vec()),
    ]
    .prop_map(Bytes::from)
    .boxed()
}

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
    ];
    let name = prop_oneof!["username|password|identifier|profile|player|userId|device", any::<String>()];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        prop_oneof![
            vec(inner.clone(), 0..4).prop_map(Value::from),
            vec((name.clone(), inner), 0..4).prop_map(|pairs| Value::Object(pairs.into_iter().collect())),
        ]
    })
}

/// The template with this text for each of its variables.
fn fill(template: &str, text: &str) -> String {
    let mut filled = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once('{') {
        let (_, after) = after.split_once('}').expect("a variable ends");
        filled += before;
        filled += text;
        rest = after;
    }
    filled + rest
}

fn encode(text: &str) -> String {
    let one = |byte: u8| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' => char::from(byte).to_string(),
        _ => format!("%{byte:02X}"),
    };
    text.bytes().map(one).collect()
}
