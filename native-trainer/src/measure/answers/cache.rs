//! Model outputs cached on disk, keyed by request and by the weights of the member.
//!
//! A folder for each member, named by its fingerprint, with a file for each shard, one line per
//! answer. Files are only appended to: a killed run is resumed by the next one, and shards from
//! several machines are merged by copying their files into one folder.

use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use boomerang_core::bundle::hex;
use boomerang_core::evaluate::{Likelihood, Request};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::OpenRequest;
use crate::files;
use crate::progress::note;

/// Hash of a request.
pub(super) type Key = [u8; 16];

/// A folder of answers.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    /// Name of the files that this run writes.
    share: String,
}

/// The answers of one member.
pub(super) struct MemberAnswers {
    folder: PathBuf,
    share: String,
    member: String,
    pub(super) likelihoods: BTreeMap<Key, Likelihood>,
    pub(super) texts: BTreeMap<Key, String>,
    file: Option<File>,
}

/// The first line of a file.
#[derive(Serialize, Deserialize)]
struct Header {
    boomerang_answers: u32,
    member: String,
}

const VERSION: u32 = 1;

/// Every other line.
#[derive(Serialize, Deserialize)]
struct AnswerLine {
    request: String,
    #[serde(flatten)]
    answer: CachedAnswer,
}

#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum CachedAnswer {
    Likelihood { log_likelihood: f64, n_tokens: usize, is_greedy: bool },
    Text { text: String },
}

impl Cache {
    /// `share` is the shard of this run, as `(number, of)`, counted from 1.
    pub fn new(folder: &Path, share: Option<(usize, usize)>) -> Self {
        let (number, of) = share.unwrap_or((1, 1));
        Self { folder: folder.to_owned(), share: format!("{number}-of-{of}.jsonl") }
    }

    /// The answers of the member with this fingerprint, of all shards.
    ///
    /// # Errors
    /// When a file cannot be read.
    pub(super) fn open(&self, member: &[u8; 32]) -> anyhow::Result<MemberAnswers> {
        let member = hex(member);
        let folder = self.folder.join(&member[..32]);
        let mut answers = MemberAnswers {
            folder,
            share: self.share.clone(),
            member,
            likelihoods: BTreeMap::new(),
            texts: BTreeMap::new(),
            file: None,
        };
        answers.read_all()?;
        Ok(answers)
    }
}

