use bytes::Bytes;
use pkg_definition::{Key, Operator, Order, TimeZone};

use super::*;
use crate::board::{Calendar, Entry};
use crate::reckoning::{Record, reckon};
use crate::store::{
    Appended, BoardView, ENTRIES_MAX, ErasureStore, Known, MemoryBoards, RedisBoards, SqlErasures, SqlHistory, Wanted,
};

/// A board and the stores that it is in.
struct World<'a> {
    stores: Stores<'a>,
    board: BoardId,
    rules: BoardRules,
}

impl<'a> World<'a> {
    fn new(stores: Stores<'a>) -> Self {
        let calendar = Calendar::new(TimeZone::UTC);
        let periods = vec![Period::AllTime, Period::Daily];
        let board = BoardId { game: stores.ambient.id(), key: Key::parse("high-scores").unwrap() };
        Self {
            stores,
            board,
            rules: BoardRules { order: Order::HighWins, operator: Operator::Last, periods, calendar },
        }
    }

    fn now(&self) -> OffsetDateTime {
        pkg_db::from_millis(pkg_db::to_millis(self.stores.ambient.now()))
    }

    fn all_time(&self) -> Place {
        Place::new(&self.board, &self.rules, PeriodId::ALL_TIME)
    }

    /// Scores of a player each, one offset after the other, into the history; and what follows for the board.
    async fn append(&self, scores: &[(u128, i64)]) -> BoardStep {
        let head = self.stores.history.heads(std::slice::from_ref(&self.board)).await.unwrap()[0];
        let first = head.map_or(0, |head| head.mark.offset + 1);
        let record = |(offset, (player, value)): (i64, &(u128, i64))| Record {
            offset,
            time: self.now(),
            player: Uuid::from_u128(*player),
            submission: self.stores.ambient.id(),
            value: *value,
            session: None,
            attributes: Bytes::new(),
            content_hash: [0; 32],
            within_bounds: true,
        };
        let records: Vec<Record> = (first..).zip(scores).map(record).collect();
        let wanted = |record: &Record| Wanted {
            board: self.board.clone(),
            player: record.player,
            submission: record.submission,
        };
        let known: Vec<Known> =
            self.stores.history.look_up(&records.iter().map(wanted).collect::<Vec<_>>()).await.unwrap();
        let reckoning = reckon(&self.board, Some(&self.rules), head, records.into_iter().zip(known).collect());
        assert_eq!(self.stores.history.append(&[reckoning.history]).await.unwrap(), [Appended::Done]);
        reckoning.board
    }

    async fn score(&self, scores: &[(u128, i64)]) -> Applied {
        self.stores.boards.apply(&self.append(scores).await).await.unwrap()
    }

    /// Everything, until nothing is missing.
    async fn mend(&self) {
        let caught_up = catch_up(self.stores, &self.board, &self.rules).await.unwrap().unwrap();
        for span in caught_up.missing {
            let place = Place::new(&self.board, &self.rules, span.id);
            assert_eq!(rebuild(self.stores, &place, &span).await.unwrap(), Rebuilt::Done);
        }
    }

    /// All of a period.
    async fn view(&self, period: PeriodId) -> BoardView {
        let place = Place::new(&self.board, &self.rules, period);
        let page = async |after| match self.stores.boards.page(&place, after, ENTRIES_MAX).await.unwrap() {
            Read::Found(view) => view,
            Read::Missing => panic!("it is missing"),
        };
        let mut view = page(None).await;
        while let Some(last) = view.entries.last().filter(|_| view.entries.len() % ENTRIES_MAX == 0) {
            view.entries.extend(page(Some(last.key(place.order))).await.entries);
            if view.entries.len() as u64 == view.total {
                break;
            }
        }
        view
    }

    async fn entries(&self, period: PeriodId) -> Vec<(u128, i64)> {
        let view = self.view(period).await;
        view.entries.iter().map(|entry| (entry.player.as_u128(), entry.entry.value)).collect()
    }

