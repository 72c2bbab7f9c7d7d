//! Who may call what.

use pkg_auth::Role::{Admin, Player, Server, Service};
use pkg_middleware::{Access, AccessTable};

const PEOPLE: Access = Access::Roles(&[Player, Admin]);
const ADMINS: Access = Access::Roles(&[Admin]);
const ANYONE_SIGNED_IN: Access = Access::Roles(&[Player, Server, Admin, Service]);

/// `muster.auth.v1.AuthService`.
pub const AUTH: AccessTable = &[
    ("Register", Access::Public),
    ("Login", Access::Public),
    ("LoginWithDevice", Access::Public),
    ("RefreshToken", Access::Public),
    ("ValidateToken", Access::Public),
    ("IssueServerToken", Access::Public),
    ("UpgradeGuest", PEOPLE),
    ("Logout", PEOPLE),
    ("ListDeviceSessions", PEOPLE),
    ("EndDeviceSession", PEOPLE),
    ("EndOtherDeviceSessions", PEOPLE),
    ("ChangePassword", PEOPLE),
    ("DeleteAccount", PEOPLE),
    ("BanUser", ADMINS),
    ("UnbanUser", ADMINS),
    ("SetRole", ADMINS),
    ("CreateServerCredential", ADMINS),
    ("ListServerCredentials", ADMINS),
    ("DeleteServerCredential", ADMINS),
];

/// `muster.player.v1.PlayerService`.
pub const PLAYER: AccessTable = &[
    ("GetPlayer", ANYONE_SIGNED_IN),
    ("FindPlayer", ANYONE_SIGNED_IN),
    ("BatchGetPlayers", ANYONE_SIGNED_IN),
    ("GetProfile", PEOPLE),
    ("UpdateProfile", PEOPLE),
];