impl MemberAnswers {
    fn read_all(&mut self) -> anyhow::Result<()> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) => {
                return Err(error).with_context(|| self.folder.display().to_string());
            }
        };
        let mut paths = Vec::new();
        for entry in entries {
            let path = entry.with_context(|| self.folder.display().to_string())?.path();
            if path.extension().is_some_and(|extension| extension == "jsonl") {
                paths.push(path);
            }
        }
        paths.sort();
        for path in paths {
            self.read(&path)?;
        }
        Ok(())
    }

    fn read(&mut self, path: &Path) -> anyhow::Result<()> {
        let text = files::read_own_text(path)?;
        let mut lines = text.lines();
        let header = lines.next().and_then(|line| serde_json::from_str::<Header>(line).ok());
        let found = header.as_ref().map(|header| header.member.as_str());
        if header.as_ref().is_none_or(|header| header.boomerang_answers != VERSION)
            || found != Some(&self.member)
        {
            let found = found.map_or("no member", |member| &member[..member.len().min(12)]);
            note(&format!(
                "cache: {} has answers of {found}, expected {}: ignored",
                path.display(),
                &self.member[..12]
            ));
            return Ok(());
        }
        // A line that a killed run left incomplete is not an answer.
        for line in lines.filter_map(|line| serde_json::from_str::<AnswerLine>(line).ok()) {
            let Some(key) = key_of_hex(&line.request) else { continue };
            match line.answer {
                CachedAnswer::Likelihood { log_likelihood, n_tokens, is_greedy } => {
                    let answer = Likelihood { log_likelihood, n_tokens, is_greedy };
                    self.likelihoods.insert(key, answer);
                }
                CachedAnswer::Text { text } => {
                    self.texts.insert(key, text);
                }
            }
        }
        Ok(())
    }

    /// Adds answers to memory and disk; they outlive the process.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn add_likelihoods(&mut self, answers: &[(Key, Likelihood)]) -> anyhow::Result<()> {
        let lines = answers.iter().map(|(key, answer)| AnswerLine {
            request: hex(key),
            answer: CachedAnswer::Likelihood {
                log_likelihood: answer.log_likelihood,
                n_tokens: answer.n_tokens,
                is_greedy: answer.is_greedy,
            },
        });
        self.append(lines.collect())?;
        self.likelihoods.extend(answers.iter().cloned());
        Ok(())
    }

    /// As [`MemberAnswers::add_likelihoods`], for generated text.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(super) fn add_text(&mut self, key: Key, text: &str) -> anyhow::Result<()> {
        let answer = CachedAnswer::Text { text: text.to_owned() };
        self.append(vec![AnswerLine { request: hex(&key), answer }])?;
        self.texts.insert(key, text.to_owned());
        Ok(())
    }

    fn append(&mut self, lines: Vec<AnswerLine>) -> anyhow::Result<()> {
        let path = self.folder.join(&self.share);
        let mut write = || -> anyhow::Result<()> {
            let mut text = Vec::new();
            if self.file.is_none() {
                fs::create_dir_all(&self.folder)?;
                let (file, is_whole) = open_to_append(&path)?;
                match is_whole {
                    None => {
                        let header =
                            Header { boomerang_answers: VERSION, member: self.member.clone() };
                        serde_json::to_writer(&mut text, &header)?;
                        text.push(b'\n');
                    }
                    // A killed run left an incomplete line.
                    Some(false) => text.push(b'\n'),
                    Some(true) => {}
                }
                self.file = Some(file);
            }
            for line in &lines {
                serde_json::to_writer(&mut text, line)?;
                text.push(b'\n');
            }
            let file = self.file.as_mut().context("the file is open")?;
            Ok(file.write_all(&text)?)
        };
        write().with_context(|| path.display().to_string())
    }
}

