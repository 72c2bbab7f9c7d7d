use super::*;

use std::sync::{Arc, Mutex};

async fn query(query: &str) -> Answer {
    get(&format!("/v1/things:find?{query}")).await
}

#[tokio::test]
async fn query_parameters_become_fields() {
    let cases = [
        ("text=a%20b%26c+d", "text", json!("a b&c+d")),
        ("flag=true", "flag", json!(true)),
        ("bigCount=-9007199254740993", "bigCount", json!("-9007199254740993")),
        ("big_count=5", "bigCount", json!("5")),
        ("huge=18446744073709551615", "huge", json!("18446744073709551615")),
        ("small=4294967295", "small", json!(4_294_967_295_u32)),
        ("odd=-3", "odd", json!("-3")),
        ("ratio=1.5e3", "ratio", json!(1500.0)),
        ("ratio=-Infinity", "ratio", json!("-Infinity")),
        ("data=-_8=", "data", json!("+/8=")),
        ("data=%2B%2F8", "data", json!("+/8=")),
        ("colour=COLOUR_RED", "colour", json!("COLOUR_RED")),
        ("colour=1", "colour", json!("COLOUR_RED")),
        ("colour=9", "colour", json!(9)),
        ("texts=a&texts=b", "texts", json!(["a", "b"])),
        ("colours=1&colours=COLOUR_UNSPECIFIED", "colours", json!(["COLOUR_RED", "COLOUR_UNSPECIFIED"])),
        ("inner.page_size=5&inner.name=x", "inner", json!({"name": "x", "pageSize": 5})),
        ("inner.inner.pageSize=5", "inner", json!({"name": "", "pageSize": 0, "inner": {"name": "", "pageSize": 5}})),
        ("time=2026-01-02T03:04:05.006Z", "time", json!("2026-01-02T03:04:05.006Z")),
        ("span=1.5s", "span", json!("1.500s")),
        ("mask=inner.pageSize,text", "mask", json!("inner.pageSize,text")),
        ("maybe=false", "maybe", json!(false)),
        ("maybe_big=7", "maybeBig", json!("7")),
        ("maybeText=", "maybeText", json!("")),
        ("given=0", "given", json!(0)),
        ("left=x", "left", json!("x")),
        ("", "text", json!("")),
        ("&&ignored&=x", "text", json!("")),
    ];
    for (text, name, expected) in cases {
        assert_eq!(field(&query(text).await, name), expected, "{text}");
    }
}

#[tokio::test]
async fn query_parameters_that_fit_nothing_are_refused_by_name() {
    let cases = [
        ("texts=a&nope=1", "nope"),
        ("inner.nope=1", "inner.nope"),
        ("text.x=1", "text.x"),
        ("texts.x=1", "texts.x"),
        ("time.seconds=1", "time.seconds"),
        ("text=a&text=b", "text"),
        ("big_count=1&bigCount=2", "bigCount"),
        ("flag=yes", "flag"),
        ("count=2147483648", "count"),
        ("small=-1", "small"),
        ("ratio=inf", "ratio"),
        ("ratio32=1e99", "ratio32"),
        ("data=*", "data"),
        ("colour=BLUE", "colour"),
        ("time=yesterday", "time"),
        ("span=1", "span"),
        ("counts=1", "counts"),
        ("inner=1", "inner"),
        ("free=1", "free"),
        ("left=a&right=b", "right"),
        ("text=%FF", "text"),
        (".=1", "."),
    ];
    for (text, name) in cases {
        let answer = query(text).await;
        assert_eq!(answer.status, 400, "{text}");
        assert_eq!(answer.reason(), "INVALID_FIELD", "{text}");
        assert_eq!(answer.violation(), name, "{text}");
    }
    // What the path says cannot be said again.
    assert_eq!(get("/v1/things/x?text=y").await.violation(), "text");

    let deep = format!("{}name=x", "inner.".repeat(5000));
    assert_eq!(query(&deep).await.status, 400);
}