    /// The periods of the board are what its history says.
    async fn agrees(&self) {
        let scores = self.stores.history.replay(&self.board, 0, i64::MAX, usize::MAX).await.unwrap();
        for span in self.rules.periods_at(self.now()) {
            let mut entries: HashMap<Uuid, Entry> = HashMap::new();
            for new in scores.iter().filter_map(|score| changed(score, span.id)) {
                entries.insert(new.player, new.entry);
            }
            let mut expected: Vec<_> = entries.into_iter().collect();
            expected.sort_unstable_by_key(|(player, entry)| (-i128::from(entry.value), entry.reached, *player));
            let view = self.view(span.id).await;
            let found: Vec<_> = view.entries.iter().map(|entry| (entry.player, entry.entry)).collect();
            assert!(found == expected, "{:?}: {} of {}", span.id, found.len(), expected.len());
        }
    }
}

async fn scores_go_on_while_a_lost_board_is_rebuilt(world: &World<'_>, lose: impl AsyncFnOnce()) {
    const PLAYERS: u128 = 25_000;
    let scores: Vec<(u128, i64)> =
        (0..PLAYERS).map(|player| (player, i64::try_from(player * 7_919 % 1_000).unwrap())).collect();
    for part in scores.chunks(5_000) {
        assert!(matches!(world.score(part).await, Applied::Done(_)));
    }
    lose().await;
    let next = world.append(&[(1, 5_000)]).await;
    assert_eq!(world.stores.boards.apply(&next).await.unwrap(), Applied::Missing);
    let caught_up = catch_up(world.stores, &world.board, &world.rules).await.unwrap().unwrap();
    assert_eq!((caught_up.head.mark.offset, caught_up.missing.len()), (next.to, 2));

    let rebuilding = async {
        for span in &caught_up.missing {
            let place = Place::new(&world.board, &world.rules, span.id);
            assert_eq!(rebuild(world.stores, &place, span).await.unwrap(), Rebuilt::Done);
        }
    };
    let scoring = async {
        let mut done = 0;
        for round in 0..200_u128 {
            let step = world.append(&[(round * 31 % PLAYERS, -7), (PLAYERS + round, 400)]).await;
            // Until both rebuilds have begun.
            while !matches!(world.stores.boards.apply(&step).await.unwrap(), Applied::Done(_)) {
                tokio::task::yield_now().await;
            }
            done += 1;
        }
        done
    };
    let ((), done) = futures::future::join(rebuilding, scoring).await;
    assert_eq!(done, 200);
    world.agrees().await;
}

async fn a_board_that_is_there_is_rebuilt(world: &World<'_>) {
    world.score(&[(1, 1), (2, 2), (1, 3)]).await;
    let before = world.view(PeriodId::ALL_TIME).await;
    for span in world.rules.periods_at(world.now()) {
        let place = Place::new(&world.board, &world.rules, span.id);
        assert_eq!(rebuild(world.stores, &place, &span).await.unwrap(), Rebuilt::Done);
    }
    assert_eq!(world.view(PeriodId::ALL_TIME).await, before);
    world.agrees().await;
}

async fn without_scores_there_is_nothing_to_do(world: &World<'_>) {
    assert_eq!(catch_up(world.stores, &world.board, &world.rules).await.unwrap(), None);
    let span = world.rules.periods_at(world.now())[0];
    assert_eq!(rebuild(world.stores, &world.all_time(), &span).await.unwrap(), Rebuilt::Missing);
}

