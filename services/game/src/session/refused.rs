//! Why something is not done.

use super::State;

/// What somebody tried to do with a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Attempt {
    Join,
    Leave,
    Kick,
    Transfer,
    Update,
    Start,
    Pause,
    Resume,
    Finish,
    Delete,
    ChangeEntities,
    Publish,
}

/// A session does not do what it was asked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    #[error("a session that is {state:?} does not do this")]
    State { state: State, attempt: Attempt },
    #[error("you are not in the session")]
    NotInSession,
    #[error("only the owner of the session may do this")]
    NotOwner,
    #[error("the session cannot be seen")]
    Hidden,
    #[error("the session is full")]
    SessionFull,
    #[error("the team is full")]
    TeamFull,
    #[error("the session has no such team")]
    NoSuchTeam,
    #[error("you were kicked from the session")]
    Kicked,
    #[error("the owner cannot be kicked")]
    OwnerKicked,
    #[error("the player has no seat in the session")]
    NoSuchSeat,
    #[error("the session was changed meanwhile")]
    Changed { attributes_version: i64 },
    #[error("the attributes would be too many or too large")]
    Attributes(#[from] pkg_definition::AttributesTooLarge),
    #[error("only a game server may finish the session")]
    FinishNotAllowed,
    #[error("the session was finished with other results")]
    ResultsDiffer,
    #[error("{problem}")]
    Result { index: usize, problem: ResultProblem },
    #[error("too much of the session waits to be recorded")]
    Backlogged,
}

/// What is wrong with the result of a player.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ResultProblem {
    #[error("never had a seat in the session")]
    Stranger,
    #[error("is named twice")]
    Twice,
    #[error("was in another team")]
    OtherTeam,
    #[error("players of one team have the same placement")]
    TeamDivided,
}

impl Attempt {
    /// The method of the API.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Join => "JoinSession",
            Self::Leave => "LeaveSession",
            Self::Kick => "KickPlayer",
            Self::Transfer => "TransferOwnership",
            Self::Update => "UpdateSession",
            Self::Start => "StartSession",
            Self::Pause => "PauseSession",
            Self::Resume => "ResumeSession",
            Self::Finish => "FinishSession",
            Self::Delete => "DeleteSession",
            Self::ChangeEntities => "BatchChangeEntities",
            Self::Publish => "Publish",
        }
    }
}
