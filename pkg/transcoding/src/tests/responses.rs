use super::*;

use prost::Message;
use tonic_types::{ErrorDetails, StatusExt, pb};

#[tokio::test]
async fn fields_without_presence_are_always_printed() {
    let answer = get("/v1/things/me").await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers["content-type"], "application/json");
    assert_eq!(
        answer.json(),
        json!({
            "text": "", "flag": false, "count": 0, "bigCount": "0", "huge": "0", "ratio": 0.0, "ratio32": 0.0,
            "data": "", "colour": "COLOUR_UNSPECIFIED", "texts": [], "colours": [], "counts": {}, "inners": [],
            "small": 0, "odd": "0",
        })
    );
}

#[tokio::test]
async fn one_field_may_be_the_whole_answer() {
    assert_eq!(post("/v1/texts", r#"["a","b"]"#).await.json(), json!(["a", "b"]));
    assert_eq!(post("/v1/texts", "").await.json(), json!([]));
    assert_eq!(post("/v1/inner", r#"{"pageSize":1}"#).await.json(), json!({"name": "", "pageSize": 1}));
    assert_eq!(post("/v1/inner", "").await.json(), json!({"name": "", "pageSize": 0}));
    assert_eq!(&post("/v1/ratio", "0.1").await.body[..], b"0.1");
}

#[tokio::test]
async fn headers_of_the_service_come_back_without_those_of_grpc() {
    let answer = send(request("GET", "/v1/things/me", ""), |call| {
        let mut response = echo(call);
        for (name, value) in
            [("x-request-id", "id"), ("grpc-encoding", "identity"), ("content-type", "application/grpc")]
        {
            response.headers_mut().insert(name, value.parse().unwrap());
        }
        response
    })
    .await;
    assert_eq!(answer.headers["x-request-id"], "id");
    assert_eq!(answer.headers["content-type"], "application/json");
    assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("grpc-")));
}

#[tokio::test]
async fn codes_become_http_statuses() {
    let statuses = [499, 500, 400, 504, 404, 409, 403, 429, 400, 409, 400, 501, 500, 503, 500, 401];
    for (code, http) in (1..).zip(statuses) {
        for is_trailers_only in [true, false] {
            let answer = send(request("GET", "/v1/things/me", ""), move |_| {
                let status = Status::new(Code::from_i32(code), "a – message");
                if is_trailers_only { status.into_http() } else { answer(&[], &status) }
            })
            .await;
            assert_eq!(answer.status, http);
            assert_eq!(answer.json(), json!({"code": code, "message": "a – message", "details": []}));
            assert_eq!(answer.headers["content-type"], "application/json");
            assert_eq!(answer.headers.contains_key("www-authenticate"), code == 16);
            assert!(answer.headers.keys().all(|name| !name.as_str().starts_with("grpc-")));
        }
    }
}

#[tokio::test]
async fn details_are_printed_by_type_and_unknown_ones_left_out() {
    let mut details = ErrorDetails::new();
    details
        .set_error_info("BUSY", "muster", [("queue".to_owned(), "ranked".to_owned())])
        .set_retry_info(Some(std::time::Duration::from_millis(2001)))
        .add_bad_request_violation("count", "too many");
    let status = Status::with_error_details(Code::ResourceExhausted, "busy", details);
    let mut rich = pb::Status::decode(status.details()).unwrap();
    rich.details.push(prost_types::Any { type_url: "type.googleapis.com/not.Known".into(), value: vec![8, 1] });
    rich.details.push(prost_types::Any {
        type_url: "type.googleapis.com/google.protobuf.Duration".into(),
        value: prost_types::Duration { seconds: 3, nanos: 0 }.encode_to_vec(),
    });
    let status = Status::with_details(status.code(), "busy", rich.encode_to_vec().into());

    let answer = send(request("GET", "/v1/things/me", ""), move |_| answer(&[], &status)).await;
    assert_eq!(answer.status, 429);
    assert_eq!(answer.headers["retry-after"], "3");
    assert_eq!(answer.reason(), "BUSY");
    assert_eq!(answer.violation(), "count");
    let json = answer.json();
    assert_eq!(json["details"].as_array().unwrap().len(), 4);
    assert_eq!(detail(&json, "type.googleapis.com/google.rpc.RetryInfo")["retryDelay"], "2.001s");
    assert_eq!(detail(&json, "type.googleapis.com/google.protobuf.Duration")["value"], "3s");
}

#[tokio::test]
async fn answers_that_are_not_grpc_are_internal_errors() {
    let ok = Status::new(Code::Ok, "");
    let cases: [fn(&Status) -> Response<Body>; 7] = [
        |ok| answer(&[], ok),
        |ok| answer(&[DynamicMessage::new(everything()), DynamicMessage::new(everything())], ok),
        |_| Response::new(Body::empty()),
        |_| Response::new(Body::new(Full::new(Bytes::from_static(&[0, 0, 0, 0, 0])))),
        |ok| raw(&[0, 0, 0, 0, 2, 0], ok),
        |ok| raw(&[1, 0, 0, 0, 0], ok),
        |ok| raw(&[0, 255, 255, 255, 255], ok),
    ];
    for case in cases {
        let ok = ok.clone();
        let answer = send(request("GET", "/v1/things/me", ""), move |_| case(&ok)).await;
        assert_eq!(answer.status, 500);
        assert_eq!(answer.reason(), "INVALID_RESPONSE");
    }

    // Not gRPC, but HTTP that says something.
    let answer =
        send(request("GET", "/v1/things/me", ""), |_| Response::builder().status(503).body(Body::empty()).unwrap())
            .await;
    assert_eq!((answer.status.as_u16(), answer.json()["code"].as_i64()), (503, Some(14)));
}

fn raw(data: &[u8], status: &Status) -> Response<Body> {
    let (sender, response) = script();
    sender.send(Ok(Frame::data(Bytes::copy_from_slice(data)))).unwrap();
    sender.send(Ok(trailers(status))).unwrap();
    response
}

/// A server stream whose frames come when the test sends them.
async fn watch() -> (mpsc::UnboundedSender<Result<Frame<Bytes>, Status>>, Response<Body>) {
    let (sender, response) = script();
    let response = std::sync::Arc::new(std::sync::Mutex::new(Some(response)));
    let mut service = service(transcoder(), move |_| response.lock().unwrap().take().unwrap());
    let Ok(response) = service.call(request("GET", "/v1/watch", "")).await;
    (sender, response)
}

async fn next_line(body: &mut Body) -> Option<Json> {
    let line = body.frame().await?.unwrap().into_data().unwrap();
    assert_eq!(line.iter().position(|byte| *byte == b'\n'), Some(line.len() - 1));
    Some(serde_json::from_slice(&line).unwrap())
}

#[tokio::test]
async fn streams_are_lines_that_come_as_they_are_sent() {
    let (sender, response) = watch().await;
    // The headers do not wait for a message.
    assert_eq!(response.status(), 200);
    assert_eq!(response.headers()["content-type"], "application/json");
    let mut body = response.into_body();

    let first = frame(&message(&json!({"text": "one\ntwo"})));
    let (head, tail) = first.split_at(7);
    sender.send(Ok(Frame::data(Bytes::copy_from_slice(head)))).unwrap();
    sender.send(Ok(Frame::data(Bytes::copy_from_slice(tail)))).unwrap();
    assert_eq!(next_line(&mut body).await.unwrap()["text"], "one\ntwo");

    let two = [frame(&message(&json!({"count": 2}))), frame(&message(&json!({"count": 3})))].concat();
    sender.send(Ok(Frame::data(two.into()))).unwrap();
    assert_eq!(next_line(&mut body).await.unwrap()["count"], 2);
    assert_eq!(next_line(&mut body).await.unwrap()["count"], 3);
    assert!(!body.is_end_stream());

    sender.send(Ok(trailers(&Status::new(Code::Ok, "")))).unwrap();
    assert!(next_line(&mut body).await.is_none());
    assert!(body.is_end_stream());
}

#[tokio::test]
async fn a_stream_that_breaks_ends_with_its_error() {
    let failure = || {
        Status::with_error_details(Code::Unavailable, "drained", {
            let mut details = ErrorDetails::new();
            details.set_error_info("DRAINING", "muster", []);
            details
        })
    };
    let cases = [
        (Some(Ok(trailers(&failure()))), 14, "DRAINING"),
        (Some(Err(failure())), 14, "DRAINING"),
        (Some(Ok(Frame::data(Bytes::from_static(&[1, 0, 0, 0, 0])))), 13, "INVALID_RESPONSE"),
        (None, 13, "INVALID_RESPONSE"),
    ];
    for (last, code, reason) in cases {
        let (sender, response) = watch().await;
        let mut body = response.into_body();
        sender.send(Ok(Frame::data(frame(&message(&json!({"count": 1})))))).unwrap();
        sender.send(last.unwrap_or_else(|| Ok(Frame::data(Bytes::new())))).unwrap();
        drop(sender);

        assert_eq!(next_line(&mut body).await.unwrap()["count"], 1);
        let error = next_line(&mut body).await.unwrap()["error"].clone();
        assert_eq!(error["code"], code);
        assert_eq!(detail(&error, "type.googleapis.com/google.rpc.ErrorInfo")["reason"], reason);
        assert!(next_line(&mut body).await.is_none());
    }
}

#[tokio::test]
async fn a_stream_that_fails_at_once_has_the_status_of_its_error() {
    for is_trailers_only in [true, false] {
        let answer = send(request("GET", "/v1/watch", ""), move |_| {
            let status = Status::new(Code::PermissionDenied, "no");
            if is_trailers_only { status.into_http() } else { answer(&[], &status) }
        })
        .await;
        assert_eq!(answer.status, 403);
        assert_eq!(answer.json()["code"], 7);
    }
    let ok = Status::new(Code::Ok, "");
    for empty in [ok.clone().into_http(), answer(&[], &ok)] {
        let empty = std::sync::Arc::new(std::sync::Mutex::new(Some(empty)));
        let answer = send(request("POST", "/v1/watch", "{}"), move |_| empty.lock().unwrap().take().unwrap()).await;
        assert_eq!((answer.status.as_u16(), answer.body.len()), (200, 0));
    }
}
