//! What an uploaded folder contains, from the names of its files alone.

use crate::notice::Notice;

/// The contents of an upload. Files are identified by their index in the list of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// A bundle: its manifest, and the folder that it is in.
    Bundle { manifest: usize, folder: String },
    /// Folders with a model each, and the plans in them.
    Models { models: Vec<ModelFolder>, plans: Vec<(String, usize)> },
}

/// A folder as transformers writes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct ModelFolder {
    pub(super) path: String,
    pub(super) config: usize,
    /// `generation_config.json`.
    pub(super) generation: Option<usize>,
    pub(super) weights: Weights,
    pub(super) tokenizer: Option<usize>,
    /// `tokenizer_config.json`, `chat_template.jinja` and `chat_template.json`.
    pub(super) chat: [Option<usize>; 3],
    /// `fingerprints.json`.
    pub(super) fingerprints: Option<usize>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weights {
    One(usize),
    /// An index that names several files.
    Index(usize),
}

/// Where a chat template may be, and the special tokens that it asks for.
const CHAT_FILES: [&str; 3] =
    ["tokenizer_config.json", "chat_template.jinja", "chat_template.json"];
const PLAN: &str = "student_config.json";
pub(super) const UNUSABLE: &str = "These files cannot be used.";
pub(super) const WHAT_TO_UPLOAD: &str = "Upload one folder, or a zip of it, that contains the teacher's folder and the student's, as \
     transformers writes them (config.json, model.safetensors, tokenizer.json), with \
     student_config.json in the student's; or a bundle's folder.";

/// A name without the differences between operating systems and programs.
pub(super) fn normal(name: &str) -> String {
    let name = name.replace('\\', "/");
    name.trim_start_matches("./").trim_start_matches('/').to_owned()
}

/// Whether this file belongs to the upload; operating systems and version control add their own.
pub(super) fn is_relevant(name: &str) -> bool {
    !name.ends_with('/') && name.split('/').all(|part| !part.starts_with('.') && part != "__MACOSX")
}

/// A file's name below the chosen folder, which is relevant whatever its own name is.
pub(super) fn below_chosen(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, below)| below)
}

/// # Errors
/// A [`Notice`] with what was found and what to upload.
pub(super) fn sort(names: &[String]) -> Result<Tree, Notice> {
    let find = |folder: &str, file: &str| {
        let name = format!("{folder}{file}");
        names.iter().position(|other| *other == name)
    };
    let folders_with = |file: &str| -> Vec<(String, usize)> {
        let found = names.iter().enumerate().filter_map(|(number, name)| {
            let folder = name.strip_suffix(file)?;
            (folder.is_empty() || folder.ends_with('/')).then(|| (folder.to_owned(), number))
        });
        found.collect()
    };
    if let [(folder, manifest)] = &*folders_with(boomerang_core::bundle::MANIFEST) {
        return Ok(Tree::Bundle { manifest: *manifest, folder: folder.clone() });
    }
    let mut models = Vec::new();
    let mut is_pickled = false;
    for (path, config) in folders_with("config.json") {
        let one = find(&path, "model.safetensors").map(Weights::One);
        let index = || find(&path, "model.safetensors.index.json").map(Weights::Index);
        is_pickled |= find(&path, "pytorch_model.bin").is_some();
        if let Some(weights) = one.or_else(index) {
            let generation = find(&path, "generation_config.json");
            let tokenizer = find(&path, "tokenizer.json");
            let fingerprints = find(&path, "fingerprints.json");
            let chat = CHAT_FILES.map(|file| find(&path, file));
            models.push(ModelFolder {
                path,
                config,
                generation,
                weights,
                tokenizer,
                chat,
                fingerprints,
            });
        }
    }
    let plans = folders_with(PLAN);
    let why = if models.len() < 2 {
        let found = match &*models {
            [] => "no folder with config.json and model.safetensors was found".to_owned(),
            [model, ..] => format!("only one model was found, in {}", folder_name(&model.path)),
        };
        let pickled = if is_pickled {
            "; pytorch_model.bin is not supported, because loading such a file runs code from it"
        } else {
            ""
        };
        format!("{found}{pickled}")
    } else if plans.is_empty() {
        format!("no {PLAN} was found, so the layers that the student keeps are unknown")
    } else {
        return Ok(Tree::Models { models, plans });
    };
    Err(Notice::new(UNUSABLE, why, WHAT_TO_UPLOAD))
}

