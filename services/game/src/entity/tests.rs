use std::collections::BTreeSet;

use bytes::Bytes;
use pkg_definition::{AttributeKey, AttributeValue, Attributes};
use pkg_middleware::Actor;
use uuid::Uuid;

use super::*;
use crate::attributes::AttributeChange;

const PLACE: (Uuid, Uuid) = (Uuid::from_u128(1), Uuid::from_u128(2));
const ONE: Uuid = Uuid::from_u128(11);
const OTHER: Uuid = Uuid::from_u128(12);
const PLAYER: Actor = Actor::Player(Uuid::from_u128(21));
const STRANGER: Actor = Actor::Player(Uuid::from_u128(22));
const SERVER: Actor = Actor::Server(Uuid::from_u128(23));

pub(crate) fn new_entity(id: Uuid) -> NewEntity {
    NewEntity {
        id,
        name: "ball".to_owned(),
        kind: "thing".to_owned(),
        controller: None,
        owner: None,
        attributes: Attributes::default(),
        data: Bytes::new(),
        request: Bytes::from_static(b"digest"),
    }
}

fn attributes(value: i64) -> Attributes {
    Attributes::new([(AttributeKey::parse("x").unwrap(), AttributeValue::Int(value))].into()).unwrap()
}

fn moved(id: Uuid, version: i64, value: i64) -> Operation {
    let attributes = AttributeChange { set: attributes(value), remove: BTreeSet::new() };
    Operation::Update(Update { id, version, attributes, ..Update::default() })
}

fn nothing() -> Touched {
    Touched::new([(ONE, None), (OTHER, None)])
}

fn run(touched: &mut Touched, operations: &[Operation], by: Actor) -> Result<EntityOutcome, EntityRefused> {
    apply(touched, operations, PLACE, by, crate::session::tests::start_time())
}

fn refusal(touched: &Touched, operation: Operation, by: Actor) -> EntityRefusal {
    run(&mut touched.clone(), &[operation], by).unwrap_err().refusal
}

/// What is stored after a change, to be loaded again.
fn stored(touched: &Touched) -> Touched {
    Touched::new([ONE, OTHER].map(|id| (id, touched.get(id).cloned())))
}

#[test]
fn its_controller_changes_it_and_nobody_else() {
    let mut touched = nothing();
    run(&mut touched, &[Operation::Create(new_entity(ONE))], PLAYER).unwrap();
    assert_eq!(touched.get(ONE).unwrap().controller, Controller::Player(PLAYER.id()));
    let loaded = stored(&touched);
    assert_eq!(refusal(&loaded, moved(ONE, 0, 1), STRANGER), EntityRefusal::NotController);
    assert_eq!(refusal(&loaded, Operation::Delete { id: ONE, version: 0 }, STRANGER), EntityRefusal::NotController);
    for by in [PLAYER, SERVER] {
        assert_eq!(run(&mut loaded.clone(), &[moved(ONE, 1, 1)], by).unwrap().answers, [ONE]);
    }

    let mut touched = nothing();
    run(&mut touched, &[Operation::Create(new_entity(ONE))], SERVER).unwrap();
    assert_eq!(refusal(&stored(&touched), moved(ONE, 0, 1), PLAYER), EntityRefusal::NotController);
}

#[test]
fn game_servers_alone_say_who_controls_and_owns() {
    let others = NewEntity { controller: Some(Controller::Server), ..new_entity(ONE) };
    assert_eq!(refusal(&nothing(), Operation::Create(others.clone()), PLAYER), EntityRefusal::ServersOnly);
    let owned = NewEntity { owner: Some(STRANGER.id()), ..new_entity(ONE) };
    assert_eq!(refusal(&nothing(), Operation::Create(owned), PLAYER), EntityRefusal::ServersOnly);
    let mine = NewEntity { owner: Some(PLAYER.id()), ..new_entity(ONE) };
    let mut touched = nothing();
    run(&mut touched, &[Operation::Create(mine)], PLAYER).unwrap();
    let handed = Update { id: ONE, controller: Some(Controller::Player(STRANGER.id())), ..Update::default() };
    assert_eq!(refusal(&touched, Operation::Update(handed.clone()), PLAYER), EntityRefusal::ServersOnly);
    run(&mut touched, &[Operation::Update(handed)], SERVER).unwrap();
    assert_eq!(refusal(&touched, moved(ONE, 0, 1), PLAYER), EntityRefusal::NotController);
}

#[test]
fn a_change_rests_on_a_version_or_on_any() {
    let mut touched = nothing();
    run(&mut touched, &[Operation::Create(new_entity(ONE)), moved(ONE, 1, 1), moved(ONE, 0, 2)], PLAYER).unwrap();
    assert_eq!(touched.get(ONE).unwrap().version, 3);
    assert_eq!(refusal(&touched, moved(ONE, 2, 3), PLAYER), EntityRefusal::Changed { version: 3 });
    let unchanged = run(&mut touched.clone(), &[moved(ONE, 3, 2)], PLAYER).unwrap();
    assert_eq!((unchanged.changes.len(), unchanged.answers), (0, vec![ONE]));
    let gone = Operation::Delete { id: OTHER, version: 0 };
    assert_eq!(refusal(&touched, gone, PLAYER), EntityRefusal::NotFound);
}

#[test]
fn a_repeated_creation_changes_nothing() {
    let mut touched = nothing();
    let create = Operation::Create(new_entity(ONE));
    run(&mut touched, std::slice::from_ref(&create), PLAYER).unwrap();
    let loaded = stored(&touched);
    assert_eq!(run(&mut loaded.clone(), &[create], PLAYER).unwrap().changes, []);
    let other = NewEntity { request: Bytes::from_static(b"other"), ..new_entity(ONE) };
    assert_eq!(refusal(&loaded, Operation::Create(other), PLAYER), EntityRefusal::IdTaken);
}

#[test]
fn a_batch_says_which_step_is_at_fault_and_what_to_write() {
    let mut touched = nothing();
    let steps = [Operation::Create(new_entity(ONE)), moved(OTHER, 0, 1)];
    assert_eq!(run(&mut touched.clone(), &steps, PLAYER).unwrap_err().index, 1);

    let steps = [
        Operation::Create(new_entity(ONE)),
        Operation::Create(new_entity(OTHER)),
        Operation::Delete { id: OTHER, version: 1 },
    ];
    let outcome = run(&mut touched, &steps, PLAYER).unwrap();
    assert_eq!((outcome.changes.len(), touched.put().len(), touched.delete()), (3, 1, vec![]));
    assert_eq!(touched.expected(), [(ONE, 0), (OTHER, 0)]);
    let mut loaded = stored(&touched);
    run(&mut loaded, &[Operation::Delete { id: ONE, version: 1 }], PLAYER).unwrap();
    assert_eq!((loaded.put(), loaded.delete()), (vec![], vec![ONE]));
}
