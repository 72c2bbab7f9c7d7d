use super::*;

use crate::routes::{Lookup, RouteTable};

/// The gRPC method that a request reaches; the HTTP status if it reaches none.
async fn route(method: &str, path: &str) -> Result<String, u16> {
    let answer = send(request(method, path, ""), |call| {
        let mut response = echo(Call { head: Request::new(()).into_parts().0, message: call.message });
        response.headers_mut().insert("x-method", call.head.uri.path().parse().unwrap());
        response
    })
    .await;
    let method = answer.headers.get("x-method").map(|path| path.to_str().unwrap().to_owned());
    method.map(|path| path.trim_start_matches("/test.v1.Library/").to_owned()).ok_or(answer.status.as_u16())
}

#[tokio::test]
async fn paths_reach_their_methods() {
    let cases = [
        ("GET", "/v1/things/me", Ok("Me")),
        ("GET", "/v1/things/me/", Ok("Me")),
        ("GET", "/v1/things/you", Ok("Get")),
        ("GET", "/v1/things/a:b", Ok("Get")),
        ("DELETE", "/v1/things/me", Ok("Get")),
        ("PURGE", "/v1/things/x", Ok("Get")),
        ("GET", "/v1/things:find", Ok("Find")),
        ("POST", "/v1/things", Ok("Put")),
        ("HEAD", "/v1/any", Ok("Get")),
        ("GET", "/v1/shelves/shelves/1/books/2", Ok("Get")),
        ("GET", "/v1/files", Ok("Get")),
        ("GET", "/v1/files/a/b/c", Ok("Get")),
        ("GET", "/v1/files:open", Ok("Get")),
        ("GET", "/v1/files/a/b:open", Ok("Get")),
        ("GET", "/v1/counts/7/anything", Ok("Get")),
        ("GET", "/v1/shelves/shelves/1/books", Err(404)),
        ("GET", "/v1/shelves/racks/1/books/2", Err(404)),
        ("GET", "/v1/counts/7", Err(404)),
        ("GET", "/v1/things/a/b", Err(404)),
        ("GET", "/v1/things/x:find", Err(404)),
        ("GET", "/", Err(404)),
        ("GET", "/v1", Err(404)),
        ("GET", "/V1/things/me", Err(404)),
        ("POST", "/test.v1.Library/Silent", Err(404)),
        ("POST", "/v1/upload", Err(404)),
        ("OPTIONS", "/v1/things", Err(405)),
        ("HEAD", "/v1/things/x", Err(405)),
    ];
    for (method, path, expected) in cases {
        assert_eq!(route(method, path).await, expected.map(str::to_owned), "{method} {path}");
    }
}

#[tokio::test]
async fn an_asterisk_is_no_path() {
    assert_eq!(send(request("OPTIONS", "*", ""), echo).await.status, 404);
}

#[tokio::test]
async fn what_is_not_routed_is_answered_as_an_error() {
    let answer = get("/nowhere").await;
    assert_eq!(answer.status, 404);
    assert_eq!(answer.reason(), "ROUTE_NOT_FOUND");
    assert_eq!(answer.json()["code"], 5);

    let answer = post("/v1/things/x", "{}").await;
    assert_eq!(answer.status, 405);
    assert_eq!(answer.reason(), "METHOD_NOT_ALLOWED");
    assert_eq!(answer.headers["allow"], "DELETE, GET, PATCH, PURGE, PUT");
}

#[tokio::test]
async fn path_variables_are_decoded() {
    assert_eq!(field(&get("/v1/things/a%2Fb%20%C3%A4").await, "text"), "a/b ä");
    assert_eq!(field(&get("/v1/things/a+b").await, "text"), "a+b");
    assert_eq!(field(&get("/v1/files/a%2Fb/c%20d").await, "text"), "a%2Fb/c d");
    assert_eq!(field(&get("/v1/files/a/b:open").await, "text"), "a/b");
    assert_eq!(field(&get("/v1/files").await, "text"), "");
    assert_eq!(field(&get("/v1/counts/-7/x").await, "count"), -7);
    let inner = field(&get("/v1/shelves/shelves/1/books/2").await, "inner");
    assert_eq!(inner["name"], "shelves/1/books/2");
}