#[tokio::test]
async fn bodies_become_messages() {
    let answer = post("/v1/things", r#"{"text":"a","bigCount":"7","inner":{"page_size":3},"counts":{"k":1}}"#).await;
    assert_eq!(field(&answer, "bigCount"), "7");
    assert_eq!(answer.json()["inner"]["pageSize"], 3);
    assert_eq!(answer.json()["counts"], json!({"k": "1"}));

    for empty in ["", " \n", "{}"] {
        assert_eq!(field(&post("/v1/things", empty).await, "text"), "");
    }

    // The path wins over the body.
    let answer = send(request("PUT", "/v1/things/path", r#"{"text":"body","count":2}"#), echo).await;
    assert_eq!(field(&answer, "text"), "path");
    assert_eq!(answer.json()["count"], 2);

    // A field as the body, and the others in the query.
    let answer = send(request("PATCH", "/v1/things/x?mask=inner.name&count=3", r#"{"name":"n"}"#), echo).await;
    assert_eq!(field(&answer, "inner"), json!({"name": "n", "pageSize": 0}));
    assert_eq!(answer.json()["mask"], "inner.name");
    let answer = send(request("PATCH", "/v1/things/x", ""), echo).await;
    assert_eq!(answer.json().get("inner"), None);

    // The body of a method that takes none is not read.
    let answer = send(request("DELETE", "/v1/things/x", "not json"), echo).await;
    assert_eq!(answer.status, 200);
}

#[tokio::test]
async fn fields_of_a_body_that_fit_nothing_are_refused_by_name() {
    let cases = [
        (r#"{"nope":1}"#, "nope"),
        (r#"{"text":"a","inner":{"inner":{"nope":1}}}"#, "inner.inner.nope"),
        (r#"{"inners":[{},{"pageSize":"x"}]}"#, "inners[1].pageSize"),
        (r#"{"count":"x"}"#, "count"),
        (r#"{"flag":1}"#, "flag"),
        (r#"{"colour":"BLUE"}"#, "colour"),
        (r#"{"time":"yesterday"}"#, "time"),
        (r#"{"left":"a","right":"b"}"#, ""),
        ("[]", ""),
        ("null", ""),
        (r#""text""#, ""),
    ];
    for (body, name) in cases {
        let answer = post("/v1/things", body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.reason(), "INVALID_FIELD", "{body}");
        assert_eq!(answer.violation(), name, "{body}");
        assert_eq!(answer.json()["code"], 3);
    }
    let answer = send(request("PATCH", "/v1/things/x", r#"{"nope":1}"#), echo).await;
    assert_eq!(answer.violation(), "inner.nope");
}

#[tokio::test]
async fn bodies_that_are_not_json_are_refused() {
    for body in ["{", "text", r#"{"text":"a"} x"#, r#"{"text":"\q"}"#, "{\"text\":\"\u{0}\"}", r#"{"nope":1"#] {
        let answer = post("/v1/things", body).await;
        assert_eq!(answer.status, 400, "{body}");
        assert_eq!(answer.reason(), "MALFORMED_JSON", "{body}");
    }
    // Text cannot leave the field that it is the body of.
    let answer = send(request("PATCH", "/v1/things/x", r#"{},"count":7"#), echo).await;
    assert_eq!(answer.reason(), "MALFORMED_JSON");
}

#[tokio::test]
async fn what_nests_too_deep_is_refused() {
    for depth in [40, 99, 100, 120, 5000] {
        let body = format!("{}{}", r#"{"inner":"#.repeat(depth), "{}".to_owned() + &"}".repeat(depth));
        let status = post("/v1/things", body).await.status;
        assert_eq!(status, if depth <= 99 { 200 } else { 400 }, "{depth}");
        let body = format!(r#"{{"free":{{"a":{}{}}}}}"#, "[".repeat(depth), "]".repeat(depth));
        let status = post("/v1/things", body).await.status;
        assert_eq!(status, if depth <= 40 { 200 } else { 400 }, "{depth}");
    }
}

#[tokio::test]
async fn bodies_are_limited() {
    let small = transcoder().clone().with_body_limit(20);
    for (body, status) in [(r#"{"text":"123456789"}"#, 200), (r#"{"text":"1234567890"}"#, 413)] {
        let Ok(response) = service(&small, echo).oneshot(request("POST", "/v1/things", body)).await;
        assert_eq!(collect(response).await.status, status);
    }

    // Of unknown length.
    let (sender, response) = script();
    for _ in 0..3 {
        sender.send(Ok(Frame::data(Bytes::from_static(b"          ")))).unwrap();
    }
    let streamed = Request::post("/v1/things").body(response.into_body()).unwrap();
    let mut service =
        small.layer_over(service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::default()) }));
    let Ok(response) = service.call(streamed).await;
    let answer = collect(response).await;
    assert_eq!(answer.status, 413);
    assert_eq!(answer.reason(), "BODY_TOO_LARGE");
}

#[tokio::test(start_paused = true)]
async fn bodies_that_never_end_or_break_off_are_refused() {
    let inner = service_fn(|_: Request<Body>| async { Ok::<_, Infallible>(Response::default()) });
    let (sender, response) = script();
    let Ok(response) =
        transcoder().layer_over(inner).oneshot(Request::post("/v1/things").body(response.into_body()).unwrap()).await;
    drop(sender);
    let answer = collect(response).await;
    assert_eq!(answer.status, 408);
    assert_eq!(answer.reason(), "BODY_TIMEOUT");

    let (sender, response) = script();
    sender.send(Err(Status::new(Code::Cancelled, "gone"))).unwrap();
    let Ok(response) =
        transcoder().layer_over(inner).oneshot(Request::post("/v1/things").body(response.into_body()).unwrap()).await;
    assert_eq!(collect(response).await.reason(), "BODY_UNREADABLE");
}

#[tokio::test]
async fn content_types_are_checked() {
    let cases = [
        ("application/json", 200),
        ("Application/JSON; Charset=UTF-8", 200),
        ("application/json;charset=\"utf-8\"", 200),
        ("application/merge-patch+json", 200),
        ("application/json; charset=latin1", 415),
        ("application/x-www-form-urlencoded", 200),
        ("text/plain", 415),
        ("application/grpc", 415),
        ("", 415),
    ];
    for (content_type, status) in cases {
        let mut request = request("POST", "/v1/things", r#"{"text":"a"}"#);
        request.headers_mut().insert("content-type", content_type.parse().unwrap());
        let answer = send(request, echo).await;
        assert_eq!(answer.status, status, "{content_type}");
        if status == 415 {
            assert_eq!(answer.reason(), "UNSUPPORTED_CONTENT_TYPE");
        }
    }
    let mut compressed = request("POST", "/v1/things", "{}");
    compressed.headers_mut().insert("content-encoding", "gzip".parse().unwrap());
    assert_eq!(send(compressed, echo).await.status, 415);
    // There is no body for the type to be wrong about.
    let mut empty = request("POST", "/v1/things", "");
    empty.headers_mut().insert("content-type", "text/plain".parse().unwrap());
    assert_eq!(send(empty, echo).await.status, 200);
}

#[tokio::test]
async fn the_grpc_request_is_as_grpc_wants_it() {
    #[derive(Clone, PartialEq, Debug)]
    struct Peer(u16);

    let mut request = request("GET", "/v1/things/me?count=1", "");
    let forwarded = [
        ("authorization", "Bearer x"),
        ("x-request-id", "id"),
        ("traceparent", "00-1-2-03"),
        ("tracestate", "a=b"),
        ("user-agent", "test"),
        ("x-forwarded-for", "192.0.2.1"),
        ("accept-language", "pt-BR"),
        ("grpc-timeout", "5S"),
        ("x-other", "kept"),
    ];
    let ended = [
        ("host", "localhost"),
        ("connection", "keep-alive, X-Mine"),
        ("x-mine", "hop"),
        ("keep-alive", "5"),
        ("transfer-encoding", "chunked"),
        ("content-length", "0"),
        ("grpc-accept-encoding", "gzip"),
    ];
    for (name, value) in forwarded.into_iter().chain(ended) {
        request.headers_mut().insert(name, value.parse().unwrap());
    }
    request.extensions_mut().insert(Peer(7));

    let seen = Arc::new(Mutex::new(None));
    let record = Arc::clone(&seen);
    let answer = send(request, move |call| {
        *record.lock().unwrap() = Some(call.head.clone());
        echo(call)
    })
    .await;
    assert_eq!(answer.status, 200);

    let head = seen.lock().unwrap().take().unwrap();
    assert_eq!(head.method, "POST");
    assert_eq!(head.uri, "/test.v1.Library/Me");
    assert_eq!(head.version, http::Version::HTTP_2);
    assert_eq!(head.headers["content-type"], "application/grpc");
    assert_eq!(head.headers["te"], "trailers");
    assert_eq!(head.extensions.get::<Peer>(), Some(&Peer(7)));
    for (name, value) in forwarded {
        assert_eq!(head.headers[name], value);
    }
    for (name, _) in ended {
        assert!(!head.headers.contains_key(name), "{name}");
    }
}
