//! Families uploaded by the user: a folder or a zip with the checkpoints of a teacher and a student,
//! or with a bundle. First only their headers are read, so that the page can show how large they are
//! before anything is copied; then they are laid out as a bundle, whose files are slices of the
//! uploaded ones.

mod archive;
mod identity;
mod packing;
mod source;
mod tree;

use std::collections::BTreeMap;

use boomerang_chat::TemplateFiles;
use boomerang_core::bundle::{ChatFormat, CutFamily, Manifest, StoredModel};
use boomerang_core::checkpoint::{Header, shard_names};
use boomerang_core::config::ModelConfig;
use boomerang_core::plan::LayerPlan;
use boomerang_core::prune::StudentConfig;
use web_sys::Blob;

use crate::messages::{Reply, UploadReply, UploadRequest};
use crate::notice::{Notice, chain};
use crate::throttle::Throttle;
use crate::worker::{Worker, now_millis, post, post_with};
use archive::BlobReader;
use identity::TeacherIdentity;
use source::Source;
use tree::{ModelFolder, Tree, UNUSABLE, WHAT_TO_UPLOAD, Weights, folder_name};

/// Of `config.json` and the like; larger files are not configs.
const MOST_CONFIG: u64 = 1 << 20;
/// Of an index of weight files, or of a manifest.
const MOST_INDEX: u64 = 1 << 24;

/// What was uploaded: inspected, but not copied.
pub(crate) enum Upload {
    Checkpoints { family: Box<CutFamily>, sources: Vec<Source>, teacher: Option<TeacherIdentity> },
    Bundle { json: String, files: Vec<(String, Source)> },
}

impl Worker {
    pub(crate) async fn on_upload_request(&self, request: UploadRequest, files: Vec<Blob>) {
        let outcome = match request {
            UploadRequest::Inspect { names } => self.inspect(names, files).await,
            UploadRequest::Pack => self.pack().await,
        };
        if let Err(notice) = outcome {
            post(&Reply::Upload(UploadReply::Failed { notice }));
        }
    }

    /// Replies with the manifest that the files would have, without hashes.
    async fn inspect(&self, names: Vec<String>, files: Vec<Blob>) -> Result<(), Notice> {
        self.upload.replace(None);
        let sources = open(names, files).map_err(unusable)?;
        let names: Vec<String> = sources.iter().map(|source| source.name.clone()).collect();
        let upload = match tree::sort(&names)? {
            Tree::Bundle { manifest, folder } => bundle(&sources, manifest, &folder).await,
            Tree::Models { models, plans } => checkpoints(sources, &models, &plans).await,
        };
        let upload = upload.map_err(unusable)?;
        let draft = match &upload {
            Upload::Bundle { json, .. } => json.clone(),
            Upload::Checkpoints { family, .. } => to_json(&family.manifest(|_| String::new())),
        };
        self.upload.replace(Some(upload));
        post(&Reply::Upload(UploadReply::Inspected { draft }));
        Ok(())
    }

    /// Lays out as a bundle what was inspected last.
    async fn pack(&self) -> Result<(), Notice> {
        let Some(upload) = self.upload.take() else {
            let (why, next) = ("no files were inspected before", "Upload the files again.");
            return Err(Notice::new(UNUSABLE, why, next));
        };
        let throttle = Throttle::default();
        let on_bytes = |bytes, total| {
            if throttle.is_due(now_millis(), bytes == total) {
                post(&Reply::Upload(UploadReply::Packing { bytes, total }));
            }
        };
        let packed = match upload {
            Upload::Bundle { json, files } => packing::bundle(json, files, on_bytes).await,
            Upload::Checkpoints { family, sources, teacher } => {
                packing::checkpoints(&family, &sources, teacher.as_ref(), on_bytes).await
            }
        };
        let (manifest, files) = packed.map_err(unusable)?;
        let (paths, files): (Vec<String>, Vec<Blob>) = files.into_iter().unzip();
        post_with(&Reply::Upload(UploadReply::Packed { manifest, paths }), &files);
        Ok(())
    }
}

