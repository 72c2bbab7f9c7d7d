//! Who may call what.

use pkg_auth::Role::{Admin, Player, Server};
use pkg_middleware::{Access, AccessTable};

/// Who plays, and who runs what is played.
const PLAYERS_AND_SERVERS: Access = Access::Roles(&[Player, Server, Admin]);

/// `muster.matchmaking.v1.MatchmakingService`.
pub const MATCHMAKING: AccessTable = &[
    ("CreateTicket", PLAYERS_AND_SERVERS),
    ("GetTicket", PLAYERS_AND_SERVERS),
    ("WatchTicket", PLAYERS_AND_SERVERS),
    ("CancelTicket", PLAYERS_AND_SERVERS),
    ("GetActiveMatch", PLAYERS_AND_SERVERS),
    ("GetQueueStats", PLAYERS_AND_SERVERS),
    ("GetRating", PLAYERS_AND_SERVERS),
    ("ListRatings", PLAYERS_AND_SERVERS),
    ("SeedRating", Access::Roles(&[Server, Admin])),
];
