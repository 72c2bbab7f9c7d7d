//! Static pages beside the API.

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::Full;
use pkg_middleware::{PageFile, Pages, Settings};
use tokio::sync::oneshot;

use crate::client::{Raw, http1};
use crate::harness::{local, unbound};

const FILES: [PageFile; 2] = [
    PageFile { path: "/game/", content_type: "text/html; charset=utf-8", content: b"<!doctype html>" },
    PageFile { path: "/game/game.js", content_type: "text/javascript; charset=utf-8", content: b"play()" },
];

fn ask(method: Method, path: &str, known: &[&str]) -> Request<Full<Bytes>> {
    let request = Request::builder().method(method).uri(path).header("host", "localhost");
    let request = known.iter().fold(request, |request, tag| request.header("if-none-match", *tag));
    request.body(Full::default()).expect("a request")
}

#[tokio::test]
async fn pages_are_served_whole_once_and_by_nobody_else() {
    let (server, _harness) =
        unbound(Settings::new(local()), |service| service.pages(Pages::new(&FILES).home("/game/")));
    let bound = server.bind().await.expect("it binds");
    let address = bound.address().expect("it listens");
    let (end, ended) = oneshot::channel::<()>();
    let serving = tokio::spawn(bound.serve(async { drop(ended.await) }));
    let get = async |path: &str, known: &[&str]| http1(address, ask(Method::GET, path, known)).await;
    let status = |answer: &Raw| answer.status.as_u16();

    let page = get("/game/", &[]).await;
    assert_eq!((status(&page), &page.body[..]), (200, &b"<!doctype html>"[..]));
    assert_eq!(page.header("content-type"), ["text/html; charset=utf-8"]);
    assert_eq!(page.header("x-content-type-options"), ["nosniff"]);
    let policy = page.header("content-security-policy").concat();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"), "{policy}");

    // A browser that has it is told so, whoever has weakened the tag.
    let tag = page.header("etag").concat();
    for known in [tag.clone(), format!("\"other\", W/{tag}"), "*".to_owned()] {
        let same = get("/game/", &[&known]).await;
        assert_eq!((status(&same), same.body.len(), same.header("etag").concat()), (304, 0, tag.clone()));
    }
    assert_eq!(status(&get("/game/", &["\"other\""]).await), 200);
    assert_ne!(get("/game/game.js", &[]).await.header("etag").concat(), tag);

    for (path, location) in [("/", "/game/"), ("/game", "/game/")] {
        let found = get(path, &[]).await;
        assert_eq!((status(&found), found.header("location").concat().as_str()), (302, location));
    }
    let head = http1(address, ask(Method::HEAD, "/game/game.js", &[])).await;
    assert_eq!((status(&head), head.body.len(), head.header("content-length").concat().as_str()), (200, 0, "6"));
    let posted = http1(address, ask(Method::POST, "/game/game.js", &[])).await;
    assert_eq!((status(&posted), posted.header("allow").concat().as_str()), (405, "GET, HEAD"));
    assert_eq!(status(&get("/game/other.js", &[]).await), 404);

    end.send(()).expect("it serves");
    serving.await.expect("no panic").expect("it drains");
}
