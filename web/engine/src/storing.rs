//! What the page asks about the store, answered while members load and write.

use crate::fetch::reason;
use crate::messages::{Reply, Request};
use crate::notice::Notice;
use crate::turn::Turn;
use crate::worker::{Worker, post};

impl Worker {
    /// Ends with what is stored then.
    pub(crate) async fn answer_from_store(&self, request: Request) {
        match request {
            Request::Verify { fingerprint } => self.verify(fingerprint).await,
            Request::Delete { fingerprint } => {
                if let Err(error) = self.store.delete(&fingerprint).await {
                    let next = "Clear this site's data in the browser's settings.";
                    let notice = Notice::new("Not everything was deleted.", reason(&error), next);
                    post(&Reply::StoreFailed { notice });
                }
            }
            _ => {}
        }
        post(&Reply::Stored { report: self.store.report().await });
    }

    async fn verify(&self, fingerprint: String) {
        let files = self.store.files_of(&fingerprint).await;
        let n_files = files.len();
        let turn = Turn::new().ok();
        for (place, file) in files.into_iter().enumerate() {
            let state = self.store.check(&file).await;
            let (fingerprint, n_done) = (fingerprint.clone(), place + 1);
            post(&Reply::Verified { fingerprint, path: file.path, state, n_done, n_files });
            // A file's pieces may all have been at hand.
            if let Some(turn) = &turn {
                turn.end().await;
            }
        }
    }
}
