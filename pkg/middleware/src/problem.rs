//! The one way an error becomes a [`tonic::Status`].

use std::collections::HashMap;
use std::fmt::Display;
use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt};

use crate::caller::RequestContext;

/// The `domain` of every `google.rpc.ErrorInfo` that Muster sends.
pub const ERROR_DOMAIN: &str = "muster";

/// The reason of an error whose cause is ours and is told to nobody but the log.
pub const REASON_INTERNAL: &str = "INTERNAL";

/// An error as its caller sees it: a gRPC code, a stable reason to program against, and words for a person.
///
/// Turned into a [`Status`] it carries `google.rpc.ErrorInfo` with the reason and the domain `muster`, and where they
/// were given `BadRequest` with the fields and `RetryInfo` with the delay. A cause goes to the log at that moment and
/// is never sent.
#[derive(Debug)]
#[must_use = "a problem does nothing until it is returned as a Status"]
pub struct Problem(Box<Content>);

/// Boxed, since it travels in results that are nearly always good.
#[derive(Debug)]
struct Content {
    code: Code,
    reason: &'static str,
    message: String,
    fields: Vec<(String, String)>,
    metadata: HashMap<String, String>,
    retry_after: Option<Duration>,
    cause: Option<String>,
}

impl Problem {
    /// A problem with its code, its stable reason in `UPPER_SNAKE_CASE`, and a message in plain English.
    pub fn new(code: Code, reason: &'static str, message: impl Into<String>) -> Self {
        Self(Box::new(Content {
            code,
            reason,
            message: message.into(),
            fields: Vec::new(),
            metadata: HashMap::new(),
            retry_after: None,
            cause: None,
        }))
    }

    /// `INVALID_ARGUMENT` with the reason `INVALID_FIELD`: one field of the request is not acceptable.
    pub fn invalid_field(path: impl Into<String>, description: impl Into<String>) -> Self {
        Self::new(Code::InvalidArgument, "INVALID_FIELD", "a field of the request is not valid")
            .field(path, description)
    }

    /// `INTERNAL`: the fault is ours. The caller learns nothing of the cause; the log does.
    pub fn internal(cause: impl Display) -> Self {
        Self::new(Code::Internal, REASON_INTERNAL, "an internal error").caused_by(cause)
    }

    /// `UNAVAILABLE`: something that the service needs did not answer. The cause goes to the log.
    pub fn unavailable(reason: &'static str, cause: impl Display) -> Self {
        Self::new(Code::Unavailable, reason, "the service cannot do this now; try again").caused_by(cause)
    }

    /// Adds a violation of one field: its path (`rules.windows[2].size`) and what is wrong with it.
    pub fn field(mut self, path: impl Into<String>, description: impl Into<String>) -> Self {
        self.0.fields.push((path.into(), description.into()));
        self
    }

    /// Says when it makes sense to try again.
    pub fn retry_after(mut self, delay: Duration) -> Self {
        self.0.retry_after = Some(delay);
        self
    }

    /// Adds a fact that a program may read, such as the limit that was passed.
    pub fn metadata(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        self.0.metadata.insert(key.into(), value.into());
        self
    }

    /// What the log should say about this; never sent.
    pub fn caused_by(mut self, cause: impl Display) -> Self {
        self.0.cause = Some(cause.to_string());
        self
    }
}

/// An error with all its causes on one line, for the log.
#[must_use]
pub fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |error| error.source());
    causes.fold(error.to_string(), |text, cause| format!("{text}: {cause}"))
}

impl Content {
    fn log(&self) {
        let Some(cause) = self.cause.as_deref() else { return };
        let request_id = RequestContext::with_current(|context| context.request_id.to_string());
        if self.code == Code::Internal {
            tracing::error!(reason = self.reason, request_id, error = cause, "internal error");
        } else {
            tracing::warn!(reason = self.reason, request_id, error = cause, "request failed");
        }
    }
}

impl From<Problem> for Status {
    fn from(Problem(problem): Problem) -> Self {
        problem.log();
        let mut details = ErrorDetails::new();
        details.set_error_info(problem.reason, ERROR_DOMAIN, problem.metadata);
        for (path, description) in problem.fields {
            details.add_bad_request_violation(path, description);
        }
        if let Some(delay) = problem.retry_after {
            details.set_retry_info(Some(delay));
        }
        Self::with_error_details(problem.code, problem.message, details)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_carries_the_reason_the_fields_and_the_delay() {
        let status = Status::from(
            Problem::invalid_field("name", "is too long")
                .field("email", "is missing")
                .metadata("limit", "32")
                .retry_after(Duration::from_secs(3)),
        );

        let info = status.get_details_error_info().expect("there is ErrorInfo");
        assert_eq!(
            (status.code(), info.reason.as_str(), info.domain.as_str()),
            (Code::InvalidArgument, "INVALID_FIELD", ERROR_DOMAIN)
        );
        assert_eq!(info.metadata.get("limit").map(String::as_str), Some("32"));
        let fields = status.get_details_bad_request().expect("there is BadRequest").field_violations;
        assert_eq!(fields.iter().map(|violation| violation.field.as_str()).collect::<Vec<_>>(), ["name", "email"]);
        let retry = status.get_details_retry_info().expect("there is RetryInfo");
        assert_eq!(retry.retry_delay, Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_cause_is_not_sent() {
        let status = Status::from(Problem::internal("password of the database is hunter2"));

        assert_eq!(status.code(), Code::Internal);
        assert!(!status.message().contains("hunter2"));
        assert!(!String::from_utf8_lossy(status.details()).contains("hunter2"));
    }
}
