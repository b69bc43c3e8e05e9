//! What the page is doing: one activity at a time, with all that belongs to it.

use std::rc::Rc;

use boomerang_engine::messages::Answer;
use boomerang_engine::notice::Notice;

use crate::state::request_status::RequestStatus;

/// What the page is doing.
pub(super) enum Activity {
    /// Fetching the manifest.
    Opening,
    /// Waiting for the user to allow a request to the server of the bundle.
    AskingForServer { origin: String },
    /// Waiting for the user to request the weights.
    Offered,
    /// Loading, with not even the smallest size complete; then running what was requested before.
    Loading { progress: Progress, then: Option<Deferred> },
    /// At least one size can generate.
    Ready { download: Download },
    /// The engine answers a request.
    Busy { work: Work, download: Download },
    /// No engine runs.
    Failed(Notice),
}

/// The rest of the model, while some sizes can generate.
#[derive(Default)]
pub(super) enum Download {
    Running(Progress),
    /// A file could not be loaded.
    Interrupted(Notice),
    #[default]
    Done,
}

/// The request that the engine answers.
#[derive(Clone)]
pub(super) enum Work {
    /// The text of the member on the dial.
    Text,
    Trial(TrialSlot),
    /// A view's own question.
    Question(QuestionHandlers),
}

/// What a view does with the answers to its question.
#[derive(Clone)]
pub(super) struct QuestionHandlers {
    pub(super) on_answer: Rc<dyn Fn(Answer)>,
    pub(super) on_end: Rc<dyn Fn(RequestStatus)>,
}

/// A request that waits for the model.
pub(super) type Deferred = Box<dyn FnOnce()>;

/// What a trial is for: each has its own result on the page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrialSlot {
    /// Several sizes that generate side by side.
    Comparison,
    /// The predictions of all sizes along one text.
    Sweep,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    pub bytes: u64,
    pub total: u64,
    /// The file that is being loaded; empty before the first.
    pub path: String,
}

/// The activity as views see it, without progress and handlers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Stage {
    Opening,
    AskingForServer { origin: String },
    Offered,
    Loading,
    Ready,
    Busy(WorkKind),
    Failed(Notice),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkKind {
    Text,
    Trial(TrialSlot),
    Question,
}

impl Activity {
    pub(super) fn stage(&self) -> Stage {
        match self {
            Self::Opening => Stage::Opening,
            Self::AskingForServer { origin } => Stage::AskingForServer { origin: origin.clone() },
            Self::Offered => Stage::Offered,
            Self::Loading { .. } => Stage::Loading,
            Self::Ready { .. } => Stage::Ready,
            Self::Busy { work, .. } => Stage::Busy(work.kind()),
            Self::Failed(notice) => Stage::Failed(notice.clone()),
        }
    }

    /// Of the files that are being loaded.
    pub(super) fn progress(&self) -> Option<&Progress> {
        match self {
            Self::Loading { progress, .. }
            | Self::Ready { download: Download::Running(progress) }
            | Self::Busy { download: Download::Running(progress), .. } => Some(progress),
            _ => None,
        }
    }

    /// Why the rest of the model is not loaded.
    pub(super) fn interruption(&self) -> Option<&Notice> {
        match self {
            Self::Ready { download: Download::Interrupted(notice) }
            | Self::Busy { download: Download::Interrupted(notice), .. } => Some(notice),
            _ => None,
        }
    }

    pub(super) fn set_progress(&mut self, now: Progress) {
        if let Self::Loading { progress, .. } = self {
            *progress = now;
        } else {
            self.set_download(Download::Running(now));
        }
    }

    /// Without effect unless some size can generate.
    pub(super) fn set_download(&mut self, now: Download) {
        if let Self::Ready { download } | Self::Busy { download, .. } = self {
            *download = now;
        }
    }

    /// The smallest size is complete; the request that waited for it.
    pub(super) fn become_ready(&mut self) -> Option<Deferred> {
        let Self::Loading { progress, then } = self else { return None };
        let (progress, then) = (std::mem::take(progress), then.take());
        *self = Self::Ready { download: Download::Running(progress) };
        then
    }

    /// The engine starts to answer a request, instead of the one before if there is one.
    pub(super) fn begin(&mut self, work: Work) {
        if let Self::Ready { download } | Self::Busy { download, .. } = self {
            *self = Self::Busy { work, download: std::mem::take(download) };
        }
    }

    /// The request is answered.
    pub(super) fn finish(&mut self) {
        if let Self::Busy { download, .. } = self {
            *self = Self::Ready { download: std::mem::take(download) };
        }
    }

    /// Takes the request that waits for the model.
    pub(super) fn take_deferred(&mut self) -> Option<Deferred> {
        if let Self::Loading { then, .. } = self { then.take() } else { None }
    }

    pub(super) fn work(&self) -> Option<&Work> {
        if let Self::Busy { work, .. } = self { Some(work) } else { None }
    }
}

impl Work {
    fn kind(&self) -> WorkKind {
        match self {
            Self::Text => WorkKind::Text,
            Self::Trial(slot) => WorkKind::Trial(*slot),
            Self::Question(_) => WorkKind::Question,
        }
    }
}

impl Stage {
    /// As in `data-state`.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Opening | Self::Loading => "loading",
            Self::AskingForServer { .. } => "asking",
            Self::Offered => "offered",
            Self::Ready => "ready",
            Self::Busy(_) => "generating",
            Self::Failed(_) => "failed",
        }
    }

    pub fn is_busy(&self) -> bool {
        matches!(self, Self::Busy(_))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ready() -> Activity {
        let progress = Progress { bytes: 7, total: 9, path: "a".to_owned() };
        let then: Deferred = Box::new(|| {});
        let mut activity = Activity::Loading { progress, then: Some(then) };
        assert!(activity.become_ready().is_some());
        activity
    }

    #[test]
    fn the_download_continues_while_requests_come_and_go() {
        let mut activity = ready();
        activity.begin(Work::Text);
        assert_eq!(activity.stage(), Stage::Busy(WorkKind::Text));
        assert_eq!(activity.progress().unwrap().bytes, 7);
        activity.begin(Work::Trial(TrialSlot::Sweep));
        activity.set_download(Download::Done);
        activity.finish();
        assert_eq!((activity.stage(), activity.progress()), (Stage::Ready, None));
        activity.finish();
        assert_eq!(activity.stage(), Stage::Ready);
    }

    #[test]
    fn progress_after_a_failure_has_no_effect() {
        let notice = Notice::new("a", "b", "c");
        let mut activity = Activity::Failed(notice.clone());
        activity.set_progress(Progress::default());
        activity.begin(Work::Text);
        assert!(activity.become_ready().is_none() && activity.progress().is_none());
        assert_eq!(activity.stage(), Stage::Failed(notice));
    }

    #[test]
    fn an_interruption_is_kept_until_loading_resumes() {
        let mut activity = ready();
        activity.set_download(Download::Interrupted(Notice::new("a", "b", "c")));
        activity.begin(Work::Text);
        assert!(activity.interruption().is_some() && activity.progress().is_none());
        activity.set_progress(Progress::default());
        assert!(activity.interruption().is_none() && activity.progress().is_some());
    }
}
