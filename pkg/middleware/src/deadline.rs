//! `grpc-timeout`: how long the caller waits.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};
use tonic::Code;

use crate::problem::Problem;

pub(crate) const GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");

/// The most digits that the gRPC specification allows.
const MAX_DIGITS: usize = 8;

/// Takes `grpc-timeout` out of the headers, so that nothing further in counts it again in its own way.
pub(crate) fn take_timeout(headers: &mut HeaderMap) -> Result<Option<Duration>, Problem> {
    let Some(value) = headers.remove(GRPC_TIMEOUT) else { return Ok(None) };
    parse(value.as_bytes()).map(Some).ok_or_else(|| {
        Problem::new(Code::InvalidArgument, "INVALID_TIMEOUT", "grpc-timeout is one to eight digits and a unit")
    })
}

/// The header that hands a timeout on. Rounded down to a unit that keeps it within eight digits.
pub(crate) fn header(timeout: Duration) -> HeaderValue {
    const LIMIT: u128 = 10_u128.pow(8);
    let (amount, unit) = match timeout.as_nanos() {
        nanoseconds if nanoseconds < LIMIT => (nanoseconds, 'n'),
        nanoseconds if nanoseconds / 1_000 < LIMIT => (nanoseconds / 1_000, 'u'),
        nanoseconds if nanoseconds / 1_000_000 < LIMIT => (nanoseconds / 1_000_000, 'm'),
        nanoseconds => ((nanoseconds / 1_000_000_000).min(LIMIT - 1), 'S'),
    };
    // Digits and one letter are always a header value.
    HeaderValue::try_from(format!("{amount}{unit}")).unwrap_or(HeaderValue::from_static("0n"))
}

fn parse(value: &[u8]) -> Option<Duration> {
    let (unit, digits) = value.split_last()?;
    if digits.is_empty() || digits.len() > MAX_DIGITS || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let amount = digits.iter().fold(0, |amount, digit| amount * 10 + u64::from(digit - b'0'));
    match unit {
        b'H' => Some(Duration::from_hours(amount)),
        b'M' => Some(Duration::from_mins(amount)),
        b'S' => Some(Duration::from_secs(amount)),
        b'm' => Some(Duration::from_millis(amount)),
        b'u' => Some(Duration::from_micros(amount)),
        b'n' => Some(Duration::from_nanos(amount)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_units_of_the_specification_are_read() {
        assert_eq!(parse(b"99999999H"), Some(Duration::from_hours(99_999_999)));
        assert_eq!(parse(b"2M"), Some(Duration::from_mins(2)));
        assert_eq!(parse(b"3S"), Some(Duration::from_secs(3)));
        assert_eq!(parse(b"4m"), Some(Duration::from_millis(4)));
        assert_eq!(parse(b"5u"), Some(Duration::from_micros(5)));
        assert_eq!(parse(b"0n"), Some(Duration::ZERO));
    }

    #[test]
    fn anything_else_is_refused() {
        for bad in ["", "S", "1", "1s", "-1S", "+1S", "1.5S", " 1S", "1S ", "123456789n", "１S"] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn a_timeout_handed_on_is_read_back_never_longer(nanoseconds in 0..99_999_999_000_000_000_u64) {
            let timeout = Duration::from_nanos(nanoseconds);
            let read = parse(header(timeout).as_bytes()).expect("what we write is valid");
            prop_assert!(read <= timeout);
            prop_assert!(timeout <= read + timeout / 90_000 + Duration::from_nanos(1));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes: Vec<u8>) {
            let _ = parse(&bytes);
        }
    }
}
