use pkg_ambient::Ambient;
use pkg_bus::{MemoryBus, Retentions};
use pkg_definition::{Key, Order};
use tokio::time::timeout;
use tokio_util::sync::DropGuard;
use uuid::Uuid;

use super::*;
use crate::store::{Applied, BoardStep, MemoryBoards};

const LIMIT: Duration = Duration::from_secs(30);

fn board(key: &str) -> BoardId {
    BoardId { game: Uuid::from_u128(1), key: Key::parse(key).unwrap() }
}

fn replica(bus: &MemoryBus, boards: &Arc<MemoryBoards>) -> (Watermarks, DropGuard) {
    let (watermarks, follower) = Watermarks::new(Arc::new(bus.clone()), boards.clone());
    let stop = CancellationToken::new();
    tokio::spawn(follower.run(stop.clone()));
    (watermarks, stop.drop_guard())
}

fn world() -> (MemoryBus, Arc<MemoryBoards>) {
    let ambient = Ambient::system();
    (MemoryBus::new(ambient.clone(), Retentions::default()), Arc::new(MemoryBoards::new(ambient)))
}

#[tokio::test]
async fn who_waits_is_told_here_and_elsewhere() {
    let (bus, boards) = world();
    let ((one, _one), (other, _other)) = (replica(&bus, &boards), replica(&bus, &boards));
    let mut following = other.follow(&board("a"));
    assert_eq!(following.now(), NOTHING);
    let waiting = tokio::spawn({
        let one = one.clone();
        async move { one.reached(&board("a"), 5).await }
    });
    one.applied(&board("a"), 4);
    one.applied(&board("a"), 6);
    one.applied(&board("b"), 9);
    timeout(LIMIT, waiting).await.unwrap().unwrap();
    // Who was not heard of yet missed it.
    let heard = async {
        for offset in 7.. {
            one.applied(&board("a"), offset);
            if timeout(Duration::from_millis(20), other.reached(&board("a"), 7)).await.is_ok() {
                return offset;
            }
        }
        unreachable!("it goes on for ever")
    };
    let last = timeout(LIMIT, heard).await.unwrap();
    assert!((7..=last).contains(&timeout(LIMIT, following.changed()).await.unwrap()));
    // What was applied is known, also to those who come later, and does not go back.
    one.applied(&board("a"), 3);
    assert!(one.follow(&board("a")).now() == last && one.follow(&board("b")).now() == 9);
}

#[tokio::test]
async fn what_nobody_has_told_of_is_found() {
    let (bus, boards) = world();
    let (watermarks, _guard) = replica(&bus, &boards);
    let step = |from, to| BoardStep { board: board("a"), order: Order::HighWins, from, to, periods: Vec::new() };
    assert!(matches!(boards.apply(&step(None, 3)).await.unwrap(), Applied::Done(_)));
    timeout(LIMIT, watermarks.reached(&board("a"), 3)).await.unwrap();

    let waiting = tokio::spawn({
        let watermarks = watermarks.clone();
        async move { watermarks.reached(&board("a"), 4).await }
    });
    let mark = Mark { offset: 3, erasures: 0 };
    assert!(matches!(boards.apply(&step(Some(mark), 4)).await.unwrap(), Applied::Done(_)));
    timeout(LIMIT, waiting).await.unwrap().unwrap();
}

#[tokio::test]
async fn boards_that_nobody_waits_for_are_forgotten() {
    let (bus, boards) = world();
    let (watermarks, _guard) = replica(&bus, &boards);
    let (one, other) = (watermarks.follow(&board("a")), watermarks.follow(&board("a")));
    assert_eq!(watermarks.inner.state().watched.len(), 1);
    drop(one);
    assert_eq!(watermarks.inner.state().watched.len(), 1);
    drop(other);
    let gone = timeout(Duration::ZERO, watermarks.reached(&board("b"), 1)).await;
    assert!(gone.is_err());
    assert!(watermarks.inner.state().watched.is_empty());
}
