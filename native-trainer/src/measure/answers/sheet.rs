//! All requests to every member, document by document.

use std::ops::Range;

use boomerang_core::evaluate::{Answer, EncodeError, Encoder, Likelihood, Question, Request};

/// Requests and open questions, with the documents that they belong to.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    pub requests: Vec<Request>,
    pub opens: Vec<OpenRequest>,
    documents: Vec<Document>,
}

/// A prompt that the model continues.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenRequest {
    pub tokens: Vec<u32>,
    /// The answer ends before the first of these.
    pub stops: Vec<String>,
    pub max_tokens: usize,
}

/// The requests of one document.
#[derive(Clone, Debug)]
struct Document {
    requests: Range<usize>,
    opens: Range<usize>,
    /// A text in several windows, whose likelihoods are one answer.
    is_text: bool,
}

impl Sheet {
    /// Adds a question; returns its index.
    ///
    /// # Errors
    /// [`EncodeError`] for a question that cannot be encoded.
    pub fn ask(
        &mut self,
        question: &Question,
        encoder: &Encoder<'_>,
    ) -> Result<usize, EncodeError> {
        let (first_request, first_open) = (self.requests.len(), self.opens.len());
        match question {
            Question::Open(open) => self.opens.push(OpenRequest {
                tokens: encoder.open(open)?,
                stops: encoder.stops(open),
                max_tokens: open.max_tokens,
            }),
            question => self.requests.extend(encoder.requests(question)?),
        }
        self.documents.push(Document {
            requests: first_request..self.requests.len(),
            opens: first_open..self.opens.len(),
            is_text: matches!(question, Question::Text(_)),
        });
        Ok(self.documents.len() - 1)
    }

    /// Adds requests that are already encoded; each is a document of its own. Returns their indices
    /// among the requests.
    pub fn ask_all(&mut self, requests: &[Request]) -> Range<usize> {
        let first = self.requests.len();
        for request in requests {
            let index = self.requests.len();
            self.requests.push(request.clone());
            let opens = self.opens.len()..self.opens.len();
            self.documents.push(Document { requests: index..index + 1, opens, is_text: false });
        }
        first..self.requests.len()
    }

    /// A member's answer to the question at `index`, from its answers to all.
    ///
    /// # Panics
    /// When there are fewer answers than questions.
    pub fn answer(&self, index: usize, likelihoods: &[Likelihood], texts: &[String]) -> Answer {
        let document = &self.documents[index];
        if let Some(open) = document.opens.clone().next() {
            return Answer::Open(texts[open].clone());
        }
        let likelihoods = &likelihoods[document.requests.clone()];
        if !document.is_text {
            return Answer::Continuations(likelihoods.to_vec());
        }
        Answer::Text(Likelihood {
            log_likelihood: likelihoods.iter().map(|window| window.log_likelihood).sum(),
            n_tokens: likelihoods.iter().map(|window| window.n_tokens).sum(),
            is_greedy: likelihoods.iter().all(|window| window.is_greedy),
        })
    }

    /// Requests and open questions of the documents in shard `number` of `n`, counted from 0.
    pub(super) fn share(&self, number: usize, n: usize) -> (Vec<usize>, Vec<usize>) {
        let own = || self.documents.iter().skip(number).step_by(n.max(1));
        let requests = own().flat_map(|document| document.requests.clone()).collect();
        let opens = own().flat_map(|document| document.opens.clone()).collect();
        (requests, opens)
    }

    /// Tokens of all requests, one by one.
    pub fn n_tokens(&self) -> usize {
        self.requests.iter().map(|request| request.input().len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shards_have_every_document_once() {
        let mut sheet = Sheet::default();
        let request = Request::new(vec![1, 2], 1..2).unwrap();
        sheet.ask_all(&vec![request; 7]);
        let mut all: Vec<usize> = (0..3).flat_map(|number| sheet.share(number, 3).0).collect();
        all.sort_unstable();
        assert_eq!(all, (0..7).collect::<Vec<_>>());
    }
}