/// The uploaded files; a single zip is replaced by the files in it.
fn open(names: Vec<String>, files: Vec<Blob>) -> Result<Vec<Source>, String> {
    if let ([name], [zip]) = (&*names, &*files)
        && name.to_lowercase().ends_with(".zip")
    {
        let read = |error: &dyn std::fmt::Display| format!("{name:?} cannot be read: {error}");
        let reader = BlobReader::new(zip.clone()).map_err(|error| read(&error))?;
        let is_wanted = |name: &str| tree::is_relevant(&tree::normal(name));
        let entries =
            archive::entries(reader, zip.size() as u64, is_wanted).map_err(|error| read(&error))?;
        let source = |entry: &archive::Entry| Source::packed(tree::normal(&entry.name), zip, entry);
        return Ok(entries.iter().map(source).collect());
    }
    if names.len() > archive::MOST_FILES {
        return Err(format!("{} files are too many for a family of models", names.len()));
    }
    let sources = names.into_iter().zip(files).map(|(name, file)| {
        let name = tree::normal(&name);
        Source::of(name, file)
    });
    Ok(sources.filter(|source| tree::is_relevant(tree::below_chosen(&source.name))).collect())
}

async fn bundle(sources: &[Source], manifest: usize, folder: &str) -> Result<Upload, String> {
    let json = text(&sources[manifest], MOST_INDEX).await?;
    let parsed = Manifest::from_json(&json)
        .map_err(|error| format!("{}: {}", sources[manifest].name, chain(&error)))?;
    let by_name: BTreeMap<&str, &Source> =
        sources.iter().map(|source| (&*source.name, source)).collect();
    let find = |file: &boomerang_core::bundle::BundleFile| {
        let source = by_name.get(&*format!("{folder}{}", file.path));
        let source = source.ok_or_else(|| format!("{} is missing in the bundle", file.path))?;
        if source.n_bytes != file.bytes {
            let (found, expected) = (source.n_bytes, file.bytes);
            return Err(format!("{} has {found} bytes; the manifest lists {expected}", file.path));
        }
        Ok((file.path.clone(), (*source).clone()))
    };
    let files = parsed.files().map(find).collect::<Result<Vec<_>, String>>()?;
    // Recordings and tasks are optional.
    let extras = parsed.extras().filter_map(|file| find(file).ok());
    Ok(Upload::Bundle { files: files.into_iter().chain(extras).collect(), json })
}

async fn checkpoints(
    sources: Vec<Source>,
    models: &[ModelFolder],
    plans: &[(String, usize)],
) -> Result<Upload, String> {
    let [(plan_folder, plan)] = plans else {
        let folders: Vec<String> = plans.iter().map(|(folder, _)| folder_name(folder)).collect();
        return Err(format!("several student_config.json were found: {}", folders.join(", ")));
    };
    let named = |number: usize, error: String| format!("{}: {error}", sources[number].name);
    let plan_text = text(&sources[*plan], MOST_CONFIG).await?;
    let plan: LayerPlan =
        StudentConfig::plan_from_json(&plan_text).map_err(|error| named(*plan, chain(&error)))?;
    let mut configs = Vec::new();
    for model in models {
        let text = text(&sources[model.config], MOST_CONFIG).await?;
        let config = ModelConfig::from_json(&text);
        let mut config = config.map_err(|error| named(model.config, chain(&error)))?;
        if let Some(number) = model.generation {
            let text = self::text(&sources[number], MOST_CONFIG).await?;
            let ended = config.with_generation_config(&text);
            config = ended.map_err(|error| named(number, chain(&error)))?;
        }
        configs.push(config);
    }
    let paths: Vec<&str> = models.iter().map(|model| &*model.path).collect();
    let sizes: Vec<usize> = configs.iter().map(ModelConfig::n_layers).collect();
    let n_layers = (plan.n_teacher_layers(), plan.n_student_layers());
    let (teacher, student) = tree::assign_roles(&paths, &sizes, plan_folder, n_layers)?;
    identity::check_tokenizers(&sources, &models[teacher], &models[student]).await?;
    let teacher_weights = weights(&sources, &models[teacher]).await?;
    let student_weights = weights(&sources, &models[student]).await?;
    let tokenizer = models[teacher].tokenizer.or(models[student].tokenizer);
    let tokenizer = tokenizer.ok_or_else(|| {
        format!("tokenizer.json is missing in {}", folder_name(&models[teacher].path))
    })?;
    let family = CutFamily::new(
        &name_of(&models[teacher].path),
        StoredModel { config: &configs[teacher], weights: &teacher_weights },
        StoredModel { config: &configs[student], weights: &student_weights },
        plan,
        boomerang_core::bundle::Piece {
            file: tokenizer,
            start: 0,
            end: sources[tokenizer].n_bytes,
        },
    );
    let family = family.map_err(|error| chain(&error))?;
    let family = family.with_chat(chat_format(&sources, &models[teacher]).await?);
    let folders = (&models[teacher], &models[student]);
    let identity = TeacherIdentity::read(&sources, folders, &teacher_weights).await?;
    Ok(Upload::Checkpoints { family: Box::new(family), sources, teacher: identity })
}

