//! What callers see of errors.

use pkg_middleware::Problem;
use tonic::{Code, Status};

use crate::grpc::problems::store;
use crate::match_reading::MatchError;

impl From<MatchError> for Status {
    fn from(error: MatchError) -> Self {
        match &error {
            MatchError::NotFound => Problem::new(Code::NotFound, "MATCH_NOT_FOUND", error.to_string()),
            MatchError::Store(error) => store(error),
        }
        .into()
    }
}
