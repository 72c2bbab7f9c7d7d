//! Who may call what.

use pkg_auth::Role::{Admin, Player, Server, Service};
use pkg_middleware::{Access, AccessTable};

/// Who plays, and who runs what is played.
const PLAYERS_AND_SERVERS: Access = Access::Roles(&[Player, Server, Admin]);

/// `muster.leaderboard.v1.LeaderboardService`.
pub const LEADERBOARD: AccessTable = &[
    ("SubmitScore", PLAYERS_AND_SERVERS),
    ("BatchSubmitScores", PLAYERS_AND_SERVERS),
    ("GetSubmission", PLAYERS_AND_SERVERS),
    ("ListEntries", PLAYERS_AND_SERVERS),
    ("GetEntry", PLAYERS_AND_SERVERS),
    ("ListEntriesAround", PLAYERS_AND_SERVERS),
    ("BatchGetEntries", PLAYERS_AND_SERVERS),
    ("ListPlayerScores", PLAYERS_AND_SERVERS),
    ("ListPeriods", PLAYERS_AND_SERVERS),
    ("WatchBoard", PLAYERS_AND_SERVERS),
];

/// `muster.leaderboard.v1.HistoryService`.
pub const HISTORY: AccessTable = &[
    ("ListPlayerMatches", PLAYERS_AND_SERVERS),
    ("GetSessionMatch", PLAYERS_AND_SERVERS),
    ("ListSessionResults", PLAYERS_AND_SERVERS),
    ("GetPlayerStats", PLAYERS_AND_SERVERS),
];

/// `muster.leaderboard.v1.BoardInternalService`.
pub const BOARD_INTERNAL: AccessTable = &[("BatchCheckScores", Access::Roles(&[Service]))];
