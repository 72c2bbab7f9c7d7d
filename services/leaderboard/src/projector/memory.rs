//! What is remembered of boards and players, so that scores can be counted without asking.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use quick_cache::sync::Cache;
use uuid::Uuid;

use crate::board;
use crate::board::BoardId;
use crate::store::{Head, ScoreRow};

/// Of how many players on how many boards it is remembered where they stand, in all partitions of this process: each takes a
/// few hundred bytes.
const STANDINGS_MAX: usize = 262_144;
/// Of how many boards of a partition it is remembered how far their histories are.
pub(super) const BOARDS_MAX: usize = 16_384;

/// Where players stand, in all partitions of this process. Cloning shares it.
#[derive(Clone)]
pub(super) struct Standings {
    players: Arc<Cache<(Generation, Uuid), Remembered>>,
    generations: Arc<AtomicU64>,
}

/// Which time it is that something is remembered of a board. What is remembered of another time counts no more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Generation(u64);

/// What is remembered of a player on a board.
#[derive(Debug, Clone)]
pub(super) struct Remembered {
    /// Where they stand after their last score.
    pub(super) standings: board::Standings,
    /// Which one that was: the one that is most likely to be repeated.
    pub(super) submission: Uuid,
}

/// What is remembered of a board.
#[derive(Debug, Clone, Copy)]
pub(super) struct BoardMemory {
    pub(super) generation: Generation,
    /// How far its history is, or will be when what is being written is written.
    pub(super) head: Option<Head>,
}

/// What one partition remembers.
pub(super) struct Memory {
    standings: Standings,
    boards: HashMap<BoardId, BoardMemory>,
    /// Where players will stand when what is being written is written. Not to be forgotten before: the history does not know
    /// it yet.
    in_flight: HashMap<(Generation, Uuid), Remembered>,
}

impl Standings {
    pub(super) fn new() -> Self {
        Self { players: Arc::new(Cache::new(STANDINGS_MAX)), generations: Arc::default() }
    }
}

impl Memory {
    pub(super) fn new(standings: Standings) -> Self {
        Self { standings, boards: HashMap::new(), in_flight: HashMap::new() }
    }

    pub(super) fn board(&self, board: &BoardId) -> Option<BoardMemory> {
        self.boards.get(board).copied()
    }

    /// Where a player stands for a new score, unless that may be a repetition.
    pub(super) fn standings(&self, of: Generation, player: Uuid, submission: Uuid) -> Option<board::Standings> {
        let found = match self.in_flight.get(&(of, player)) {
            Some(remembered) => remembered.clone(),
            None => self.standings.players.get(&(of, player))?,
        };
        (found.submission != submission).then_some(found.standings)
    }

    /// Begins to remember a board, or begins anew.
    pub(super) fn begin(&mut self, board: &BoardId, head: Option<Head>) -> Generation {
        let generation = Generation(self.standings.generations.fetch_add(1, Ordering::Relaxed));
        self.boards.insert(board.clone(), BoardMemory { generation, head });
        generation
    }

    /// A board is about to move: this is what follows from the rows that are being written.
    pub(super) fn expect(
        &mut self,
        board: &BoardId,
        head: Head,
        standings: HashMap<Uuid, board::Standings>,
        rows: &[ScoreRow],
    ) {
        let Some(memory) = self.boards.get_mut(board) else { return };
        memory.head = Some(head);
        let generation = memory.generation;
        for (player, standings) in standings {
            self.in_flight.insert((generation, player), Remembered { standings, submission: Uuid::nil() });
        }
        for row in rows {
            if let Some(remembered) = self.in_flight.get_mut(&(generation, row.player)) {
                remembered.submission = row.submission;
            }
        }
    }

    /// All that was being written is written.
    pub(super) fn settle(&mut self) {
        for (player, remembered) in self.in_flight.drain() {
            self.standings.players.insert(player, remembered);
        }
    }

    /// Forgets boards if there are too many. Only while nothing is being written or waits to be.
    pub(super) fn shrink(&mut self) {
        if self.boards.len() > BOARDS_MAX {
            self.boards.clear();
        }
    }
}
