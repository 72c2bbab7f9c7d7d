//! Errors that tonic makes, in the shape of ours.
//!
//! tonic calls an undecodable message `INTERNAL` and one that is too large `OUT_OF_RANGE`. Both are the caller's doing,
//! and neither carries `ErrorInfo`, as every error of ours does: that tells them apart.

use http::{HeaderMap, HeaderValue};
use tonic::{Code, Status};

use crate::problem::Problem;

/// How a call ended.
pub(crate) struct Outcome {
    pub(crate) code: Code,
    pub(crate) error: Option<String>,
}

impl Outcome {
    pub(crate) fn of(status: &Status) -> Self {
        Self { code: status.code(), error: Some(status.message().to_owned()) }
    }
}

/// Whether these are the headers of an answer that is nothing but a status.
pub(crate) fn is_status_only(headers: &HeaderMap) -> bool {
    headers.contains_key(Status::GRPC_STATUS)
}

/// Gives the status in these headers or trailers its right code and a reason, and tells the outcome.
pub(crate) fn normalise(headers: &mut HeaderMap) -> Outcome {
    if headers.get(Status::GRPC_STATUS).is_some_and(|code| code.as_bytes() == b"0") {
        return Outcome { code: Code::Ok, error: None };
    }
    let found = Status::from_header_map(headers)
        .unwrap_or_else(|| Problem::internal("an answer ended without a status").into());
    let status = with_reason(found);
    write(&status, headers);
    Outcome::of(&status)
}

/// Writes a status over whatever status there is.
pub(crate) fn write(status: &Status, headers: &mut HeaderMap) {
    for name in [Status::GRPC_STATUS, Status::GRPC_MESSAGE, Status::GRPC_STATUS_DETAILS] {
        headers.remove(name);
    }
    if status.add_header(headers).is_err() {
        // A message is percent-encoded and details are base64; still, an answer must not end without a status.
        headers.insert(Status::GRPC_STATUS, HeaderValue::from(Code::Internal as i32));
    }
}

/// A status whose code and reason are right whoever made it.
pub(crate) fn with_reason(status: Status) -> Status {
    if status.code() == Code::Ok || !status.details().is_empty() {
        return status;
    }
    let (code, reason) = match status.code() {
        Code::Internal | Code::Unknown => (Code::InvalidArgument, "MALFORMED_MESSAGE"),
        Code::OutOfRange => (Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
        // Methods that do not exist never come as far as tonic: what it cannot do is decompress.
        Code::Unimplemented => (Code::Unimplemented, "COMPRESSION_NOT_SUPPORTED"),
        // Its name is all there is to say.
        code => (code, code_name(code)),
    };
    let message = status.message().to_owned();
    let mut ours = Status::from(Problem::new(code, reason, message));
    *ours.metadata_mut() = status.metadata().clone();
    ours
}

/// A code as it is written: `"INVALID_ARGUMENT"`.
pub(crate) fn code_name(code: Code) -> &'static str {
    match code {
        Code::Ok => "OK",
        Code::Cancelled => "CANCELLED",
        Code::Unknown => "UNKNOWN",
        Code::InvalidArgument => "INVALID_ARGUMENT",
        Code::DeadlineExceeded => "DEADLINE_EXCEEDED",
        Code::NotFound => "NOT_FOUND",
        Code::AlreadyExists => "ALREADY_EXISTS",
        Code::PermissionDenied => "PERMISSION_DENIED",
        Code::ResourceExhausted => "RESOURCE_EXHAUSTED",
        Code::FailedPrecondition => "FAILED_PRECONDITION",
        Code::Aborted => "ABORTED",
        Code::OutOfRange => "OUT_OF_RANGE",
        Code::Unimplemented => "UNIMPLEMENTED",
        Code::Internal => "INTERNAL",
        Code::Unavailable => "UNAVAILABLE",
        Code::DataLoss => "DATA_LOSS",
        Code::Unauthenticated => "UNAUTHENTICATED",
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::StatusExt;

    use super::*;

    fn normalised(status: &Status) -> (Code, String) {
        let mut headers = HeaderMap::new();
        write(status, &mut headers);
        let outcome = normalise(&mut headers);
        let read = Status::from_header_map(&headers).expect("there is a status");
        assert_eq!(outcome.code, read.code());
        (read.code(), read.get_details_error_info().map(|info| info.reason).unwrap_or_default())
    }

    #[test]
    fn what_tonic_says_gets_the_right_code_and_a_reason() {
        let cases = [
            (Code::Internal, Code::InvalidArgument, "MALFORMED_MESSAGE"),
            (Code::Unknown, Code::InvalidArgument, "MALFORMED_MESSAGE"),
            (Code::OutOfRange, Code::ResourceExhausted, "MESSAGE_TOO_LARGE"),
            (Code::Unimplemented, Code::Unimplemented, "COMPRESSION_NOT_SUPPORTED"),
            (Code::NotFound, Code::NotFound, "NOT_FOUND"),
        ];
        for (said, code, reason) in cases {
            assert_eq!(normalised(&Status::new(said, "words")), (code, reason.to_owned()));
        }
    }

    #[test]
    fn what_we_say_stays() {
        let ours = Status::from(Problem::internal("a fault"));
        assert_eq!(normalised(&ours), (Code::Internal, "INTERNAL".to_owned()));
        assert_eq!(normalised(&Status::ok("")), (Code::Ok, String::new()));
    }

    #[test]
    fn an_answer_without_a_status_is_our_fault() {
        assert_eq!(normalise(&mut HeaderMap::new()).code, Code::Internal);
    }
}
