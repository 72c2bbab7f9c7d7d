//! Boards made of the history again: what was lost, what was set back, or what somebody wants to be rebuilt.

use std::collections::HashMap;

use pkg_ambient::Ambient;
use pkg_definition::Period;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::board::{BoardId, BoardRules, PeriodId, PeriodSpan};
use crate::store::{
    Applied, Begun, BoardStep, BoardStore, Change, Detail, Filled, Finished, Head, HistoryStore, Mark, NewEntry,
    PeriodChanges, Place, Read, Rebuild, Removed, Replayed, StoreError,
};

/// How many scores are read at once.
const REPLAYED_AT_ONCE: usize = 10_000;
/// How many periods are read at once.
const PERIODS_AT_ONCE: usize = 1_000;
/// How often a board is brought to the head while others move it.
const ATTEMPTS: usize = 16;

/// What boards are made of, and where they are.
#[derive(Clone, Copy)]
pub struct Stores<'a> {
    /// The truth.
    pub history: &'a dyn HistoryStore,
    /// What is made of it.
    pub boards: &'a dyn BoardStore,
    /// Time and ids.
    pub ambient: &'a Ambient,
}

/// What came of a rebuild.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rebuilt {
    /// The period is as the history says, with what was applied meanwhile.
    Done,
    /// Somebody else rebuilds it.
    Busy,
    /// The board is not there: [`catch_up`], and begin anew.
    Missing,
    /// The store lost something meanwhile, or a player was erased: begin anew.
    Lost,
}

/// A board that is where its history is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CaughtUp {
    /// How far that is.
    pub head: Head,
    /// The periods of now that are not there: steps that change them have to wait until each one's [`rebuild`] has begun.
    pub missing: Vec<PeriodSpan>,
}

/// Rebuilds a period of a board from the history and puts it in the place of what is there, while scores go on.
pub async fn rebuild(stores: Stores<'_>, place: &Place, span: &PeriodSpan) -> Result<Rebuilt, StoreError> {
    let mut rebuild = match stores.boards.begin_rebuild(place, stores.ambient.id()).await? {
        Begun::Done(rebuild) => rebuild,
        Begun::Busy => return Ok(Rebuilt::Busy),
        Begun::Missing => return Ok(Rebuilt::Missing),
    };
    if fill(stores, &mut rebuild).await? == Filled::Lost {
        return Ok(Rebuilt::Lost);
    }
    match stores.boards.finish(&rebuild, span.keep_until(stores.ambient.now())).await? {
        Finished::Done => Ok(Rebuilt::Done),
        Finished::Lost => Ok(Rebuilt::Lost),
    }
}

/// Fills a rebuild with the scores up to its mark: the next ones are read while those before are written.
async fn fill(stores: Stores<'_>, rebuild: &mut Rebuild) -> Result<Filled, StoreError> {
    let Stores { history, boards, .. } = stores;
    let Place { board, period, .. } = rebuild.place.clone();
    let Some(recorded) = history.period(&board, period).await? else { return Ok(Filled::Done) };
    let last = recorded.end_offset.map_or(rebuild.mark.offset, |end| rebuild.mark.offset.min(end - 1));
    let mut page = history.replay(&board, recorded.first_offset, last, REPLAYED_AT_ONCE).await?;
    while let Some(newest) = page.last() {
        let next = history.replay(&board, newest.offset + 1, last, REPLAYED_AT_ONCE);
        let entries: Vec<NewEntry> = page.iter().filter_map(|score| changed(score, period)).collect();
        let (next, filled) = futures::future::try_join(next, boards.fill(rebuild, &entries)).await?;
        if filled == Filled::Lost {
            return Ok(Filled::Lost);
        }
        page = next;
    }
    Ok(Filled::Done)
}

/// The entry that a score has set in a period, if it has.
fn changed(score: &Replayed, period: PeriodId) -> Option<NewEntry> {
    let entry = score.standings.entry(period).filter(|entry| entry.reached == score.offset)?;
    let detail = Detail { time: score.time, attributes: score.attributes.clone() };
    Some(NewEntry { player: score.player, entry, detail })
}