/// The chat template of a model, if its folder has one.
async fn chat_format(
    sources: &[Source],
    model: &ModelFolder,
) -> Result<Option<ChatFormat>, String> {
    let [mut config, mut jinja, mut json] = [None, None, None];
    for (number, text) in model.chat.into_iter().zip([&mut config, &mut jinja, &mut json]) {
        if let Some(number) = number {
            *text = Some(self::text(&sources[number], MOST_INDEX).await?);
        }
    }
    let files = TemplateFiles {
        tokenizer_config: config.as_deref().map(str::as_bytes),
        jinja: jinja.as_deref(),
        json: json.as_deref().map(str::as_bytes),
    };
    let source =
        boomerang_chat::find(files).map_err(|error| format!("{}{}", model.path, chain(&error)))?;
    Ok(source.map(|source| ChatFormat {
        template: source.text,
        special_tokens: source.special_tokens.into_iter().collect(),
    }))
}

/// The headers of each weight file of a model.
async fn weights(sources: &[Source], model: &ModelFolder) -> Result<Vec<(usize, Header)>, String> {
    let numbers = match model.weights {
        Weights::One(number) => vec![number],
        Weights::Index(index) => {
            let json = text(&sources[index], MOST_INDEX).await?;
            let names = shard_names(&json)
                .map_err(|error| format!("{}: {}", sources[index].name, chain(&error)))?;
            let find = |name: String| {
                let path = format!("{}{name}", model.path);
                let number = sources.iter().position(|source| source.name == path);
                number.ok_or_else(|| format!("{path}, which the index names, is missing"))
            };
            names.into_iter().map(find).collect::<Result<Vec<_>, String>>()?
        }
    };
    let mut weights = Vec::new();
    for number in numbers {
        let source = &sources[number];
        let first =
            async |n_bytes: u64| source.first(n_bytes).await.map_err(|error| error.to_string());
        let prefix = first(Header::PREFIX).await?;
        if prefix == b"version " {
            let lfs = "is only a Git LFS pointer to the weights; run `git lfs pull` in its folder";
            return Err(format!("{} {lfs}", source.name));
        }
        let end = Header::end(&source.name, &prefix, source.n_bytes);
        let end = end.map_err(|error| chain(&error))?;
        let header = Header::parse(&source.name, &first(end).await?, source.n_bytes);
        weights.push((number, header.map_err(|error| chain(&error))?));
    }
    Ok(weights)
}

async fn text(source: &Source, most: u64) -> Result<String, String> {
    if source.n_bytes > most {
        let (name, n_bytes) = (&source.name, source.n_bytes);
        return Err(format!("{name} has {n_bytes} bytes; expected at most {most}"));
    }
    let bytes = source.first(most).await.map_err(|error| error.to_string())?;
    String::from_utf8(bytes).map_err(|_| format!("{} is not text", source.name))
}

/// A family is named after its teacher's folder.
fn name_of(path: &str) -> String {
    let folders = path.trim_end_matches('/').split('/');
    let named = folders.rev().find(|part| !part.is_empty() && *part != "teacher");
    named.unwrap_or("own model").to_owned()
}

fn to_json(manifest: &Manifest) -> String {
    // A manifest is plain data.
    serde_json::to_string(manifest).unwrap_or_default()
}

fn unusable(why: String) -> Notice {
    Notice::new(UNUSABLE, why, WHAT_TO_UPLOAD)
}
