//! JSON over HTTP for gRPC services, from their `google.api.http` annotations.
//!
//! In production Envoy's `grpc_json_transcoder` serves these routes; `muster dev` has no Envoy and serves the same ones
//! from here, so what works on a laptop works there. Envoy's options are taken to be `convert_grpc_status`,
//! `always_print_primitive_fields`, `stream_newline_delimited`, and unknown query parameters refused. Its habits are
//! kept where a client could notice:
//!
//! - Literal segments win over variables, and a path that ends with `/` is the path without it.
//! - A verb is a last segment of its own: `/v1/players/find` is `/v1/players:find`.
//! - Literals are compared as they are sent; variables are percent-decoded, those of several segments without the
//!   reserved characters of RFC 6570, so that an encoded slash stays apart from a real one.
//! - In a query `+` is a plus, names are not percent-decoded, and a parameter without `=` is ignored.
//! - Path variables and query parameters win over the body.
//!
//! Stricter than Envoy on purpose, and always as a JSON `google.rpc.Status` with a reason: an unknown field in a body,
//! a body that is not JSON, a parameter given twice for a field that holds one value, a wrong HTTP method.
//!
//! A method that streams its answer sends one JSON message a line, each as it comes. Its HTTP status is 200 as soon as
//! the gRPC headers are there, unless the call has failed by then; a later error is a last line `{"error": <status>}`.
//! Methods that take a stream have no route, and CORS is the caller's business, as is telling gRPC requests apart:
//! nothing that arrives here is taken for one.

mod body;
mod fields;
mod headers;
mod request;
mod response;
mod routes;
mod service;
mod status;
mod template;

pub use routes::RouteError;
pub use service::{DEFAULT_BODY_LIMIT, Transcoder, TranscodingService};
pub use template::TemplateError;

#[cfg(test)]
mod tests;
