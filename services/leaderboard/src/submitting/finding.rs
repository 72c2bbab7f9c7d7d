//! What is kept of submissions, and the ranks of players now: asked for together.

use std::collections::HashMap;
use std::sync::Arc;

use futures::future::join_all;
use pkg_ambient::Ambient;
use pkg_batching::Batcher;
use uuid::Uuid;

use crate::board::{BoardId, PeriodId};
use crate::catalog::Catalog;
use crate::store::{BoardStore, HistoryStore, Place, Read, ScoreRow, StoreError, Wanted};
use crate::submission::State;

/// Finds what was applied, by whichever process.
pub(super) struct Finder {
    catalog: Catalog,
    ambient: Ambient,
    rows: Batcher<Wanted, Result<Option<ScoreRow>, StoreError>>,
    ranks: Batcher<Ranked, Result<Option<u64>, StoreError>>,
}

/// A player on a board, whose rank is asked for.
struct Ranked {
    place: Place,
    player: Uuid,
}

impl Finder {
    pub(super) fn new(
        catalog: Catalog,
        history: Arc<dyn HistoryStore>,
        boards: Arc<dyn BoardStore>,
        ambient: Ambient,
    ) -> Self {
        let rows = Batcher::spawn(move |wanted: Vec<Wanted>| {
            let history = history.clone();
            async move {
                match history.look_up(&wanted).await {
                    Ok(known) => known.into_iter().map(|known| Ok(known.recorded)).collect(),
                    Err(error) => wanted.iter().map(|_| Err(error.clone())).collect(),
                }
            }
        });
        let ranks = Batcher::spawn(move |asked: Vec<Ranked>| {
            let boards = boards.clone();
            async move { ranks(&*boards, asked).await }
        });
        Self { catalog, ambient, rows, ranks }
    }

    /// A submission, if it is recorded.
    pub(super) async fn row(&self, wanted: Wanted) -> Result<Option<ScoreRow>, StoreError> {
        self.rows.call(wanted).await?
    }

    /// What is shown of a submission that was recorded.
    pub(super) async fn applied(&self, board: &BoardId, row: ScoreRow) -> State {
        let ranks = self.ranks(board, &row).await;
        State::Applied { row, ranks }
    }

    /// The player's rank now for each of the standings of a row, where it is known; empty if none is.
    pub(super) async fn ranks(&self, board: &BoardId, row: &ScoreRow) -> Vec<Option<u64>> {
        if row.refusal.is_some() {
            return Vec::new();
        }
        let Ok(defined) = self.catalog.find(board).await else { return Vec::new() };
        let now = defined.rules.periods_at(self.ambient.now());
        let ranks = row.standings.0.iter().map(async |standing| {
            if !now.iter().any(|span| span.id == standing.period) {
                return None;
            }
            let place = Place::new(board, &defined.rules, standing.period);
            // A rank that cannot be had now is left out: what was recorded is the answer.
            self.ranks.call(Ranked { place, player: row.player }).await.ok()?.ok()?
        });
        join_all(ranks).await
    }
}

/// One answer for each, with one question for each period of a board.
async fn ranks(boards: &dyn BoardStore, asked: Vec<Ranked>) -> Vec<Result<Option<u64>, StoreError>> {
    let mut places: HashMap<(&BoardId, PeriodId), (&Place, Vec<Uuid>)> = HashMap::new();
    for Ranked { place, player } in &asked {
        let (_, players) = places.entry((&place.board, place.period)).or_insert_with(|| (place, Vec::new()));
        if !players.contains(player) {
            players.push(*player);
        }
    }
    let found = places.into_iter().map(async |(key, (place, players))| {
        let ranks = boards.of_players(place, &players).await.map(|read| match read {
            Read::Found(view) => view.entries.iter().map(|entry| (entry.player, entry.rank)).collect(),
            Read::Missing => HashMap::new(),
        });
        (key, ranks)
    });
    let found: HashMap<_, Result<HashMap<Uuid, u64>, StoreError>> = join_all(found).await.into_iter().collect();
    let answer = |Ranked { place, player }: &Ranked| match &found[&(&place.board, place.period)] {
        Ok(ranks) => Ok(ranks.get(player).copied()),
        Err(error) => Err(error.clone()),
    };
    asked.iter().map(answer).collect()
}