#[tokio::test]
async fn path_variables_of_another_type_are_refused() {
    for (path, variable) in [("/v1/counts/seven/x", "count"), ("/v1/things/%FF", "text")] {
        let answer = get(path).await;
        assert_eq!(answer.status, 400);
        assert_eq!(answer.reason(), "INVALID_FIELD");
        assert_eq!(answer.violation(), variable);
    }
}

fn build(rules: &str) -> Result<Transcoder, RouteError> {
    // Each call of its own file: the tests run side by side.
    let directory = tempfile::tempdir().unwrap();
    let text = format!(
        r#"syntax = "proto3";
        package bad.v1;
        import "google/api/annotations.proto";
        message M {{ string a = 1; repeated string list = 2; M m = 3; map<string, string> map = 4; }}
        service S {{
          {rules}
        }}"#
    );
    std::fs::write(directory.path().join("bad.proto"), text).unwrap();
    Transcoder::new(compile(directory.path(), "bad.proto"), ["bad.v1.S"])
}

fn rule(rule: &str) -> Result<Transcoder, RouteError> {
    build(&format!("rpc A(M) returns (M) {{ option (google.api.http) = {{{rule}}}; }}"))
}

#[test]
fn annotations_that_make_no_route_are_errors() {
    assert!(rule(r#"get: "/v1/{m.a}""#).is_ok());
    assert!(rule(r#"get: "/v1/{m.m.a}" response_body: "m""#).is_ok());
    assert!(matches!(rule(r#"get: "v1""#), Err(RouteError::Template { .. })));
    for bad in ["/v1/{b}", "/v1/{list}", "/v1/{m}", "/v1/{map}", "/v1/{list.a}"] {
        assert!(matches!(rule(&format!("get: \"{bad}\"")), Err(RouteError::Field { .. })), "{bad}");
    }
    assert!(matches!(rule(r#"post: "/v1" body: "b""#), Err(RouteError::Field { .. })));
    assert!(matches!(rule(r#"get: "/v1" response_body: "b""#), Err(RouteError::Field { .. })));
    assert!(matches!(rule(r#"body: "*""#), Err(RouteError::Rule { .. })));
    assert!(matches!(rule(r#"custom: {kind: "" path: "/v1"}"#), Err(RouteError::Rule { .. })));
    let nested = r#"get: "/v1" additional_bindings {get: "/v2" additional_bindings {get: "/v3"}}"#;
    assert!(matches!(rule(nested), Err(RouteError::Rule { .. })));
}

#[test]
fn clashes_are_errors() {
    let clash = |first: &str, second: &str| {
        build(&format!(
            "rpc A(M) returns (M) {{ option (google.api.http) = {{{first}}}; }}
             rpc B(M) returns (M) {{ option (google.api.http) = {{{second}}}; }}"
        ))
    };
    let taken = clash(r#"get: "/v1/{a}""#, r#"get: "/v1/{m.a}""#);
    assert!(
        matches!(taken, Err(RouteError::Clash { method, other, .. }) if method == "bad.v1.S.B" && other == "bad.v1.S.A")
    );
    assert!(matches!(clash(r#"get: "/v1/*""#, r#"get: "/v1/{m.a}""#), Err(RouteError::Clash { .. })));
    assert!(clash(r#"get: "/v1/{a}""#, r#"put: "/v1/{a}""#).is_ok());
    assert!(clash(r#"get: "/v1/{a}""#, r#"get: "/v1/{a}:x""#).is_ok());
}

#[test]
fn services_must_exist() {
    let unknown = Transcoder::new(pool().clone(), ["test.v1.Nobody"]);
    assert!(matches!(unknown, Err(RouteError::UnknownService(name)) if name == "test.v1.Nobody"));
}

#[test]
fn the_api_of_muster_has_routes() {
    let pool = pkg_api::descriptors();
    let services: Vec<String> = pool
        .services()
        .filter(|service| service.package_name().starts_with("muster."))
        .map(|service| service.full_name().to_owned())
        .collect();
    let routes = RouteTable::build(pool, services.iter().map(String::as_str)).unwrap();
    for (path, expected) in [("/v1/players/me", "GetProfile"), ("/v1/players/0198", "GetPlayer")] {
        let found = routes.find(&http::Method::GET, path);
        assert!(matches!(found, Lookup::Found(route, _) if route.method.name() == expected), "{path}");
    }
    // Details of errors are printed by it.
    assert!(pool.get_message_by_name("google.rpc.ErrorInfo").is_some());
}
