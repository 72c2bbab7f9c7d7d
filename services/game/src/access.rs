//! Who may call what.

use pkg_auth::Role::{Admin, Player, Server, Service};
use pkg_middleware::{Access, AccessTable};

const ADMINS: Access = Access::Roles(&[Admin]);
const ANYONE_SIGNED_IN: Access = Access::Roles(&[Player, Server, Admin, Service]);

/// `muster.game.v1.CatalogService`.
pub const CATALOG: AccessTable = &[
    ("CreateGame", ADMINS),
    ("GetGame", ANYONE_SIGNED_IN),
    ("FindGame", ANYONE_SIGNED_IN),
    ("BatchGetGames", ANYONE_SIGNED_IN),
    ("ListGames", ANYONE_SIGNED_IN),
    ("ListTrendingGames", ANYONE_SIGNED_IN),
    ("UpdateGame", ADMINS),
    ("ArchiveGame", ADMINS),
    ("RestoreGame", ADMINS),
    ("ApplyGame", ADMINS),
    ("GetDefinition", ANYONE_SIGNED_IN),
    ("ListDefinitionRevisions", Access::Roles(&[Admin, Server])),
    ("WatchDefinitions", Access::Roles(&[Server, Admin, Service])),
];

/// Who plays, and who runs what is played.
const PLAYERS_AND_SERVERS: Access = Access::Roles(&[Player, Server, Admin]);
const PEOPLE: Access = Access::Roles(&[Player, Admin]);
const SERVICES: Access = Access::Roles(&[Service]);

/// `muster.game.v1.SessionService`.
pub const SESSION: AccessTable = &[
    ("CreateSession", PLAYERS_AND_SERVERS),
    ("GetSession", PLAYERS_AND_SERVERS),
    ("ListOpenSessions", PLAYERS_AND_SERVERS),
    ("ListMySessions", PEOPLE),
    ("JoinSession", PLAYERS_AND_SERVERS),
    ("JoinSessionByCode", PEOPLE),
    ("LeaveSession", PEOPLE),
    ("KickPlayer", PLAYERS_AND_SERVERS),
    ("TransferOwnership", PLAYERS_AND_SERVERS),
    ("UpdateSession", PLAYERS_AND_SERVERS),
    ("StartSession", PLAYERS_AND_SERVERS),
    ("PauseSession", PLAYERS_AND_SERVERS),
    ("ResumeSession", PLAYERS_AND_SERVERS),
    ("FinishSession", PLAYERS_AND_SERVERS),
    ("DeleteSession", PLAYERS_AND_SERVERS),
];

/// `muster.game.v1.SessionInternalService`.
pub const SESSION_INTERNAL: AccessTable =
    &[("CreateMatchSession", SERVICES), ("BatchCheckSeats", SERVICES), ("BatchGetSessionStates", SERVICES)];

/// `muster.game.v1.EntityService`.
pub const ENTITY: AccessTable = &[
    ("CreateEntity", PLAYERS_AND_SERVERS),
    ("GetEntity", PLAYERS_AND_SERVERS),
    ("ListEntities", PLAYERS_AND_SERVERS),
    ("UpdateEntity", PLAYERS_AND_SERVERS),
    ("DeleteEntity", PLAYERS_AND_SERVERS),
    ("BatchChangeEntities", PLAYERS_AND_SERVERS),
];

/// `muster.events.v1.EventService`.
pub const EVENTS: AccessTable = &[
    ("Subscribe", PLAYERS_AND_SERVERS),
    ("Publish", PLAYERS_AND_SERVERS),
    ("ConnectEvents", PLAYERS_AND_SERVERS),
    ("CreateAnnouncement", ADMINS),
    ("ListAnnouncements", PLAYERS_AND_SERVERS),
];

/// `muster.presence.v1.PresenceService`.
pub const PRESENCE: AccessTable =
    &[("SetPresence", PEOPLE), ("GetPresence", PLAYERS_AND_SERVERS), ("BatchGetPresences", PLAYERS_AND_SERVERS)];

/// `muster.presence.v1.PresenceInternalService`.
pub const PRESENCE_INTERNAL: AccessTable = &[("ReportQueued", SERVICES)];

/// `muster.game.v1.ClockService`.
pub const CLOCK: AccessTable = &[("GetTime", PLAYERS_AND_SERVERS)];
