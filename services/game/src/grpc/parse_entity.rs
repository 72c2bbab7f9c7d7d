//! Requests of entities, made into what they mean. Past this, nothing can be invalid.

use base64::Engine;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use bytes::Bytes;
use pkg_api::game::v1 as api;
use pkg_api::game::v1::entity_operation::Operation as Given;
use pkg_bus::Cursor;
use pkg_middleware::{Actor, Problem};
use uuid::Uuid;

use super::parse_session::{
    attribute_change, attributes, data, id, invalid_page_token, new_id, optional_id, page_size, text,
};
use crate::entity::{Controller, NewEntity, NewOwner, Operation, Update};

const NAME_CHARS: usize = 64;
const DATA_BYTES: usize = 4 * 1024;
const OPERATIONS_MAX: usize = 100;
const PAGE_SIZE_DEFAULT: usize = 100;
const PAGE_SIZE_MAX: usize = 1_000;

/// An entity to create; without an id it gets the fresh one.
pub(super) fn creation(
    under: &str,
    given: Option<api::NewEntity>,
    by: Actor,
    fresh: Uuid,
) -> Result<Operation, Problem> {
    let path = |field: &str| format!("{under}{field}");
    let missing = || Problem::invalid_field(under.trim_end_matches('.'), "is missing");
    let given = given.ok_or_else(missing)?;
    let named = optional_id(&path("controller_player_id"), &given.controller_player_id)?;
    let controller = match api::EntityController::try_from(given.controller) {
        Ok(api::EntityController::Unspecified) if named.is_none() => None,
        Ok(api::EntityController::Server) if named.is_none() => Some(Controller::Server),
        Ok(api::EntityController::Player) => {
            let player = named.or(by.person());
            let missing = || Problem::invalid_field(path("controller_player_id"), "a game server names the player");
            Some(Controller::Player(player.ok_or_else(missing)?))
        }
        Ok(api::EntityController::Unspecified | api::EntityController::Server) => {
            let reason = "is only given with ENTITY_CONTROLLER_PLAYER";
            return Err(Problem::invalid_field(path("controller_player_id"), reason));
        }
        Err(_) => return Err(Problem::invalid_field(path("controller"), "is not an EntityController")),
    };
    let mut new = NewEntity {
        id: new_id(&path("entity_id"), &given.entity_id)?.unwrap_or(fresh),
        name: text(&path("name"), &given.name, NAME_CHARS)?,
        kind: text(&path("type"), &given.r#type, NAME_CHARS)?,
        controller,
        owner: optional_id(&path("owner_player_id"), &given.owner_player_id)?,
        attributes: attributes(&path("attributes"), &given.attributes)?,
        data: data(&path("data"), given.data, DATA_BYTES)?,
        request: Bytes::new(),
    };
    // The text of what was asked for is the same each time: maps are in order.
    let request = format!("{by:?} {new:?}");
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, request.as_bytes());
    new.request = Bytes::copy_from_slice(digest.as_ref());
    Ok(Operation::Create(new))
}

/// A change of an entity that is named beside it, too.
pub(super) fn update_of(entity: &str, given: Option<api::EntityUpdate>) -> Result<Operation, Problem> {
    let mut given = given.ok_or_else(|| Problem::invalid_field("update", "is missing"))?;
    if !given.entity_id.is_empty() && !given.entity_id.eq_ignore_ascii_case(entity) {
        return Err(Problem::invalid_field("update.entity_id", "is empty or the same as entity_id"));
    }
    entity.clone_into(&mut given.entity_id);
    update("update.", given).map(Operation::Update)
}

fn update(under: &str, given: api::EntityUpdate) -> Result<Update, Problem> {
    let path = |field: &str| format!("{under}{field}");
    let owner = given.owner_player_id.as_deref().map(|owner| optional_id(&path("owner_player_id"), owner));
    Ok(Update {
        id: id(&path("entity_id"), &given.entity_id)?,
        version: version(&path("version"), given.version)?,
        attributes: attribute_change(under, &given.set_attributes, &given.remove_attributes)?,
        name: given.name.as_deref().map(|name| text(&path("name"), name, NAME_CHARS)).transpose()?,
        controller: controller(under, &given)?,
        owner: owner.transpose()?.map(NewOwner),
        data: given.data.map(|given| data(&path("data"), given, DATA_BYTES)).transpose()?,
    })
}

