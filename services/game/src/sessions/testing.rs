//! Sessions on stores of a test's own, with a clock that the test moves.

use std::collections::HashMap;
use std::sync::Mutex;

use pkg_ambient::ManualClock;
use pkg_api::game::v1 as api;
use pkg_api::log::v1::record;
use pkg_bus::{MemoryBus, RedisBus, Retentions};
use pkg_db::testing::TestDatabase;
use pkg_definition::{Definition, Region};
use pkg_log::Start;
use pkg_log::sqlite::SqliteLog;
use pkg_middleware::Actor;
use pkg_redis::Redis;

use super::*;
use crate::SessionStores;
use crate::rules::GameRules;
use crate::session::Visibility;
use crate::store::{MemorySessions, RedisSessions};

pub(crate) const GAME: Uuid = Uuid::from_u128(50);
pub(crate) const SERVER: Actor = Actor::Server(Uuid::from_u128(900));
/// How long anything may take.
pub(crate) const LIMIT: Duration = Duration::from_secs(30);

/// One game, whose definition a test writes.
struct OneGame {
    definition: Arc<Definition>,
    archived: bool,
    created: Mutex<HashMap<Uuid, u32>>,
}

#[async_trait::async_trait]
impl Games for OneGame {
    async fn newest(&self, game: Uuid) -> Result<Option<GameRules>, StoreError> {
        let rules = GameRules { revision: 4, definition: self.definition.clone(), archived: self.archived };
        Ok((game == GAME).then_some(rules))
    }

    async fn revision(&self, game: Uuid, revision: i64) -> Result<Option<Arc<Definition>>, StoreError> {
        Ok((game == GAME && revision == 4).then(|| self.definition.clone()))
    }

    fn count_session(&self, game: Uuid) {
        *self.created.lock().unwrap().entry(game).or_default() += 1;
    }
}

pub(crate) struct World {
    pub(crate) sessions: Sessions,
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) log: SqliteLog,
    pub(crate) clock: Arc<ManualClock>,
    pub(crate) database: TestDatabase,
}

fn definition(rules: api::SessionRules) -> Definition {
    let format =
        api::queue_definition::Format::Teams(api::TeamFormat { team_count: 2, min_team_size: 1, max_team_size: 1 });
    let session = api::SessionTemplate { player_owner: true, start_when_connected: true, ..Default::default() };
    let queue = api::QueueDefinition {
        key: "duel".to_owned(),
        format: Some(format),
        session: Some(session),
        ..Default::default()
    };
    let definition = api::GameDefinition { session_rules: Some(rules), queues: vec![queue], ..Default::default() };
    Definition::parse(&definition).unwrap()
}

pub(crate) fn rules() -> api::SessionRules {
    api::SessionRules { owner_may_finish: true, max_players: 8, ..Default::default() }
}

impl World {
    pub(crate) async fn memory(rules: api::SessionRules) -> Self {
        let clock = ManualClock::new();
        let ambient = Ambient::with_clock(clock.clone());
        let bus = MemoryBus::new(ambient.clone(), Retentions::default());
        let stores = MemorySessions::new(ambient.clone(), bus.clone()).into();
        Self::new(stores, Arc::new(bus), (clock, ambient), rules).await
    }

    pub(crate) async fn redis(redis: &Redis, rules: api::SessionRules) -> Self {
        let ambient = Ambient::system();
        let bus = RedisBus::connect(redis.clone(), ambient.clone(), Retentions::default()).await.unwrap();
        let bus = Arc::new(bus);
        let stores = RedisSessions::new(redis.clone(), bus.clone()).into();
        // Redis forgets by its own clock.
        Self::new(stores, bus, (ManualClock::new(), ambient), rules).await
    }

    pub(crate) async fn new(
        stores: SessionStores,
        bus: Arc<dyn Bus>,
        (clock, ambient): (Arc<ManualClock>, Ambient),
        rules: api::SessionRules,
    ) -> Self {
        let database = pkg_db::testing::sqlite().await;
        let log = crate::testing::log(&database, &Ambient::system());
        let games = OneGame { definition: Arc::new(definition(rules)), archived: false, created: Mutex::default() };
        let sessions = Sessions::new(Parts {
            store: stores.store,
            index: stores.index,
            entities: stores.entities,
            games: Arc::new(games),
            bus: bus.clone(),
            log: Arc::new(log.clone()),
            ambient,
        });
        Self { sessions, bus, log, clock, database }
    }

    pub(crate) async fn create(&self, owner: u128) -> Session {
        self.sessions.create(creation(), player(owner)).await.unwrap().session
    }

    pub(crate) async fn join(&self, session: Uuid, number: u128) -> Result<View, SessionError> {
        let by = player(number);
        self.sessions.join(session, by.id(), None, None, by).await
    }

    pub(crate) fn lease(&self, session: Uuid, user: Actor) -> Lease {
        Lease { session, user: user.id(), stream: self.sessions.ambient.id() }
    }

    /// Time goes by, and the sweeper looks at what is due until nothing is.
    pub(crate) async fn pass(&self, time: Duration) {
        self.clock.advance(time);
        while self.sessions.sweep_once().await.unwrap() > 0 {}
    }

    pub(crate) async fn load(&self, session: Uuid) -> Session {
        self.sessions.store.load(session).await.unwrap().expect("it is there").session
    }

    /// The records of matches so far, once nothing of a session is left to be told.
    pub(crate) async fn records(&self, session: Uuid) -> Vec<record::Event> {
        let settled = async {
            while self.load(session).await.has_errands() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(LIMIT, settled).await.expect("errands are done");
        let queue_key = self.load(session).await.origin.map(|it| it.queue_key).unwrap_or_default();
        self.records_of(&format!("{GAME}/{queue_key}")).await
    }

    /// The records of matches so far that lie where those with a key lie.
    pub(crate) async fn records_of(&self, key: &str) -> Vec<record::Event> {
        let partition = pkg_log::Topic::Matches.partition_of(key);
        let range = self.log.range(pkg_log::Topic::Matches, partition).await.unwrap();
        let mut records = Vec::new();
        let mut reader = self.log.read(pkg_log::Topic::Matches, partition, Start::Beginning).await.unwrap();
        while i64::try_from(records.len()).unwrap() < range.end {
            let entries = tokio::time::timeout(LIMIT, reader.next(100)).await.expect("there are more").unwrap();
            records.extend(entries.into_iter().map(|entry| entry.record.unwrap().event.unwrap()));
        }
        records
    }
}

pub(crate) fn player(number: u128) -> Actor {
    Actor::Player(Uuid::from_u128(number))
}

pub(crate) fn creation() -> Creation {
    Creation {
        id: None,
        game: GAME,
        name: "room".to_owned(),
        region: Region::Global,
        visibility: Visibility::Public,
        max_players: None,
        teams: Vec::new(),
        attributes: pkg_definition::Attributes::default(),
        data: bytes::Bytes::new(),
        team: None,
    }
}