/// The indices of teacher and student among several models: `sizes` are their numbers of layers, in
/// the order of `paths`; the plan in `folder` is for a teacher and a student of `n_layers`.
///
/// # Errors
/// Why the roles are not clear.
pub(super) fn assign_roles(
    paths: &[&str],
    sizes: &[usize],
    folder: &str,
    n_layers: (usize, usize),
) -> Result<(usize, usize), String> {
    let with = |n_layers: usize| -> Vec<usize> {
        (0..paths.len()).filter(|&number| sizes[number] == n_layers).collect()
    };
    let pick = |who: &str, n_layers: usize, candidates: Vec<usize>| match &*candidates {
        [one] => Ok(*one),
        [] => Err(format!(
            "the plan in {} is for a {who} of {n_layers} layers, and none of the models has that \
             many layers: {}",
            folder_name(folder),
            list(paths, sizes)
        )),
        _ => Err(format!(
            "several models could be the {who}, which has {n_layers} layers: {}",
            list(paths, sizes)
        )),
    };
    let mut students = with(n_layers.1);
    if let Some(beside) = students.iter().copied().find(|&number| paths[number] == folder) {
        students = vec![beside];
    }
    let student = pick("student", n_layers.1, students)?;
    let teachers = with(n_layers.0).into_iter().filter(|&number| number != student);
    Ok((pick("teacher", n_layers.0, teachers.collect())?, student))
}

fn list(paths: &[&str], sizes: &[usize]) -> String {
    let one = |(path, size): (&&str, &usize)| format!("{} with {size}", folder_name(path));
    paths.iter().zip(sizes).map(one).collect::<Vec<_>>().join(", ")
}

/// A folder's name for messages.
pub(super) fn folder_name(path: &str) -> String {
    let name = path.trim_end_matches('/');
    if name.is_empty() { "the folder itself".to_owned() } else { format!("{name:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    const FAMILY: [&str; 9] = [
        "own/teacher/config.json",
        "own/teacher/model.safetensors",
        "own/teacher/tokenizer.json",
        "own/run/student/config.json",
        "own/run/student/model.safetensors.index.json",
        "own/run/student/model-1.safetensors",
        "own/run/student/student_config.json",
        "own/teacher/generation_config.json",
        "own/run/student/fingerprints.json",
    ];

    #[test]
    fn teacher_and_student_are_found_in_their_folders() {
        let Tree::Models { models, plans } = sort(&names(&FAMILY)).unwrap() else { panic!() };
        let paths: Vec<&str> = models.iter().map(|model| &*model.path).collect();
        assert_eq!(paths, ["own/teacher/", "own/run/student/"]);
        assert_eq!([models[0].weights, models[1].weights], [Weights::One(1), Weights::Index(4)]);
        assert_eq!([models[0].generation, models[1].generation], [Some(7), None]);
        assert_eq!([models[0].fingerprints, models[1].fingerprints], [None, Some(8)]);
        assert_eq!(plans, [("own/run/student/".to_owned(), 6)]);
    }

    #[test]
    fn the_name_of_a_plan_is_not_mistaken_for_a_config() {
        let Err(notice) = sort(&names(&["a/student_config.json", "a/model.safetensors"])) else {
            panic!()
        };
        assert!(notice.why.contains("no folder with config.json"), "{}", notice.why);
    }

    #[test]
    fn missing_files_are_named() {
        let why = |list: &[&str]| sort(&names(list)).unwrap_err().why;
        assert!(why(&FAMILY[..3]).contains("only one model"));
        assert!(why(&FAMILY[..6]).contains("no student_config.json"));
        assert!(why(&["a/config.json", "a/pytorch_model.bin"]).contains("runs code"));
    }

    #[test]
    fn a_bundle_is_recognized_by_its_manifest() {
        let tree = sort(&names(&["b/manifest.json", "b/tokenizer.json"])).unwrap();
        assert_eq!(tree, Tree::Bundle { manifest: 0, folder: "b/".to_owned() });
    }

    #[test]
    fn files_of_operating_systems_are_not_relevant() {
        assert!(is_relevant("a/config.json"));
        for name in [".DS_Store", "a/.git/config", "__MACOSX/a/config.json", "a/"] {
            assert!(!is_relevant(name), "{name}");
        }
        assert_eq!(normal("./a\\b"), "a/b");
    }

    #[test]
    fn a_chosen_folder_may_have_any_name() {
        assert!(is_relevant(below_chosen(".models/teacher/config.json")));
        for name in [".models/.git/config", "a/.DS_Store", ".DS_Store"] {
            assert!(!is_relevant(below_chosen(name)), "{name}");
        }
    }

    #[test]
    fn the_plan_assigns_the_roles() {
        let paths = ["t/", "s/", "m/"];
        assert_eq!(assign_roles(&paths, &[6, 4, 5], "s/", (6, 4)), Ok((0, 1)));
        // Two with as many layers as the student: the one in the folder of the plan.
        assert_eq!(assign_roles(&paths, &[6, 4, 4], "m/", (6, 4)), Ok((0, 2)));
        assert!(assign_roles(&paths, &[6, 4, 4], "", (6, 4)).unwrap_err().contains("several"));
        assert!(
            assign_roles(&paths, &[7, 4, 5], "s/", (6, 4)).unwrap_err().contains("teacher of 6")
        );
    }
}
