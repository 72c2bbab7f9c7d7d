//! The size of messages, seen from their frames: five bytes of header (flag, length) before each.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};

use crate::problem::Problem;
use crate::unread::discard;

const HEADER_BYTES: usize = 5;

/// The problem of a message that is larger than allowed.
pub(crate) fn too_large(limit: usize) -> Problem {
    Problem::new(Code::ResourceExhausted, "MESSAGE_TOO_LARGE", "a message is larger than the limit")
        .metadata("limit_bytes", limit.to_string())
}

/// Follows the frames in a body, however it is cut into chunks.
pub(crate) struct FrameScanner {
    limit: usize,
    header: [u8; HEADER_BYTES],
    header_filled: usize,
    payload_left: usize,
}

impl FrameScanner {
    pub(crate) fn new(limit: usize) -> Self {
        Self { limit, header: [0; HEADER_BYTES], header_filled: 0, payload_left: 0 }
    }

    /// Reads the next chunk. The error is how many of its bytes stand before a message that is too large.
    pub(crate) fn scan(&mut self, chunk: &[u8]) -> Result<(), usize> {
        let mut position = 0;
        while position < chunk.len() {
            if self.payload_left > 0 {
                let passed = self.payload_left.min(chunk.len() - position);
                self.payload_left -= passed;
                position += passed;
                continue;
            }
            let start = position;
            let taken = (HEADER_BYTES - self.header_filled).min(chunk.len() - position);
            self.header[self.header_filled..self.header_filled + taken]
                .copy_from_slice(&chunk[position..position + taken]);
            self.header_filled += taken;
            position += taken;
            if self.header_filled == HEADER_BYTES {
                let [_flag, length @ ..] = self.header;
                let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
                if length > self.limit {
                    return Err(start);
                }
                self.header_filled = 0;
                self.payload_left = length;
            }
        }
        Ok(())
    }
}

/// A request body that fails with `MESSAGE_TOO_LARGE` before the first byte of a message that is too large is kept.
pub(crate) struct LimitedBody {
    inner: Body,
    scanner: FrameScanner,
}

impl LimitedBody {
    pub(crate) fn new(inner: Body, limit: usize) -> Self {
        Self { inner, scanner: FrameScanner::new(limit) }
    }
}

impl Drop for LimitedBody {
    fn drop(&mut self) {
        discard(std::mem::take(&mut self.inner));
    }
}

impl http_body::Body for LimitedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let frame = ready!(Pin::new(&mut self.inner).poll_frame(cx));
        if let Some(Ok(frame)) = &frame
            && let Some(chunk) = frame.data_ref()
            && self.scanner.scan(chunk).is_err()
        {
            discard(std::mem::take(&mut self.inner));
            return Poll::Ready(Some(Err(too_large(self.scanner.limit).into())));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn framed(lengths: &[usize]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for length in lengths {
            bytes.push(0);
            bytes.extend(u32::try_from(*length).expect("small").to_be_bytes());
            bytes.extend(std::iter::repeat_n(7, *length));
        }
        bytes
    }

    proptest! {
        #[test]
        fn the_first_message_over_the_limit_is_found_however_the_bytes_are_cut(
            lengths in prop::collection::vec(0_usize..40, 0..8),
            cut in 1_usize..20,
        ) {
            let limit = 30;
            let mut scanner = FrameScanner::new(limit);
            let found = framed(&lengths).chunks(cut).any(|chunk| scanner.scan(chunk).is_err());
            prop_assert_eq!(found, lengths.iter().any(|length| *length > limit));
        }
    }

    #[test]
    fn what_stands_before_a_message_that_is_too_large_is_told() {
        assert_eq!(FrameScanner::new(10).scan(&framed(&[3, 11])), Err(8));
    }
}
