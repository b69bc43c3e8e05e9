//! The status of a view's own request to the engine.

use boomerang_engine::notice::Notice;

use crate::state::session::Session;

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum RequestStatus {
    #[default]
    NotStarted,
    /// The engine answers, or has been terminated meanwhile.
    Running,
    Done,
    Stopped,
    Failed(Notice),
}

impl RequestStatus {
    /// Whether the answer, or the model for it, is still being computed or loaded; a terminated engine
    /// does not answer.
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
