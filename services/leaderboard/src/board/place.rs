//! A player's place on a board, as bytes that sort as the board does.

use pkg_definition::Order;
use uuid::Uuid;

/// The last offset of the log that is told from the ones after it: six bytes of it are kept, enough for 800 years of ten
/// thousand scores a second. The offsets after it all count as this one.
pub const OFFSET_MAX: i64 = (1 << (8 * OFFSET_BYTES)) - 1;

const VALUE_BYTES: usize = 8;
const OFFSET_BYTES: usize = 6;
const PLAYER_BYTES: usize = 16;
const BYTES: usize = VALUE_BYTES + OFFSET_BYTES + PLAYER_BYTES;

/// A player's value and when it was reached: what decides their rank.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Entry {
    /// The value.
    pub value: i64,
    /// The offset of the score that made it what it is, 0 to [`OFFSET_MAX`]. Of equal values the lower offset ranks higher.
    pub reached: i64,
}

/// An entry of a player as bytes: the lower ones, compared one by one, rank higher. So a set that sorts by bytes is a board,
/// for every `i64`.
///
/// First the value (eight bytes), then the offset (six), then the player (sixteen), each with the highest byte first. With
/// thirty bytes Redis spends eight fewer on each player than with thirty-two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceKey([u8; BYTES]);

impl PlaceKey {
    /// How many bytes come before the player.
    pub const ENTRY_BYTES: usize = VALUE_BYTES + OFFSET_BYTES;

    /// The place of a player's entry.
    #[must_use]
    pub fn new(order: Order, entry: Entry, player: Uuid) -> Self {
        let mut bytes = [0; BYTES];
        bytes[..VALUE_BYTES].copy_from_slice(&value_bits(order, entry.value.cast_unsigned()).to_be_bytes());
        let reached = entry.reached.clamp(0, OFFSET_MAX).to_be_bytes();
        bytes[VALUE_BYTES..Self::ENTRY_BYTES].copy_from_slice(&reached[VALUE_BYTES - OFFSET_BYTES..]);
        bytes[Self::ENTRY_BYTES..].copy_from_slice(player.as_bytes());
        Self(bytes)
    }

    /// `None` if these are not the bytes of a place.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().ok().map(Self)
    }

    /// The bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// The entry, on a board of the same order.
    #[must_use]
    pub fn entry(&self, order: Order) -> Entry {
        let (mut value, mut reached) = ([0; VALUE_BYTES], [0; VALUE_BYTES]);
        value.copy_from_slice(&self.0[..VALUE_BYTES]);
        reached[VALUE_BYTES - OFFSET_BYTES..].copy_from_slice(&self.0[VALUE_BYTES..Self::ENTRY_BYTES]);
        Entry {
            value: value_bits(order, u64::from_be_bytes(value)).cast_signed(),
            reached: i64::from_be_bytes(reached),
        }
    }

    /// Whose it is.
    #[must_use]
    pub fn player(&self) -> Uuid {
        let mut player = [0; PLAYER_BYTES];
        player.copy_from_slice(&self.0[Self::ENTRY_BYTES..]);
        Uuid::from_bytes(player)
    }
}

/// Bits of a value that sort as the order says, unsigned; and back.
fn value_bits(order: Order, bits: u64) -> u64 {
    const SIGN: u64 = 1 << 63;
    match order {
        Order::LowWins => bits ^ SIGN,
        // The same with every bit inverted.
        Order::HighWins => bits ^ !SIGN,
    }
}

#[cfg(test)]
mod tests {
    use std::cmp::Reverse;

    use proptest::prelude::*;

    use super::*;

    /// Every value, but more often those at the ends, around zero and where doubles stop being exact.
    fn value() -> impl Strategy<Value = i64> {
        let corners = [i64::MIN, 0, 1 << 53, -(1 << 53), i64::MAX];
        let near = (prop::sample::select(corners.to_vec()), -2_i64..=2).prop_map(|(at, by)| at.saturating_add(by));
        prop_oneof![near, any::<i64>()]
    }

    fn offset() -> impl Strategy<Value = i64> {
        prop_oneof![0..3_i64, 0..=OFFSET_MAX, OFFSET_MAX - 2..=OFFSET_MAX]
    }

    fn player() -> impl Strategy<Value = Uuid> {
        prop_oneof![(0..3_u128).prop_map(Uuid::from_u128), any::<u128>().prop_map(Uuid::from_u128)]
    }

    fn place() -> impl Strategy<Value = (i64, i64, Uuid)> {
        (value(), offset(), player())
    }

    fn key(order: Order, (value, reached, player): (i64, i64, Uuid)) -> PlaceKey {
        PlaceKey::new(order, Entry { value, reached }, player)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4_000))]

        #[test]
        fn the_first_is_the_highest_then_the_earliest(one in place(), other in place()) {
            let expected = (Reverse(one.0), one.1, one.2).cmp(&(Reverse(other.0), other.1, other.2));
            prop_assert_eq!(key(Order::HighWins, one).cmp(&key(Order::HighWins, other)), expected);
        }

        #[test]
        fn or_the_lowest_then_the_earliest(one in place(), other in place()) {
            prop_assert_eq!(key(Order::LowWins, one).cmp(&key(Order::LowWins, other)), one.cmp(&other));
        }

        #[test]
        fn nothing_is_lost((value, reached, player) in place()) {
            for order in [Order::HighWins, Order::LowWins] {
                let key = key(order, (value, reached, player));
                prop_assert_eq!(key.entry(order), Entry { value, reached });
                prop_assert_eq!(key.player(), player);
                prop_assert_eq!(PlaceKey::from_bytes(key.as_bytes()), Some(key));
            }
        }
    }

    #[test]
    fn neighbours_at_both_ends_are_told_apart() {
        let values = [i64::MIN, i64::MIN + 1, -1, 0, 1, i64::MAX - 1, i64::MAX];
        for pair in values.windows(2) {
            let keys = |order| (key(order, (pair[0], 0, Uuid::nil())), key(order, (pair[1], 0, Uuid::nil())));
            let (low, high) = keys(Order::LowWins);
            assert!(low < high);
            let (low, high) = keys(Order::HighWins);
            assert!(high < low);
        }
    }

    #[test]
    fn offsets_after_the_last_one_count_as_it() {
        let last = key(Order::HighWins, (1, OFFSET_MAX, Uuid::nil()));
        assert_eq!(key(Order::HighWins, (1, i64::MAX, Uuid::nil())), last);
    }

    #[test]
    fn other_bytes_are_no_place() {
        for length in [0, BYTES - 1, BYTES + 1] {
            assert_eq!(PlaceKey::from_bytes(&vec![0; length]), None);
        }
    }
}
