//! The parts of a script's answer.

use bytes::Bytes;
use fred::error::{Error, ErrorKind};
use fred::types::Value;
use pkg_redis::RedisError;

pub(super) fn list(value: Value) -> Result<Vec<Value>, RedisError> {
    match value {
        Value::Array(values) => Ok(values),
        _ => Err(unexpected()),
    }
}

pub(super) fn text(value: Option<Value>) -> Result<String, RedisError> {
    value.and_then(Value::into_string).ok_or_else(unexpected)
}

pub(super) fn number(value: Option<Value>) -> Result<u64, RedisError> {
    value.and_then(|value| value.as_u64()).ok_or_else(unexpected)
}

pub(super) fn bytes(value: Option<Value>) -> Result<Bytes, RedisError> {
    match value {
        Some(Value::String(text)) => Ok(text.into_inner()),
        Some(Value::Bytes(bytes)) => Ok(bytes),
        _ => Err(unexpected()),
    }
}

fn unexpected() -> RedisError {
    RedisError::Broken(Error::new(ErrorKind::Parse, "a script of the bus answered something unexpected"))
}
