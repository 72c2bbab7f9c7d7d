//! How many players boards have, as metrics.

use std::collections::HashMap;

use metrics::Gauge;

use crate::board::BoardId;

/// Of how many boards of a partition it is told: each is a series of its own wherever metrics are kept.
const TOLD_MAX: usize = 256;

/// The gauges of the boards that one partition has moved.
#[derive(Default)]
pub(super) struct Sizes {
    gauges: HashMap<BoardId, Gauge>,
}

impl Sizes {
    /// A board has so many players, in the first period of its definition.
    pub(super) fn tell(&mut self, board: &BoardId, players: u64) {
        if let Some(gauge) = self.gauges.get(board) {
            gauge.set(number(players));
        } else if self.gauges.len() < TOLD_MAX {
            let labels = [("game", board.game.to_string()), ("board", board.key.to_string())];
            let gauge = metrics::gauge!("muster_board_players", &labels);
            gauge.set(number(players));
            self.gauges.insert(board.clone(), gauge);
        }
    }
}

impl Drop for Sizes {
    /// Who works on the partition now tells of them.
    fn drop(&mut self) {
        for gauge in self.gauges.values() {
            gauge.set(0.0);
        }
    }
}

fn number(count: u64) -> f64 {
    u32::try_from(count).map_or(f64::MAX, f64::from)
}