/// Who controls the entity from now on, if that is said.
fn controller(under: &str, given: &api::EntityUpdate) -> Result<Option<Controller>, Problem> {
    let path = |field: &str| format!("{under}{field}");
    let named = given.controller_player_id.as_deref().unwrap_or_default();
    let player = optional_id(&path("controller_player_id"), named)?;
    let kind = given.controller.map(api::EntityController::try_from);
    match (kind, player) {
        (None, None) => Ok(None),
        (None | Some(Ok(api::EntityController::Player)), Some(player)) => Ok(Some(Controller::Player(player))),
        (Some(Ok(api::EntityController::Server)), None) => Ok(Some(Controller::Server)),
        (Some(Ok(api::EntityController::Player)), None) => {
            Err(Problem::invalid_field(path("controller_player_id"), "names the player who controls it"))
        }
        (Some(_), _) => Err(Problem::invalid_field(path("controller"), "is a game server, or a player who is named")),
    }
}

pub(super) fn version(path: &str, given: i64) -> Result<i64, Problem> {
    if given >= 0 { Ok(given) } else { Err(Problem::invalid_field(path, "is 0 or more")) }
}

/// The steps of a batch.
pub(super) fn operations(
    given: Vec<api::EntityOperation>,
    by: Actor,
    mut fresh: impl FnMut() -> Uuid,
) -> Result<Vec<Operation>, Problem> {
    if !(1..=OPERATIONS_MAX).contains(&given.len()) {
        return Err(Problem::invalid_field("operations", format!("has 1 to {OPERATIONS_MAX} operations")));
    }
    let operation = |(index, operation): (usize, api::EntityOperation)| {
        let under = |kind: &str| format!("operations[{index}].{kind}.");
        match operation.operation {
            Some(Given::Create(new)) => creation(&under("create"), Some(new), by, fresh()),
            Some(Given::Update(given)) => update(&under("update"), given).map(Operation::Update),
            Some(Given::Delete(given)) => Ok(Operation::Delete {
                id: id(&format!("{}entity_id", under("delete")), &given.entity_id)?,
                version: version(&format!("{}version", under("delete")), given.version)?,
            }),
            None => Err(Problem::invalid_field(format!("operations[{index}].operation"), "one of its kinds is set")),
        }
    };
    given.into_iter().enumerate().map(operation).collect()
}

/// The type that is asked for; any without.
pub(super) fn kind(given: &str) -> Result<Option<&str>, Problem> {
    text("type", given, NAME_CHARS)?;
    Ok(Some(given).filter(|kind| !kind.is_empty()))
}

/// Which part of a list is asked for.
pub(super) struct Page {
    pub(super) after: Option<Uuid>,
    pub(super) size: usize,
    /// Where the topic was when the first page was read.
    pub(super) cursor: Option<Cursor>,
}

pub(super) fn page(request: &api::ListEntitiesRequest) -> Result<Page, Problem> {
    let size = page_size(request.page_size, PAGE_SIZE_DEFAULT, PAGE_SIZE_MAX)?;
    let (after, cursor) = match request.page_token.as_str() {
        "" => (None, None),
        token => read_token(token).map(|(after, cursor)| (Some(after), cursor)).ok_or_else(invalid_page_token)?,
    };
    Ok(Page { after, size, cursor })
}

/// The token that asks for what comes after an entity.
pub(super) fn page_token(last: Uuid, cursor: Option<Cursor>) -> String {
    let cursor = cursor.map(|cursor| cursor.to_string()).unwrap_or_default();
    BASE64_URL_SAFE_NO_PAD.encode([last.as_bytes().as_slice(), cursor.as_bytes()].concat())
}

fn read_token(token: &str) -> Option<(Uuid, Option<Cursor>)> {
    let bytes = BASE64_URL_SAFE_NO_PAD.decode(token).ok()?;
    let (last, cursor) = bytes.split_at_checked(16)?;
    let cursor = std::str::from_utf8(cursor).ok()?;
    let cursor = if cursor.is_empty() { None } else { Some(cursor.parse().ok()?) };
    Some((Uuid::from_slice(last).ok()?, cursor))
}
