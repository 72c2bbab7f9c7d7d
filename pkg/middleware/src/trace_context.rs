//! W3C trace context, version 00: which trace a request belongs to, and which span of it we are.

use std::fmt;

use http::{HeaderMap, HeaderName, HeaderValue};

/// The header of W3C trace context.
pub const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");

const LENGTH: usize = 55;

/// The trace of a request and our span in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TraceContext {
    /// The trace: 16 bytes, not all zero.
    pub trace_id: TraceId,
    /// This server's span, made anew for every request.
    pub span_id: [u8; 8],
    /// The flags of the caller; bit 0 says that the trace is sampled.
    pub flags: u8,
}

/// The id of a trace; shown as 32 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct TraceId(pub [u8; 16]);

impl TraceContext {
    /// The caller's trace if its `traceparent` is one and is valid to the letter, else a new trace; the span is new.
    pub(crate) fn take_or_make(headers: &HeaderMap, trace_id: [u8; 16], span_id: [u8; 8]) -> Self {
        let mut values = headers.get_all(TRACEPARENT).iter();
        let parent = match (values.next(), values.next()) {
            (Some(value), None) => parse(value.as_bytes()),
            _ => None,
        };
        match parent {
            Some((trace_id, flags)) => Self { trace_id, span_id, flags },
            None => Self { trace_id: TraceId(trace_id), span_id, flags: 0 },
        }
    }

    /// The header that hands this trace on, with the span that makes the call as the parent.
    #[must_use]
    pub fn header(&self, span_id: [u8; 8]) -> HeaderValue {
        let mut text = [0; LENGTH];
        text[..3].copy_from_slice(b"00-");
        write_hex(&self.trace_id.0, &mut text[3..35]);
        text[35] = b'-';
        write_hex(&span_id, &mut text[36..52]);
        text[52] = b'-';
        write_hex(&[self.flags], &mut text[53..]);
        HeaderValue::from_bytes(&text).unwrap_or(HeaderValue::from_static(""))
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Reads `00-<32 hex>-<16 hex>-<2 hex>`. A later version may say more after that; version ff may not exist.
fn parse(value: &[u8]) -> Option<(TraceId, u8)> {
    let (head, rest) = value.split_at_checked(LENGTH)?;
    if head[2] != b'-' || head[35] != b'-' || head[52] != b'-' {
        return None;
    }
    let [version] = read_hex(&head[..2])?;
    let trace_id: [u8; 16] = read_hex(&head[3..35])?;
    let parent_id: [u8; 8] = read_hex(&head[36..52])?;
    let [flags] = read_hex(&head[53..])?;

    let is_whole = match version {
        0 => rest.is_empty(),
        0xff => false,
        _ => rest.first().is_none_or(|byte| *byte == b'-'),
    };
    (is_whole && trace_id != [0; 16] && parent_id != [0; 8]).then_some((TraceId(trace_id), flags))
}

fn read_hex<const N: usize>(digits: &[u8]) -> Option<[u8; N]> {
    let mut bytes = [0; N];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = digit(pair[0])? << 4 | digit(pair[1])?;
    }
    Some(bytes)
}

/// Upper case is not allowed by the specification.
fn digit(character: u8) -> Option<u8> {
    match character {
        b'0'..=b'9' => Some(character - b'0'),
        b'a'..=b'f' => Some(character - b'a' + 10),
        _ => None,
    }
}

fn write_hex(bytes: &[u8], text: &mut [u8]) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    for (byte, pair) in bytes.iter().zip(text.chunks_exact_mut(2)) {
        pair[0] = DIGITS[usize::from(byte >> 4)];
        pair[1] = DIGITS[usize::from(byte & 15)];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const VALID: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_valid_parent_is_taken_and_handed_on_with_another_span() {
        let mut headers = HeaderMap::new();
        headers.insert(TRACEPARENT, HeaderValue::from_static(VALID));
        let context = TraceContext::take_or_make(&headers, [9; 16], [7; 8]);

        assert_eq!(context.trace_id.to_string(), "4bf92f3577b34da6a3ce929d0e0e4736");
        assert_eq!(
            context.header(context.span_id).to_str().ok(),
            Some("00-4bf92f3577b34da6a3ce929d0e0e4736-0707070707070707-01")
        );
    }

    #[test]
    fn anything_else_is_not_a_parent() {
        for bad in [
            "",
            "00",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0",
            "00_4bf92f3577b34da6a3ce929d0e0e4736_00f067aa0ba902b7_01",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01x",
        ] {
            assert_eq!(parse(bad.as_bytes()), None, "{bad}");
        }
        assert!(parse(b"01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more").is_some());
    }
}
