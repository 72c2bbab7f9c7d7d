//! Positions in the log as clients hold them: opaque, and good for one board only.

use aws_lc_rs::digest::{SHA256, digest};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;

use crate::board::BoardId;

/// How many bytes of a board's hash tell a position of another board.
const BOARD_BYTES: usize = 4;

/// The position of an offset of a board: 16 characters.
#[must_use]
pub fn encode(board: &BoardId, offset: i64) -> String {
    let mut bytes = [0; BOARD_BYTES + size_of::<i64>()];
    bytes[..BOARD_BYTES].copy_from_slice(&hash(board));
    bytes[BOARD_BYTES..].copy_from_slice(&offset.to_be_bytes());
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The offset of a position; `None` if it is none of this board.
#[must_use]
pub fn parse(board: &BoardId, position: &str) -> Option<i64> {
    let bytes = URL_SAFE_NO_PAD.decode(position).ok()?;
    let offset = bytes.strip_prefix(&hash(board))?;
    let offset = i64::from_be_bytes(offset.try_into().ok()?);
    (offset >= 0).then_some(offset)
}

fn hash(board: &BoardId) -> [u8; BOARD_BYTES] {
    let mut hash = [0; BOARD_BYTES];
    hash.copy_from_slice(&digest(&SHA256, board.to_string().as_bytes()).as_ref()[..BOARD_BYTES]);
    hash
}

#[cfg(test)]
mod tests {
    use pkg_definition::Key;
    use uuid::Uuid;

    use super::*;

    fn board(key: &str) -> BoardId {
        BoardId { game: Uuid::from_u128(7), key: Key::parse(key).unwrap() }
    }

    #[test]
    fn a_position_leads_back_on_its_own_board_alone() {
        for offset in [0, 1, 255, i64::MAX] {
            let position = encode(&board("a"), offset);
            assert!(position.len() <= 64);
            assert_eq!(parse(&board("a"), &position), Some(offset));
            assert_eq!(parse(&board("b"), &position), None);
        }
        for other in ["", "a", "!", "AAAA", &encode(&board("a"), -1)] {
            assert_eq!(parse(&board("a"), other), None, "{other}");
        }
    }
}
