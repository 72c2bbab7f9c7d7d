use super::*;

use base64::Engine;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use prost::Message;

fn block_on<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// The JSON of any message. A `DynamicMessage` of a recursive type cannot be printed, so it is made in the test.
fn any_message() -> impl Strategy<Value = Json> {
    let numbers = (any::<bool>(), any::<i32>(), any::<i64>(), any::<u64>(), any::<f64>(), any::<f32>());
    let texts = (any::<String>(), vec(any::<u8>(), 0..20), vec(any::<String>(), 0..3), 0..3_i32);
    let known =
        (-62_135_596_800_i64..=253_402_300_799, 0..1_000_000_000_i32, any::<Option<i64>>(), any::<Option<i32>>());
    let rest = (any::<Option<bool>>(), any::<String>(), any::<i32>(), proptest::option::of(any::<String>()));
    (numbers, texts, known, rest).prop_map(|(numbers, texts, known, rest)| {
        let (flag, count, big_count, huge, ratio, ratio32) = numbers;
        let (text, data, list, colour) = texts;
        let (seconds, nanos, maybe_big, given) = known;
        let (maybe, name, page_size, left) = rest;
        let time = prost_types::Timestamp { seconds, nanos };
        let mut json = json!({
            "text": text, "flag": flag, "count": count, "bigCount": big_count, "huge": huge.to_string(),
            "ratio": if ratio.is_finite() { json!(ratio) } else { json!(null) },
            "ratio32": if ratio32.is_finite() { json!(ratio32) } else { json!(null) },
            "texts": list, "colour": colour, "maybeBig": maybe_big, "given": given, "maybe": maybe, "left": left,
            "time": time.to_string(), "span": format!("{}.{nanos:09}s", seconds / 1000),
            "inner": {"name": name, "inner": {"pageSize": page_size}},
            "counts": {name.clone(): big_count}, "free": {name: [text, flag, null_or(page_size)]},
        });
        json["colours"] = json!([colour, 0]);
        json["data"] = json!(base64::engine::general_purpose::STANDARD.encode(data));
        json
    })
}

fn null_or(value: i32) -> Json {
    if value % 2 == 0 { Json::Null } else { json!(value) }
}

/// Requests that look a little like real ones.
fn any_uri() -> impl Strategy<Value = String> {
    let paths = select(vec!["things", "things/", "things:find", "files/", "files/a:open", "counts/", "watch", "texts"]);
    let names = select(vec![
        "text",
        "count",
        "inner.name",
        "inner.inner.page_size",
        "data",
        "time",
        "span",
        "mask",
        "maybe",
        "colour",
        "texts",
        "free",
        "any",
        "ratio",
        "counts",
        "left",
        "right",
        "x",
        "",
        ".",
    ]);
    (paths, "[!-~&&[^ \"#<>?`{}\\^|\\\\]]{0,8}", vec((names, "[!-~&&[^ \"#<>`{}\\^|\\\\]]{0,12}"), 0..4)).prop_map(
        |(path, tail, query)| {
            let query: Vec<String> = query.into_iter().map(|(name, value)| format!("{name}={value}")).collect();
            format!("/v1/{path}{tail}?{}", query.join("&"))
        },
    )
}

/// JSON that nearly fits.
fn any_json() -> impl Strategy<Value = Json> {
    let names = [
        "text", "count", "bigCount", "inner", "inners", "data", "time", "span", "mask", "maybe", "colour", "counts",
        "free", "any", "@type", "empty", "ratio", "ratio32", "left", "value", "name", "x",
    ];
    let leaf = prop_oneof![
        Just(Json::Null),
        any::<bool>().prop_map(|value| json!(value)),
        any::<i64>().prop_map(|value| json!(value)),
        any::<f64>().prop_map(|value| json!(value)),
        any::<String>().prop_map(|value| json!(value)),
        "-?[0-9]{1,20}(\\.[0-9]{0,12})?s?".prop_map(|value| json!(value)),
        "[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}(Z|[+-][0-9]{2}:[0-9]{2})".prop_map(|value| json!(value)),
        select(vec!["type.googleapis.com/test.v1.Inner", "type.googleapis.com/google.protobuf.Duration", "a.B,c_d"])
            .prop_map(|value| json!(value)),
    ];
    leaf.prop_recursive(4, 32, 4, move |inner| {
        let members = vec((select(names.to_vec()), inner.clone()), 0..4);
        prop_oneof![
            vec(inner, 0..3).prop_map(Json::Array),
            members.prop_map(|members| {
                Json::Object(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
            }),
        ]
    })
}

proptest! {
    #[test]
    fn a_message_comes_back_as_it_was(json in any_message()) {
        let sent = message(&json);
        let json = serde_json::to_vec(&sent).unwrap();
        let answer = block_on(post("/v1/things", json));
        prop_assert_eq!(answer.status, 200, "{:?}", answer);
        let received = DynamicMessage::deserialize(everything(), &answer.json()).unwrap();
        // On the wire: a field that is set to its default is the same as one that is not set.
        prop_assert_eq!(received.encode_to_vec(), sent.encode_to_vec());
    }

    #[test]
    fn no_path_or_query_breaks_it(method in select(vec!["GET", "POST", "PUT", "PATCH"]), uri in any_uri()) {
        if let Ok(request) = Request::builder().method(method).uri(uri).body(Full::default()) {
            let answer = block_on(send(request, echo));
            prop_assert!(answer.status.as_u16() < 500, "{:?}", answer);
        }
    }

    #[test]
    fn no_bytes_as_a_path_break_it(path in vec(any::<u8>(), 0..64)) {
        let path = [b"/v1/".as_slice(), &path].concat();
        if let Ok(uri) = http::Uri::try_from(path) {
            let answer = block_on(send(Request::get(uri).body(Full::default()).unwrap(), echo));
            prop_assert!(answer.status.as_u16() < 500, "{:?}", answer);
        }
    }

    #[test]
    fn no_bytes_as_a_body_break_it(body in vec(any::<u8>(), 0..64)) {
        let answer = block_on(post("/v1/things", body));
        prop_assert!(answer.status.as_u16() < 500, "{:?}", answer);
    }

    #[test]
    fn no_json_as_a_body_breaks_it(body in any_json(), path in select(vec!["/v1/things", "/v1/inner", "/v1/texts"])) {
        let answer = block_on(post(path, body.to_string()));
        prop_assert!(answer.status.as_u16() < 500, "{:?}", answer);
    }
}
