//! A handler that panics fails its own call and nothing else.

use std::any::Any;

use crate::caller::RequestId;
use crate::problem::{Problem, REASON_INTERNAL};

/// Logs what a handler panicked with, and gives the problem that its caller sees: nothing of it.
pub(crate) fn problem(payload: &(dyn Any + Send), request_id: &RequestId) -> Problem {
    let message = payload
        .downcast_ref::<&'static str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("not a text");
    tracing::error!(request_id = request_id.as_str(), error = message, "a handler panicked");
    Problem::new(tonic::Code::Internal, REASON_INTERNAL, "an internal error")
}
