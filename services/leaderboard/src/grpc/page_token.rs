//! Where pages go on, as clients hold it: opaque, and good for one board only.

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use pkg_definition::Period;
use pkg_middleware::Problem;

use crate::board::{BoardId, PeriodId, PlaceKey};
use crate::position;
use crate::reading::PageStart;

/// How many bytes of a period come before the place.
const PERIOD_BYTES: usize = 1 + size_of::<i64>();

/// Goes on behind an entry.
pub fn of_entry(board: &BoardId, start: &PageStart) -> String {
    let PageStart { period: PeriodId { kind, start_ms }, after } = start;
    let bytes =
        [&[letter(*kind)][..], &start_ms.to_be_bytes(), after.as_bytes(), board.to_string().as_bytes()].concat();
    BASE64_URL_SAFE_NO_PAD.encode(bytes)
}

/// What [`of_entry`] wrote; `None` for the first page.
pub fn entry(board: &BoardId, token: &str) -> Result<Option<PageStart>, Problem> {
    read(token, |token| {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
        let bytes = bytes.strip_suffix(board.to_string().as_bytes())?;
        let (period, after) = bytes.split_at_checked(PERIOD_BYTES)?;
        let (letter, start_ms) = period.split_first()?;
        let period = PeriodId { kind: kind(*letter)?, start_ms: i64::from_be_bytes(start_ms.try_into().ok()?) };
        Some(PageStart { period, after: PlaceKey::from_bytes(after)? })
    })
}

/// Goes on behind a number: an offset, or when a period began.
pub fn of_number(board: &BoardId, number: i64) -> String {
    // Positions have no numbers below 0, which are of no use here either: scores and periods began after 1970.
    position::encode(board, number)
}

/// What [`of_number`] wrote; `None` for the first page.
pub fn number(board: &BoardId, token: &str) -> Result<Option<i64>, Problem> {
    read(token, |token| position::parse(board, token))
}

fn read<T>(token: &str, parse: impl FnOnce(&str) -> Option<T>) -> Result<Option<T>, Problem> {
    if token.is_empty() {
        return Ok(None);
    }
    parse(token).map(Some).ok_or_else(invalid)
}

/// It belongs to something else.
pub fn invalid() -> Problem {
    Problem::invalid_field("page_token", "is not the next_page_token of an answer to such a call")
}

fn letter(kind: Period) -> u8 {
    match kind {
        Period::AllTime => b'a',
        Period::Daily => b'd',
        Period::Weekly => b'w',
        Period::Monthly => b'm',
    }
}

fn kind(letter: u8) -> Option<Period> {
    [Period::AllTime, Period::Daily, Period::Weekly, Period::Monthly]
        .into_iter()
        .find(|kind| self::letter(*kind) == letter)
}

#[cfg(test)]
mod tests {
    use pkg_definition::{Key, Order};
    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::board::Entry;

    fn board(key: &str) -> BoardId {
        BoardId { game: Uuid::from_u128(7), key: Key::parse(key).unwrap() }
    }

    proptest! {
        #[test]
        fn a_token_leads_back_on_its_own_board_alone(value: i64, reached in 0..1_i64 << 40, player: u128, start_ms: i64) {
            let after = PlaceKey::new(Order::LowWins, Entry { value, reached }, Uuid::from_u128(player));
            for kind in [Period::AllTime, Period::Daily, Period::Weekly, Period::Monthly] {
                let start = PageStart { period: PeriodId { kind, start_ms }, after };
                let token = of_entry(&board("a"), &start);
                prop_assert_eq!(entry(&board("a"), &token).unwrap(), Some(start));
                prop_assert!(entry(&board("b"), &token).is_err());
                prop_assert!(number(&board("a"), &token).is_err());
            }
            let token = of_number(&board("a"), reached);
            prop_assert_eq!(number(&board("a"), &token).unwrap(), Some(reached));
            prop_assert!(number(&board("b"), &token).is_err());
            prop_assert!(entry(&board("a"), &token).is_err());
        }

        #[test]
        fn no_token_makes_it_panic(token: String) {
            let _ = (entry(&board("a"), &token), number(&board("a"), &token));
        }
    }
}