/// Brings a board to the head of its history, whatever it has lost: `None` if that has no records. A board that has lost
/// everything is opened, without any entries.
pub async fn catch_up(stores: Stores<'_>, board: &BoardId, rules: &BoardRules) -> Result<Option<CaughtUp>, StoreError> {
    for _ in 0..ATTEMPTS {
        let Some(head) = stores.history.heads(std::slice::from_ref(board)).await?[0] else { return Ok(None) };
        let Some(mark) = stores.boards.marks(std::slice::from_ref(board)).await?[0] else {
            stores.boards.open(board, head.mark, &periods(stores, board).await?).await?;
            continue;
        };
        if mark.erasures < head.mark.erasures {
            erase(stores, board, mark).await?;
        } else if mark.offset < head.mark.offset {
            replay(stores, board, rules, mark, head.mark.offset).await?;
        } else {
            let missing = missing(stores, board, rules, rules.periods_at(head.time)).await?;
            return Ok(Some(CaughtUp { head, missing }));
        }
    }
    Err(StoreError::unavailable("a board moves while it is brought to its head"))
}

/// Takes off who was erased after a mark.
pub(crate) async fn erase(stores: Stores<'_>, board: &BoardId, mark: Mark) -> Result<(), StoreError> {
    let players = stores.history.erasures(board, mark.erasures).await?;
    for (player, number) in players.into_iter().zip(mark.erasures + 1..) {
        if stores.boards.remove(board, number, player).await? != Removed::Done {
            break;
        }
    }
    Ok(())
}

/// Applies the scores after a mark, up to an offset or until somebody else has moved the board.
async fn replay(
    stores: Stores<'_>,
    board: &BoardId,
    rules: &BoardRules,
    mut mark: Mark,
    to: i64,
) -> Result<(), StoreError> {
    while mark.offset < to {
        let page = stores.history.replay(board, mark.offset + 1, to, REPLAYED_AT_ONCE).await?;
        let last = page.last().filter(|_| page.len() == REPLAYED_AT_ONCE).map_or(to, |score| score.offset);
        let periods = changes(rules, &page, stores.ambient.now());
        let step = BoardStep { board: board.clone(), order: rules.order, from: Some(mark), to: last, periods };
        match stores.boards.apply(&step).await? {
            Applied::Done(_) => mark.offset = last,
            Applied::Elsewhere(_) => return Ok(()),
            Applied::Missing => {
                let spans = step.periods.iter().map(|changes| span(rules, changes.period)).collect();
                for span in missing(stores, board, rules, spans).await? {
                    rebuild(stores, &Place::new(board, rules, span.id), &span).await?;
                }
                return Ok(());
            }
        }
    }
    Ok(())
}

/// What scores change, taken together.
fn changes(rules: &BoardRules, scores: &[Replayed], now: OffsetDateTime) -> Vec<PeriodChanges> {
    let mut periods: HashMap<PeriodId, HashMap<Uuid, Change>> = HashMap::new();
    for score in scores {
        for standing in &score.standings.0 {
            let Some(NewEntry { player, entry, detail }) = changed(score, standing.period) else { continue };
            let change = Change { player, entry, changed: Some(detail) };
            periods.entry(standing.period).or_default().insert(player, change);
        }
    }
    let step = |(period, changes): (PeriodId, HashMap<Uuid, Change>)| PeriodChanges {
        period,
        keep_until: span(rules, period).keep_until(now),
        changes: changes.into_values().collect(),
    };
    periods.into_iter().map(step).collect()
}

/// Those of these periods that are not there.
pub(crate) async fn missing(
    stores: Stores<'_>,
    board: &BoardId,
    rules: &BoardRules,
    spans: Vec<PeriodSpan>,
) -> Result<Vec<PeriodSpan>, StoreError> {
    let mut missing = Vec::new();
    for span in spans {
        if stores.boards.page(&Place::new(board, rules, span.id), None, 0).await? == Read::Missing {
            missing.push(span);
        }
    }
    Ok(missing)
}

/// All periods that have scores.
async fn periods(stores: Stores<'_>, board: &BoardId) -> Result<Vec<PeriodId>, StoreError> {
    let mut periods = Vec::new();
    for kind in [Period::AllTime, Period::Daily, Period::Weekly, Period::Monthly] {
        let mut before = None;
        loop {
            let page = stores.history.periods(board, kind, before, PERIODS_AT_ONCE).await?;
            periods.extend(page.iter().map(|span| span.id));
            let Some(last) = page.last().filter(|_| page.len() == PERIODS_AT_ONCE) else { break };
            before = Some(last.id.start_ms);
        }
    }
    Ok(periods)
}

fn span(rules: &BoardRules, period: PeriodId) -> PeriodSpan {
    rules.calendar.period(period.kind, pkg_db::from_millis(period.start_ms))
}

#[cfg(test)]
mod tests;
