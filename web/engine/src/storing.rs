//! The page's requests about the store, answered while members load and generate.

use crate::fetch::reason;
use crate::messages::{Reply, StoreReply, StoreRequest};
use crate::notice::Notice;
use crate::turn::Turn;
use crate::worker::{Worker, post};

impl Worker {
    /// Ends with a report of what is stored then.
    pub(crate) async fn on_store_request(&self, request: StoreRequest) {
        match request {
            StoreRequest::List => {}
            StoreRequest::Verify { fingerprint } => self.verify(fingerprint).await,
            StoreRequest::Delete { fingerprint } => {
                if let Err(error) = self.store.delete(&fingerprint).await {
                    let next = "Clear this site's data in the browser's settings.";
                    let notice =
                        Notice::new("The model was not fully deleted.", reason(&error), next);
                    post(&Reply::Store(StoreReply::Failed { notice }));
                }
            }
        }
        post(&Reply::Store(StoreReply::Listed { report: self.store.report().await }));
    }

    async fn verify(&self, fingerprint: String) {
        let files = self.store.files_of(&fingerprint).await;
        let n_files = files.len();
        let turn = Turn::new().ok();
        for (index, file) in files.into_iter().enumerate() {
            let state = self.store.check(&file).await;
            let (fingerprint, path, n_done) = (fingerprint.clone(), file.path, index + 1);
            let reply = StoreReply::Verified { fingerprint, path, state, n_done, n_files };
            post(&Reply::Store(reply));
            // All pieces of a file may have been available without waiting.
            if let Some(turn) = &turn {
                turn.end().await;
            }
        }
    }
}
