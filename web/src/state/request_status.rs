//! How far a view's own request to the engine has come.

use boomerang_engine::messages::Reply;
use boomerang_engine::notice::Notice;

use crate::state::session::Session;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Asked {
    #[default]
    NotYet,
    /// The engine answers, or has been ended meanwhile.
    Running,
    Whole,
    Stopped,
    Failed(Notice),
}

impl Asked {
    /// What this reply makes of the request; `None` while more is to come.
    pub fn after(reply: &Reply) -> Option<Self> {
        match reply {
            Reply::Ended { is_stopped: false, .. } => Some(Self::Whole),
            Reply::Ended { is_stopped: true, .. } => Some(Self::Stopped),
            Reply::Failed { notice, .. } => Some(Self::Failed(notice.clone())),
            _ => None,
        }
    }

    /// Whether an answer is still on its way, or the model that gives it: an engine that was ended
    /// gives none.
    pub fn is_running(&self, session: Session) -> bool {
        *self == Self::Running && session.is_at_work()
    }

    pub fn notice(&self) -> Option<&Notice> {
        match self {
            Self::Failed(notice) => Some(notice),
            _ => None,
        }
    }
}