/// The file, and whether its last line is complete; `None` for an empty one.
fn open_to_append(path: &Path) -> std::io::Result<(File, Option<bool>)> {
    let mut file = OpenOptions::new().create(true).read(true).append(true).open(path)?;
    let n_bytes = file.metadata()?.len();
    if n_bytes == 0 {
        return Ok((file, None));
    }
    file.seek(SeekFrom::Start(n_bytes - 1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok((file, Some(last == *b"\n")))
}

/// The key of a request, whichever task it comes from.
pub(super) fn key_of_request(request: &Request) -> Key {
    let mut hash = Sha256::new_with_prefix("likelihood\0");
    let add = |hash: &mut Sha256, tokens: &[u32]| {
        hash.update((tokens.len() as u64).to_le_bytes());
        for token in tokens {
            hash.update(token.to_le_bytes());
        }
    };
    add(&mut hash, request.input());
    add(&mut hash, request.targets());
    hash.update((request.positions().start as u64).to_le_bytes());
    short(hash)
}

/// The key of an open question. The version in it changes when texts end at other tokens.
pub(super) fn key_of_open(open: &OpenRequest) -> Key {
    let mut hash = Sha256::new_with_prefix("open 2\0");
    hash.update((open.tokens.len() as u64).to_le_bytes());
    for token in &open.tokens {
        hash.update(token.to_le_bytes());
    }
    hash.update((open.max_tokens as u64).to_le_bytes());
    for stop in &open.stops {
        hash.update((stop.len() as u64).to_le_bytes());
        hash.update(stop);
    }
    short(hash)
}

fn short(hash: Sha256) -> Key {
    let hash: [u8; 32] = hash.finalize().into();
    let mut key = Key::default();
    let n_bytes = key.len();
    key.copy_from_slice(&hash[..n_bytes]);
    key
}

fn key_of_hex(text: &str) -> Option<Key> {
    let mut key = Key::default();
    if text.len() != 2 * key.len() || !text.is_ascii() {
        return None;
    }
    for (index, byte) in key.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[2 * index..2 * index + 2], 16).ok()?;
    }
    Some(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MEMBER: [u8; 32] = [7; 32];

    fn likelihood(log_likelihood: f64) -> Likelihood {
        Likelihood { log_likelihood, n_tokens: 2, is_greedy: true }
    }

    #[test]
    fn answers_are_found_again_to_the_last_bit() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path(), None);
        let answer = likelihood(-1.0 / 3.0);
        cache.open(&MEMBER).unwrap().add_likelihoods(&[([1; 16], answer.clone())]).unwrap();
        cache.open(&MEMBER).unwrap().add_text([2; 16], "four\n\"5\"").unwrap();
        let found = cache.open(&MEMBER).unwrap();
        assert_eq!(found.likelihoods[&[1; 16]], answer);
        assert_eq!(found.texts[&[2; 16]], "four\n\"5\"");
        assert!(cache.open(&[8; 32]).unwrap().likelihoods.is_empty());
    }

    #[test]
    fn an_incomplete_line_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path(), None);
        let mut answers = cache.open(&MEMBER).unwrap();
        answers
            .add_likelihoods(&[([1; 16], likelihood(-1.0)), ([2; 16], likelihood(-2.0))])
            .unwrap();
        let path = answers.folder.join("1-of-1.jsonl");
        let text = fs::read(&path).unwrap();
        fs::write(&path, &text[..text.len() - 9]).unwrap();

        let mut answers = cache.open(&MEMBER).unwrap();
        assert_eq!(answers.likelihoods.len(), 1);
        answers.add_likelihoods(&[([3; 16], likelihood(-3.0))]).unwrap();
        let keys: Vec<Key> = cache.open(&MEMBER).unwrap().likelihoods.into_keys().collect();
        assert_eq!(keys, [[1; 16], [3; 16]]);
    }

    #[test]
    fn shards_of_several_machines_are_read_together() {
        let folder = tempfile::tempdir().unwrap();
        for number in 1..=3 {
            let cache = Cache::new(folder.path(), Some((number, 3)));
            let answer = likelihood(-(number as f64));
            cache.open(&MEMBER).unwrap().add_likelihoods(&[([number as u8; 16], answer)]).unwrap();
        }
        let all = Cache::new(folder.path(), None).open(&MEMBER).unwrap();
        assert_eq!(all.likelihoods.len(), 3);
    }

    #[test]
    fn answers_of_another_member_are_not_used() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::new(folder.path(), None);
        let mut answers = cache.open(&MEMBER).unwrap();
        answers.add_likelihoods(&[([1; 16], likelihood(-1.0))]).unwrap();
        let other = folder.path().join(&hex(&[8; 32])[..32]);
        fs::create_dir(&other).unwrap();
        fs::copy(answers.folder.join("1-of-1.jsonl"), other.join("1-of-1.jsonl")).unwrap();
        assert!(cache.open(&[8; 32]).unwrap().likelihoods.is_empty());
    }

    #[test]
    fn keys_depend_on_tokens_and_targets() {
        let request = |tokens: &[u32], start| Request::new(tokens.to_vec(), start..tokens.len());
        let key = |tokens: &[u32], start| key_of_request(&request(tokens, start).unwrap());
        assert_eq!(key(&[1, 2, 3], 2), key(&[1, 2, 3], 2));
        assert_ne!(key(&[1, 2, 3], 2), key(&[1, 2, 3], 1));
        assert_ne!(key(&[1, 2, 3], 2), key(&[1, 2, 4], 2));
    }
}
