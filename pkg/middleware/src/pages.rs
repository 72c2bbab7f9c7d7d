//! Static pages beside the API: files that are part of the executable.

use std::collections::HashMap;
use std::hash::{DefaultHasher, Hasher};

use bytes::Bytes;
use http::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, ETAG, IF_NONE_MATCH, LOCATION, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use http::{HeaderMap, HeaderValue, Method, Request, Response, StatusCode};
use tonic::Code;
use tonic::body::Body;

use crate::refusal::{refusal, text};

/// Browsers keep a file, but ask each time whether it is still the same one: by its `ETag`, which costs a round trip.
const CACHE: HeaderValue = HeaderValue::from_static("no-cache");

/// Pages load what is served beside them, speak with the API beside them, and nothing else; nobody frames them.
const POLICY: HeaderValue = HeaderValue::from_static(
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
     base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
);

/// A file of a page.
#[derive(Clone, Copy, Debug)]
pub struct PageFile {
    /// Where it is served, such as `/duel/duel.css`. One that ends with a slash is the page of a folder.
    pub path: &'static str,
    /// Its media type.
    pub content_type: &'static str,
    /// What is in it.
    pub content: &'static [u8],
}

/// Pages that a [`Service`](crate::Service) serves to everybody.
#[derive(Debug, Default)]
pub struct Pages {
    files: HashMap<&'static str, Served>,
    redirects: HashMap<String, HeaderValue>,
}

#[derive(Debug)]
struct Served {
    content: Bytes,
    content_type: &'static str,
    tag: HeaderValue,
}

impl Pages {
    /// Pages of these files. The page of a folder is found without its slash, too.
    #[must_use]
    pub fn new(files: &[PageFile]) -> Self {
        let folders = files.iter().filter_map(|file| Some((file.path.strip_suffix('/')?, file.path)));
        let folders = folders.filter(|(name, _)| !name.is_empty());
        let redirects = folders.map(|(name, path)| (name.to_owned(), HeaderValue::from_static(path))).collect();
        let files = files.iter().map(|file| {
            let PageFile { path, content_type, content } = *file;
            (path, Served { content: Bytes::from_static(content), content_type, tag: tag(content) })
        });
        Self { files: files.collect(), redirects }
    }

    /// Leads whoever asks for `/` to this path.
    #[must_use]
    pub fn home(mut self, path: &'static str) -> Self {
        self.redirects.insert("/".to_owned(), HeaderValue::from_static(path));
        self
    }

    /// Both; where they have the same path, it is the others'.
    #[must_use]
    pub fn and(mut self, others: Self) -> Self {
        self.files.extend(others.files);
        self.redirects.extend(others.redirects);
        self
    }

    /// The answer, if the path is one of ours.
    pub(crate) fn answer(&self, request: &Request<Body>) -> Option<Response<Body>> {
        let path = request.uri().path();
        let (file, redirect) = (self.files.get(path), self.redirects.get(path));
        if file.is_none() && redirect.is_none() {
            return None;
        }
        if request.method() != Method::GET && request.method() != Method::HEAD {
            return Some(only_read());
        }
        file.map(|file| file.answer(request.headers())).or_else(|| redirect.map(found))
    }
}

impl Served {
    fn answer(&self, asked: &HeaderMap) -> Response<Body> {
        let mut response = if is_known(asked, &self.tag) {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NOT_MODIFIED;
            response
        } else {
            text(StatusCode::OK, self.content_type, self.content.clone())
        };
        let headers = response.headers_mut();
        headers.insert(ETAG, self.tag.clone());
        headers.insert(CACHE_CONTROL, CACHE);
        headers.insert(CONTENT_SECURITY_POLICY, POLICY);
        headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
        headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        response
    }
}

/// Whether the browser has this very file. Proxies may weaken the tags that pass through them.
fn is_known(asked: &HeaderMap, tag: &HeaderValue) -> bool {
    let lists = asked.get_all(IF_NONE_MATCH).iter().filter_map(|list| list.to_str().ok());
    let mut known = lists.flat_map(|list| list.split(',')).map(|known| known.trim().trim_start_matches("W/"));
    known.any(|known| known == "*" || known.as_bytes() == tag.as_bytes())
}

fn found(location: &HeaderValue) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(LOCATION, location.clone());
    response.headers_mut().insert(CACHE_CONTROL, CACHE);
    response
}

fn only_read() -> Response<Body> {
    let message = "this path is only read";
    let mut response = refusal(StatusCode::METHOD_NOT_ALLOWED, Code::Unimplemented, "HTTP_METHOD_NOT_ALLOWED", message);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
    response
}

/// The same for the same content, in every process of one build.
fn tag(content: &[u8]) -> HeaderValue {
    let mut hasher = DefaultHasher::new();
    hasher.write(content);
    let tag = format!("\"{:016x}-{:x}\"", hasher.finish(), content.len());
    // Digits and a dash are a header.
    HeaderValue::try_from(tag).unwrap_or(HeaderValue::from_static("\"\""))
}
