//! What is in a folder that the reader brings, from the names of its files alone.

use crate::notice::Notice;

/// What was brought. Files are known by their place in the list of names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Tree {
    /// A bundle: its manifest, and the folder that it lies in.
    Bundle { manifest: usize, folder: String },
    /// Folders with a model each, and the plans that lie with them.
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
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weights {
    One(usize),
    /// An index that names several files.
    Index(usize),
}

const PLAN: &str = "student_config.json";
pub(super) const NOT_READ: &str = "These files cannot be used.";
pub(super) const WHAT_TO_BRING: &str = "Bring one folder, or a zip of it, that holds the teacher's folder and the student's, as \
     transformers writes them (config.json, model.safetensors, tokenizer.json), with \
     student_config.json in the student's; or a bundle's folder.";

/// As all names are written: without the ways in which systems and programs differ.
pub(super) fn normal(name: &str) -> String {
    let name = name.replace('\\', "/");
    name.trim_start_matches("./").trim_start_matches('/').to_owned()
}

/// Whether somebody meant to bring this file; systems and version control add some of their own.
pub(super) fn is_meant(name: &str) -> bool {
    !name.ends_with('/') && name.split('/').all(|part| !part.starts_with('.') && part != "__MACOSX")
}

/// A file's name below the folder that was chosen with it, which somebody meant whatever its name is.
pub(super) fn below_chosen(name: &str) -> &str {
    name.split_once('/').map_or(name, |(_, below)| below)
}

/// # Errors
/// A [`Notice`] that says what was found, and what to bring.
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
            models.push(ModelFolder { path, config, generation, weights, tokenizer });
        }
    }
    let plans = folders_with(PLAN);
    let why = if models.len() < 2 {
        let found = match &*models {
            [] => "no folder with config.json and model.safetensors is among them".to_owned(),
            [model, ..] => format!("only one model is among them, in {}", told(&model.path)),
        };
        let pickled = if is_pickled {
            "; pytorch_model.bin is not read, because opening such a file runs code from it"
        } else {
            ""
        };
        format!("{found}{pickled}")
    } else if plans.is_empty() {
        format!("no {PLAN} is among them, so which layers the student keeps is not known")
    } else {
        return Ok(Tree::Models { models, plans });
    };
    Err(Notice::new(NOT_READ, why, WHAT_TO_BRING))
}

/// Which of several models are teacher and student: `sizes` are their numbers of layers, in the
/// order of `paths`, and the plan is for a teacher and a student of `n_layers` and lies in `folder`.
///
/// # Errors
/// Why that cannot be told.
pub(super) fn cast(
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
             many: {}",
            told(folder),
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
    let one = |(path, size): (&&str, &usize)| format!("{} with {size}", told(path));
    paths.iter().zip(sizes).map(one).collect::<Vec<_>>().join(", ")
}

/// A folder by its name.
pub(super) fn told(path: &str) -> String {
    let name = path.trim_end_matches('/');
    if name.is_empty() { "the folder itself".to_owned() } else { format!("{name:?}") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    const FAMILY: [&str; 8] = [
        "own/teacher/config.json",
        "own/teacher/model.safetensors",
        "own/teacher/tokenizer.json",
        "own/run/student/config.json",
        "own/run/student/model.safetensors.index.json",
        "own/run/student/model-1.safetensors",
        "own/run/student/student_config.json",
        "own/teacher/generation_config.json",
    ];

    #[test]
    fn teacher_and_student_are_found_in_their_folders() {
        let Tree::Models { models, plans } = sort(&names(&FAMILY)).unwrap() else { panic!() };
        let paths: Vec<&str> = models.iter().map(|model| &*model.path).collect();
        assert_eq!(paths, ["own/teacher/", "own/run/student/"]);
        assert_eq!([models[0].weights, models[1].weights], [Weights::One(1), Weights::Index(4)]);
        assert_eq!([models[0].generation, models[1].generation], [Some(7), None]);
        assert_eq!(plans, [("own/run/student/".to_owned(), 6)]);
    }

    #[test]
    fn the_name_of_a_plan_is_not_taken_for_a_config() {
        let Err(notice) = sort(&names(&["a/student_config.json", "a/model.safetensors"])) else {
            panic!()
        };
        assert!(notice.why.contains("no folder with config.json"), "{}", notice.why);
    }

    #[test]
    fn what_is_missing_is_said() {
        let why = |list: &[&str]| sort(&names(list)).unwrap_err().why;
        assert!(why(&FAMILY[..3]).contains("only one model"));
        assert!(why(&FAMILY[..6]).contains("no student_config.json"));
        assert!(why(&["a/config.json", "a/pytorch_model.bin"]).contains("runs code"));
    }

    #[test]
    fn a_bundle_is_told_by_its_manifest() {
        let tree = sort(&names(&["b/manifest.json", "b/tokenizer.json"])).unwrap();
        assert_eq!(tree, Tree::Bundle { manifest: 0, folder: "b/".to_owned() });
    }

    #[test]
    fn files_of_systems_are_not_meant() {
        assert!(is_meant("a/config.json"));
        for name in [".DS_Store", "a/.git/config", "__MACOSX/a/config.json", "a/"] {
            assert!(!is_meant(name), "{name}");
        }
        assert_eq!(normal("./a\\b"), "a/b");
    }

    #[test]
    fn a_chosen_folder_may_have_any_name() {
        assert!(is_meant(below_chosen(".models/teacher/config.json")));
        for name in [".models/.git/config", "a/.DS_Store", ".DS_Store"] {
            assert!(!is_meant(below_chosen(name)), "{name}");
        }
    }

    #[test]
    fn the_plan_says_who_is_who() {
        let paths = ["t/", "s/", "m/"];
        assert_eq!(cast(&paths, &[6, 4, 5], "s/", (6, 4)), Ok((0, 1)));
        // Two with as many layers as the student: the one that the plan lies beside.
        assert_eq!(cast(&paths, &[6, 4, 4], "m/", (6, 4)), Ok((0, 2)));
        assert!(cast(&paths, &[6, 4, 4], "", (6, 4)).unwrap_err().contains("several"));
        assert!(cast(&paths, &[7, 4, 5], "s/", (6, 4)).unwrap_err().contains("teacher of 6"));
    }
}
