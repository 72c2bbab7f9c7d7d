//! Reading boards and their history.

mod repairing;

use std::sync::Arc;

use pkg_ambient::Ambient;
use pkg_batching::Sharing;
use pkg_definition::Period;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::board::{BoardId, PeriodId, PeriodSpan, PlaceKey};
use crate::catalog::{BoardError, Catalog, DefinedBoard};
use crate::store::{BoardStore, BoardView, HistoryStore, Place, Ranked, Read, ScoreRow, StoreError};
use crate::watermarks::Watermarks;
use repairing::{Repaired, Repairs};

/// How often a board that is lost while it is read is read again.
const ATTEMPTS: usize = 8;

/// What readings are made of.
#[derive(Clone)]
pub struct Ports {
    pub(crate) catalog: Catalog,
    pub(crate) history: Arc<dyn HistoryStore>,
    pub(crate) boards: Arc<dyn BoardStore>,
    pub(crate) watermarks: Watermarks,
    pub(crate) ambient: Ambient,
}

/// Reads boards. Cloning shares it.
///
/// What begins to be read after a score was answered for has seen that score.
#[derive(Clone)]
pub struct Readings {
    ports: Ports,
    tops: Sharing<TopKey, Result<Read<Arc<BoardView>>, StoreError>>,
    repairs: Repairs,
}

/// The best so many entries of a period.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct TopKey {
    board: BoardId,
    period: PeriodId,
    max: usize,
}

/// Which period of which board is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The board.
    pub board: BoardId,
    /// Which kind of period; `None` for the first one of the board.
    pub kind: Option<Period>,
    /// A moment within the period; `None` for now.
    pub time: Option<OffsetDateTime>,
    /// The offset that the board must have applied.
    pub min_offset: Option<i64>,
}

/// Where a page goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PageStart {
    /// In which period: the first page has decided that.
    pub period: PeriodId,
    /// Behind which entry.
    pub after: PlaceKey,
}

/// A part of a board as it was at one moment.
#[derive(Debug, Clone)]
pub struct View {
    /// The board.
    pub board: Arc<DefinedBoard>,
    /// Which period.
    pub span: PeriodSpan,
    /// What was seen; `None` for a board without records.
    pub seen: Option<Arc<BoardView>>,
}

/// A page of entries.
#[derive(Debug, Clone)]
pub struct EntriesPage {
    /// The entries.
    pub view: View,
    /// Where the next page goes on; `None` on the last one.
    pub next: Option<PageStart>,
}

/// A player's place.
#[derive(Debug, Clone, PartialEq)]
pub struct EntryFound {
    /// The place.
    pub ranked: Ranked,
    /// In which period.
    pub span: PeriodSpan,
    /// How many players there are.
    pub total: u64,
}

/// Scores of a player, or periods of a board: the newest first.
#[derive(Debug, Clone)]
pub struct HistoryPage<T> {
    /// The board.
    pub board: Arc<DefinedBoard>,
    /// What was asked for.
    pub rows: Vec<T>,
    /// Whether there are more.
    pub more: bool,
}

