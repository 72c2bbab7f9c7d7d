//! Which headers cross from one side to the other.

use http::header::{self, HeaderMap, HeaderName, HeaderValue};

/// Headers that speak of one connection or of one encoding of the body, and end here.
const NOT_FORWARDED: [&str; 11] = [
    "connection",
    "content-length",
    "content-type",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// The headers of the gRPC request: what the client sent, and what gRPC demands.
pub(crate) fn of_request(mut headers: HeaderMap) -> HeaderMap {
    remove_hop_by_hop(&mut headers);
    // HTTP/2 has :authority. The answer must not be compressed: it is read here.
    for name in ["host", "content-encoding", "grpc-encoding", "grpc-accept-encoding"] {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert(header::TE, HeaderValue::from_static("trailers"));
    headers
}

/// The headers of the JSON response: what the service sent, without gRPC's own.
pub(crate) fn of_response(mut headers: HeaderMap) -> HeaderMap {
    remove_hop_by_hop(&mut headers);
    let grpc: Vec<HeaderName> = headers.keys().filter(|name| name.as_str().starts_with("grpc-")).cloned().collect();
    for name in grpc {
        headers.remove(name);
    }
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers
}

fn remove_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named {
        headers.remove(name);
    }
    for name in NOT_FORWARDED {
        headers.remove(name);
    }
}
