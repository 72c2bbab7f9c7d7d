//! One call as the log and the metrics see it: once, at its end, however it ends.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tonic::Code;
use uuid::Uuid;

use crate::caller::{RequestContext, RequestId};
use crate::methods::{Method, code_name};
use crate::trace_context::TraceId;

/// A call under way. Dropped without [`Self::finish`], its caller went away.
pub(crate) struct Observation {
    method: Arc<Method>,
    started: Instant,
    request_id: RequestId,
    trace_id: TraceId,
    client_address: Option<IpAddr>,
    user_id: Option<Uuid>,
    finished: bool,
}

impl Observation {
    pub(crate) fn start(method: Arc<Method>, context: &RequestContext) -> Self {
        method.metrics.started(method.kind);
        Self {
            method,
            started: Instant::now(),
            request_id: context.request_id.clone(),
            trace_id: context.trace.trace_id,
            client_address: context.client_address,
            user_id: None,
            finished: false,
        }
    }

    pub(crate) fn called_by(&mut self, user_id: Uuid) {
        self.user_id = Some(user_id);
    }

    pub(crate) fn request_id(&self) -> &RequestId {
        &self.request_id
    }

    /// Counts and logs the call. Only the first end counts.
    pub(crate) fn finish(&mut self, code: Code, error: Option<&str>) {
        if std::mem::replace(&mut self.finished, true) {
            return;
        }
        let latency = self.started.elapsed();
        self.method.metrics.handled(self.method.kind, code, latency);
        // The level of an event is fixed where it stands, so there are two of one text.
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    service = self.method.service,
                    method = self.method.name,
                    request_id = self.request_id.as_str(),
                    trace_id = %self.trace_id,
                    user_id = self.user_id.map(tracing::field::display),
                    client_address = self.client_address.map(tracing::field::display),
                    code = code_name(code),
                    latency_ms = milliseconds(latency),
                    error,
                    "request"
                )
            };
        }
        if self.method.quiet {
            log!(debug);
        } else {
            log!(info);
        }
    }
}

/// To the microsecond: more digits are noise in a log.
fn milliseconds(latency: Duration) -> f64 {
    (latency.as_secs_f64() * 1_000_000.0).round() / 1_000.0
}

impl Drop for Observation {
    fn drop(&mut self) {
        self.finish(Code::Cancelled, Some("the caller went away"));
    }
}