/// Why nothing is read.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ReadError {
    #[error(transparent)]
    Board(#[from] BoardError),
    #[error("the leaderboard has no such period")]
    PeriodNotFound,
    #[error("the page is one of another period")]
    OtherPeriod,
    #[error("the player is not ranked")]
    NotRanked,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A period of a board that is there.
struct At {
    board: Arc<DefinedBoard>,
    span: PeriodSpan,
    place: Arc<Place>,
    min_offset: Option<i64>,
}

/// Which part of a period.
#[derive(Clone, Copy)]
enum Part<'a> {
    /// The best so many.
    Top(usize),
    /// So many behind a place.
    Behind(PlaceKey, usize),
    /// So many around a player.
    Around(Uuid, usize),
    /// Those of players.
    Of(&'a [Uuid]),
}

impl Readings {
    /// Reads what is in these.
    #[must_use]
    pub fn new(ports: Ports) -> Self {
        let repairs = Repairs::new(ports.history.clone(), ports.boards.clone(), ports.ambient.clone());
        Self { ports, tops: Sharing::default(), repairs }
    }

    /// The best entries, or those behind a place.
    pub async fn entries(&self, asked: &Asked, start: Option<PageStart>, max: usize) -> Result<EntriesPage, ReadError> {
        let at = self.at(asked, start.map(|start| start.period)).await?;
        let part = start.map_or(Part::Top(max), |start| Part::Behind(start.after, max));
        let view = self.read(at, part).await?;
        let last = view.entries().last().filter(|last| last.rank < view.total());
        let next = last.map(|last| PageStart { period: view.span.id, after: last.key(view.board.rules.order) });
        Ok(EntriesPage { view, next })
    }

    /// A player's place.
    pub async fn entry(&self, asked: &Asked, player: Uuid) -> Result<EntryFound, ReadError> {
        let view = self.of_players(asked, &[player]).await?;
        let ranked = view.entries().first().cloned().ok_or(ReadError::NotRanked)?;
        Ok(EntryFound { ranked, span: view.span, total: view.total() })
    }

    /// `count` entries around a player.
    pub async fn around(&self, asked: &Asked, player: Uuid, count: usize) -> Result<View, ReadError> {
        let at = self.at(asked, None).await?;
        let view = self.read(at, Part::Around(player, count)).await?;
        if view.entries().is_empty() { Err(ReadError::NotRanked) } else { Ok(view) }
    }

    /// The entries of players, without those who are not ranked.
    pub async fn of_players(&self, asked: &Asked, players: &[Uuid]) -> Result<View, ReadError> {
        let at = self.at(asked, None).await?;
        self.read(at, Part::Of(players)).await
    }

    /// The scores of a player before an offset, the newest first. Refused ones only if `refused`.
    pub async fn player_scores(
        &self,
        asked: &Asked,
        player: Uuid,
        refused: bool,
        before: Option<i64>,
        max: usize,
    ) -> Result<HistoryPage<ScoreRow>, ReadError> {
        let board = self.ports.catalog.find(&asked.board).await?;
        self.applied(&asked.board, asked.min_offset).await?;
        let rows = self.ports.history.player_scores(&asked.board, player, refused, before, max + 1).await?;
        Ok(HistoryPage::new(board, rows, max))
    }

    /// The periods of a kind that have scores and began before a moment (milliseconds since 1970), the newest first.
    pub async fn periods(
        &self,
        asked: &Asked,
        before_ms: Option<i64>,
        max: usize,
    ) -> Result<HistoryPage<PeriodSpan>, ReadError> {
        let board = self.ports.catalog.find(&asked.board).await?;
        let kind = kind(&board, asked.kind)?;
        let rows = self.ports.history.periods(&asked.board, kind, before_ms, max + 1).await?;
        Ok(HistoryPage::new(board, rows, max))
    }

    /// Which kind of period it is, of a board that is there.
    pub async fn kind(&self, board: &BoardId, asked: Option<Period>) -> Result<Period, ReadError> {
        kind(&*self.ports.catalog.find(board).await?, asked)
    }

    /// Ends when a board has applied an offset.
    pub async fn applied(&self, board: &BoardId, min_offset: Option<i64>) -> Result<(), ReadError> {
        let Some(min) = min_offset else { return Ok(()) };
        self.ports.catalog.find(board).await?;
        self.ports.watermarks.reached(board, min).await;
        Ok(())
    }

    /// Which period it is. A page goes on in that of the page before, which must be the one that is asked for, if one is.
    async fn at(&self, asked: &Asked, page_of: Option<PeriodId>) -> Result<At, ReadError> {
        let board = self.ports.catalog.find(&asked.board).await?;
        let kind = kind(&board, asked.kind)?;
        let calendar = &board.rules.calendar;
        let span = match (page_of, asked.time) {
            (None, time) => calendar.period(kind, time.unwrap_or_else(|| self.ports.ambient.now())),
            (Some(page), time) => {
                let span = calendar.period(kind, pkg_db::from_millis(page.start_ms));
                if span.id != page || time.is_some_and(|time| !span.contains(time)) {
                    return Err(ReadError::OtherPeriod);
                }
                span
            }
        };
        let place = Place::new(&board.id, &board.rules, span.id);
        Ok(At { board, span, place: Arc::new(place), min_offset: asked.min_offset })
    }

    /// Reads until the board is there and has applied what it must.
    async fn read(&self, at: At, part: Part<'_>) -> Result<View, ReadError> {
        for attempt in 0..ATTEMPTS {
            let lost = match self.look(&at, part).await? {
                Read::Found(seen) if at.min_offset.is_none_or(|min| seen.mark.offset >= min) => {
                    return Ok(View { board: at.board, span: at.span, seen: Some(seen) });
                }
                // A board that has come so far before, and is behind now, was set back.
                Read::Found(_) => attempt > 0,
                Read::Missing => true,
            };
            let nothing = lost && self.repairs.repair(&at.board, &at.span).await? == Repaired::Nothing;
            match at.min_offset {
                Some(min) => self.ports.watermarks.reached(&at.place.board, min).await,
                None if nothing => return Ok(View { board: at.board, span: at.span, seen: None }),
                None => {}
            }
        }
        Err(StoreError::unavailable("a board is lost again and again").into())
    }

    async fn look(&self, at: &At, part: Part<'_>) -> Result<Read<Arc<BoardView>>, StoreError> {
        let boards = &self.ports.boards;
        let seen = match part {
            Part::Top(max) => return self.top(at, max).await,
            Part::Behind(after, max) => boards.page(&at.place, Some(after), max).await,
            Part::Around(player, count) => boards.around(&at.place, player, count).await,
            Part::Of(players) => boards.of_players(&at.place, players).await,
        };
        share(seen)
    }

    /// The best entries: those who ask for the same at the same time share one look.
    async fn top(&self, at: &At, max: usize) -> Result<Read<Arc<BoardView>>, StoreError> {
        let key = TopKey { board: at.place.board.clone(), period: at.place.period, max };
        let (boards, place) = (self.ports.boards.clone(), at.place.clone());
        let look = move || {
            let (boards, place) = (boards.clone(), place.clone());
            async move { share(boards.page(&place, None, max).await) }
        };
        self.tops.call(key, look).await?
    }
}

impl View {
    /// The entries, the best first.
    #[must_use]
    pub fn entries(&self) -> &[Ranked] {
        self.seen.as_ref().map_or(&[], |seen| &seen.entries)
    }

    /// How many players there are.
    #[must_use]
    pub fn total(&self) -> u64 {
        self.seen.as_ref().map_or(0, |seen| seen.total)
    }
}

impl EntryFound {
    /// How many of 100 players are ranked lower; 100 for the only one.
    #[must_use]
    pub fn percentile(&self) -> f64 {
        let number = |count: u64| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        if self.total <= 1 {
            return 100.0;
        }
        number(self.total.saturating_sub(self.ranked.rank)) / number(self.total - 1) * 100.0
    }
}

impl<T> HistoryPage<T> {
    /// Of rows of which one more was asked for than are shown.
    fn new(board: Arc<DefinedBoard>, mut rows: Vec<T>, max: usize) -> Self {
        let more = rows.len() > max;
        rows.truncate(max);
        Self { board, rows, more }
    }
}

fn kind(board: &DefinedBoard, asked: Option<Period>) -> Result<Period, ReadError> {
    let kinds = &board.rules.periods;
    let kind = asked.map_or_else(|| kinds.first().copied(), |kind| kinds.contains(&kind).then_some(kind));
    kind.ok_or(ReadError::PeriodNotFound)
}

fn share(read: Result<Read<BoardView>, StoreError>) -> Result<Read<Arc<BoardView>>, StoreError> {
    Ok(match read? {
        Read::Found(seen) => Read::Found(Arc::new(seen)),
        Read::Missing => Read::Missing,
    })
}