async fn one_who_was_erased_is_taken_off(world: &World<'_>, erasures: &dyn ErasureStore) {
    world.score(&[(1, 1), (2, 2), (3, 3)]).await;
    let player = Uuid::from_u128(u128::from_be_bytes(*world.board.game.as_bytes()));
    world.score(&[(player.as_u128(), 9)]).await;
    assert_eq!(erasures.erase(player, world.now()).await.unwrap().len(), 1);
    // The step behind it is not applied to a board that still shows the player.
    let step = world.append(&[(1, 4)]).await;
    assert!(matches!(world.stores.boards.apply(&step).await.unwrap(), Applied::Elsewhere(_)));
    world.mend().await;
    assert_eq!(world.entries(PeriodId::ALL_TIME).await, [(1, 4), (3, 3), (2, 2)]);
    world.agrees().await;
}

mod memory {
    use super::*;

    #[tokio::test]
    async fn boards_come_back() {
        let database = pkg_db::testing::sqlite().await;
        let (history, ambient) = (SqlHistory::new(database.clone()), Ambient::system());
        let boards = MemoryBoards::new(ambient.clone());
        let stores = Stores { history: &history, boards: &boards, ambient: &ambient };
        without_scores_there_is_nothing_to_do(&World::new(stores)).await;
        a_board_that_is_there_is_rebuilt(&World::new(stores)).await;
        one_who_was_erased_is_taken_off(&World::new(stores), &SqlErasures::new(database.clone())).await;
    }
}

mod real_redis {
    use pkg_redis::Redis;
    use pkg_redis::testing::TestRedis;

    use super::*;
    use crate::store::testing::{dump, empty, put_back};

    /// The keys of a board.
    fn keys(redis: &Redis, world: &World<'_>) -> Vec<String> {
        let tag = world.board.to_string();
        let mut keys = vec![redis.key_in_slot(&tag, &["board", "state"])];
        for span in world.rules.periods_at(world.now()) {
            for name in ["ranks", "values"] {
                keys.push(redis.key_in_slot(&tag, &["board", &span.id.to_string(), name]));
            }
        }
        keys
    }

    async fn on(redis: &TestRedis) {
        let database = pkg_db::testing::postgres().await;
        let (history, ambient) = (SqlHistory::new(database.clone()), Ambient::system());
        let boards = RedisBoards::new((**redis).clone());
        let stores = Stores { history: &history, boards: &boards, ambient: &ambient };
        without_scores_there_is_nothing_to_do(&World::new(stores)).await;
        a_board_that_is_there_is_rebuilt(&World::new(stores)).await;
        one_who_was_erased_is_taken_off(&World::new(stores), &SqlErasures::new(database.clone())).await;
        set_back(&World::new(stores), redis, &SqlErasures::new(database.clone())).await;
        let world = World::new(stores);
        scores_go_on_while_a_lost_board_is_rebuilt(&world, async || empty(redis, keys(redis, &world)).await).await;
    }

    async fn set_back(world: &World<'_>, redis: &Redis, erasures: &dyn ErasureStore) {
        let gone = world.stores.ambient.id();
        world.score(&[(1, 1), (2, 2), (gone.as_u128(), 3)]).await;
        let kept = dump(redis, keys(redis, world)).await;
        world.score(&[(2, 7)]).await;
        erasures.erase(gone, world.now()).await.unwrap();
        world.mend().await;
        world.score(&[(4, 4), (1, 9)]).await;
        put_back(redis, kept).await;
        assert_eq!(world.entries(PeriodId::ALL_TIME).await, [(gone.as_u128(), 3), (2, 2), (1, 1)]);

        let lost = Mark { offset: 2, erasures: 0 };
        assert_eq!(world.score(&[(5, 5)]).await, Applied::Elsewhere(lost));
        world.mend().await;
        assert_eq!(world.entries(PeriodId::ALL_TIME).await, [(1, 9), (2, 7), (5, 5), (4, 4)]);
        world.agrees().await;
    }

    #[tokio::test]
    async fn boards_come_back() {
        on(&pkg_redis::testing::redis().await).await;
    }

    mod real_cluster {
        #[tokio::test]
        async fn boards_come_back() {
            super::on(&pkg_redis::testing::cluster().await).await;
        }
    }
}
