//! Whatever is killed or lost and when, each score counts once.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::future::join_all;
use pkg_ambient::Ambient;
use tokio::time::{Instant, sleep, timeout};

use super::world::Process;
use super::*;
use crate::board::BoardId;
use crate::submitting::Submissions;

/// How many submit at the same time, and how many scores each.
const CLIENTS: u128 = 16;
const SCORES: u128 = 25;
/// How long it may take.
const LIMIT: Duration = Duration::from_mins(2);

/// Where scores are to be submitted now.
type Now = Arc<Mutex<Submissions>>;

fn now(now: &Now) -> Submissions {
    now.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn move_to(now: &Now, process: &Process) {
    *now.lock().unwrap_or_else(PoisonError::into_inner) = process.submissions.clone();
}

fn random(below: u16) -> u16 {
    u16::from_be_bytes(Ambient::system().random()) % below
}

/// Submits the scores of one client, each until it has an outcome, and now and then one more time.
async fn client(number: u128, board: &BoardId, at: &Now) {
    for place in 0..SCORES {
        // Two clients for each player.
        let (player, submission) = (player(number / 2), number * 1_000 + place);
        let score = value(board, submission, i64::from(random(1_000)));
        let submit = async || {
            let deadline = Instant::now() + Duration::from_millis(600);
            let submitted = now(at).submit(score.clone(), Actor::Player(player), Some(deadline)).await;
            match submitted.map(|submission| submission.state) {
                Ok(State::Applied { row, .. }) => Some(row),
                Ok(State::Differs(_)) => panic!("nobody else has the id"),
                Ok(State::Pending(_)) | Err(_) => None,
            }
        };
        let row = loop {
            if let Some(row) = submit().await {
                break row;
            }
            sleep(Duration::from_millis(5)).await;
        };
        assert_eq!((row.submission.as_u128(), row.value, row.refusal), (submission, score.value, None));
        if random(5) == 0 {
            let again = submit().await;
            assert!(again.is_none_or(|again| again == row), "an outcome never changes");
        }
    }
}

async fn crowd(boards: &[BoardId], at: &Now) {
    let clients = (0..CLIENTS).map(async |number| {
        for board in boards {
            client(number, board, at).await;
        }
    });
    timeout(LIMIT, join_all(clients)).await.expect("all have an outcome in time");
}

async fn processes_are_killed_and_boards_lost(world: World) {
    let boards = [board("sum"), board("best")];
    let mut process = world.process().await;
    let at: Now = Arc::new(Mutex::new(process.submissions.clone()));
    let mut lost = Vec::new();
    let faults = async {
        for round in 0_u16.. {
            sleep(Duration::from_millis(50 + u64::from(random(400)))).await;
            if round % 3 == 2 {
                lost.push(world.lose_boards().await);
            } else {
                process.kill().await;
                process = world.process().await;
                move_to(&at, &process);
            }
        }
    };
    tokio::select! {
        () = crowd(&boards, &at) => {}
        () = faults => {}
    }
    // Wherever that was cut off.
    let process = world.process().await;
    world.check(&boards[0], true).await;
    world.check(&boards[1], false).await;
    process.end().await;
}

async fn two_work_on_the_same_partitions(world: World) {
    let boards = [board("sum"), board("best")];
    let process = world.process().await;
    let (other, projector, _keeper) = world.idle_process().await;
    let zombie = world.zombie(projector, "zombies").await;
    let at: Now = Arc::new(Mutex::new(process.submissions.clone()));
    let submit_elsewhere = async {
        loop {
            sleep(Duration::from_millis(20)).await;
            move_to(&at, &other);
            sleep(Duration::from_millis(20)).await;
            move_to(&at, &process);
        }
    };
    tokio::select! {
        () = crowd(&boards, &at) => {}
        () = submit_elsewhere => {}
    }
    world.check(&boards[0], true).await;
    world.check(&boards[1], false).await;
    zombie.end().await;
    other.end().await;
    process.end().await;
}

async fn boards_are_mended_without_being_asked_for(world: World) {
    let process = world.process().await;
    for number in 0..10 {
        let score = value(&board("sum"), number, 1);
        process.submit(player(number), score).await.unwrap();
    }
    let _lost = world.lose_boards().await;
    world.check(&board("sum"), true).await;
    process.end().await;
}

mod embedded {
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn processes_are_killed_and_boards_lost() {
        super::processes_are_killed_and_boards_lost(World::start().await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_work_on_the_same_partitions() {
        super::two_work_on_the_same_partitions(World::start().await).await;
    }

    #[tokio::test]
    async fn boards_are_mended_without_being_asked_for() {
        super::boards_are_mended_without_being_asked_for(World::start().await).await;
    }
}

mod real_stores {
    use super::*;
    use fred::types::Value;
    use pkg_definition::Period;
    use pkg_redis::Script;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn processes_are_killed_and_boards_lost() {
        super::processes_are_killed_and_boards_lost(World::real().await).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn two_work_on_the_same_partitions() {
        super::two_work_on_the_same_partitions(World::real().await).await;
    }

    #[tokio::test]
    async fn boards_are_mended_without_being_asked_for() {
        super::boards_are_mended_without_being_asked_for(World::real().await).await;
    }

    /// All that the boards have, as it was a while ago, comes back again and again while scores go on.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn boards_are_set_back() {
        let world = World::real().await;
        let process = world.process().await;
        let at: Now = Arc::new(Mutex::new(process.submissions.clone()));
        let redis = world.redis.as_ref().unwrap();
        let boards = [board("sum"), board("best")];
        let save = Script::new(
            "local dumps = {}
             for i, key in ipairs(KEYS) do dumps[i] = redis.call('DUMP', key) or '' end
             return dumps",
        );
        let put_back = Script::new(
            "for i, key in ipairs(KEYS) do
                 redis.call('DEL', key)
                 if ARGV[i] ~= '' then redis.call('RESTORE', key, 0, ARGV[i]) end
             end
             return 1",
        );
        let set_back = async {
            loop {
                let mut keys = Vec::new();
                for board in &boards {
                    let tag = board.to_string();
                    keys.push(redis.key_in_slot(&tag, &["board", "state"]));
                    let daily = world.history.periods(board, Period::Daily, None, 2).await.unwrap();
                    let periods = daily.iter().map(|span| span.id.to_string()).chain(["all".to_owned()]);
                    for period in periods {
                        keys.extend(["ranks", "values"].map(|name| redis.key_in_slot(&tag, &["board", &period, name])));
                    }
                }
                // As of one moment each time, as a server's own copy is.
                let saved: Vec<Value> = save.run(redis, keys.clone(), Vec::<Value>::new()).await.unwrap();
                sleep(Duration::from_millis(30 + u64::from(random(200)))).await;
                let _: i64 = put_back.run(redis, keys, saved).await.unwrap();
            }
        };
        tokio::select! {
            () = crowd(&boards, &at) => {}
            () = set_back => {}
        }
        world.check(&boards[0], true).await;
        world.check(&boards[1], false).await;
        process.end().await;
    }
}
