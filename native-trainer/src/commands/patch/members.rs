//! Members of two folders: their sizes, and how each format writes them.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use boomerang_core::checkpoint::{Checkpoint, Precision};
use boomerang_core::config::ModelConfig;
use boomerang_core::gguf::{Conversion, GgufValue, Metadata, plan_to_metadata};
use boomerang_core::plan::{HeadPolicy, LayerPlan, Owner, Patch, Recipe};

use super::card::Card;
use super::{Format, PatchArgs, mergekit};
use crate::args::FamilyArgs;
use crate::files::{
    ModelFolder, OutputFile, OutputFolder, RECIPE, RecipeFile, Sources, WeightsFormat, member,
    name_gguf, write_conversion, write_weights,
};
use crate::progress::note;
use crate::sizes::Size;

/// Teacher and student with the ways of writing their members.
pub(super) struct Patching<'a> {
    pub(super) args: &'a PatchArgs,
    pub(super) format: Format,
    pub(super) precision: Option<Precision>,
    pub(super) teacher: ModelFolder,
    pub(super) student: ModelFolder,
    pub(super) plan: LayerPlan,
}

/// Records in a GGUF member how it was made.
pub(super) fn describe_recipe(
    metadata: &mut Metadata<'_>,
    recipe: &Recipe,
    policy: HeadPolicy,
) -> anyhow::Result<()> {
    metadata.set("boomerang.version", GgufValue::text(env!("CARGO_PKG_VERSION")));
    metadata.set("boomerang.recipe", GgufValue::text(serde_json::to_string(recipe)?));
    metadata.set("boomerang.head", GgufValue::text(serde_json::to_string(&policy)?));
    Ok(())
}

impl Patching<'_> {
    fn member(
        &self,
        recipe: &Recipe,
        head: HeadPolicy,
    ) -> anyhow::Result<(Checkpoint<'_>, ModelConfig)> {
        member(recipe, head, &self.teacher, &self.student)
    }

    /// The size of a member, before it is written.
    pub(super) fn size(&self, patch: Patch, head: HeadPolicy) -> anyhow::Result<Size> {
        let (checkpoint, config) = self.member(&self.plan.recipe(&patch), head)?;
        Ok(Size {
            patch,
            head,
            n_layers: config.n_layers(),
            n_params: config.n_params(),
            n_bytes: self.n_bytes(&checkpoint, &config)?,
            cache_bytes: self.args.kv.map_or(0, |cache| cache.n_bytes(&config)),
            kl: None,
        })
    }

    fn weights_format(&self, recipe: Option<String>) -> WeightsFormat {
        let metadata = recipe.map(|recipe| {
            BTreeMap::from([
                ("boomerang.version".to_owned(), env!("CARGO_PKG_VERSION").to_owned()),
                ("boomerang.recipe".to_owned(), recipe),
            ])
        });
        WeightsFormat {
            precision: self.precision,
            shard_bytes: self.args.shard_size,
            metadata: metadata.unwrap_or_default(),
        }
    }

    /// Bytes of all tensors of a member, as they will be stored.
    fn n_bytes(&self, member: &Checkpoint<'_>, config: &ModelConfig) -> anyhow::Result<u64> {
        if self.format != Format::Gguf {
            return Ok(self.weights_format(None).n_bytes(member));
        }
        let conversion = Conversion::new(member, config, self.args.dtype.0)?;
        Ok(conversion.tensors.iter().map(|tensor| tensor.n_bytes() as u64).sum())
    }

    pub(super) fn write(&self, recipe: &Recipe, size: &Size) -> anyhow::Result<()> {
        let Self { args, teacher, student, .. } = self;
        let (member, config) = self.member(recipe, size.head)?;
        let target = args.target(size, self.format);
        if let Some(target) = &target {
            let output = || OutputFile::create(target, args.overwrite.force);
            let file = || RecipeFile::new(recipe, size.head, teacher, student);
            match self.format {
                Format::Recipe => output()?.write(&file()?.to_json()?)?,
                Format::Hf => self.write_folder(target, recipe, size, file()?)?,
                Format::Gguf => self.write_gguf(target, recipe, size, (&member, &config))?,
                Format::Mergekit => {
                    let yaml = self.mergekit(recipe, &member, &config)?;
                    output()?.write(yaml.as_bytes())?;
                }
            }
        }
        let tie = if teacher.config().tied && !config.tied {
            "; embedding and head come from different models, so both are stored"
        } else {
            ""
        };
        args.print_size(target.as_deref(), size, tie);
        Ok(())
    }

    fn write_folder(
        &self,
        target: &Path,
        recipe: &Recipe,
        size: &Size,
        mut file: RecipeFile,
    ) -> anyhow::Result<()> {
        let Self { args, teacher, .. } = self;
        let (member, config) = self.member(recipe, size.head)?;
        let out = OutputFolder::create(target, args.overwrite.force)?;
        let format = self.weights_format(Some(serde_json::to_string(recipe)?));
        file.files = write_weights(out.path(), &member, self, &format)?;
        out.write(RECIPE, &file.to_json()?)?;
        out.write("README.md", self.card(recipe, &config, size).as_bytes())?;
        teacher.describe_in(&out, &config)?;
        out.commit()?;
        Ok(())
    }

    fn write_gguf(
        &self,
        target: &Path,
        recipe: &Recipe,
        size: &Size,
        (member, config): (&Checkpoint<'_>, &ModelConfig),
    ) -> anyhow::Result<()> {
        let mut conversion = Conversion::new(member, config, self.args.dtype.0)?;
        let teacher = self.args.family.teacher.file_name().unwrap_or_default().to_string_lossy();
        let name = format!("{teacher} with {} layers", config.n_layers());
        name_gguf(&mut conversion, &name, &self.teacher, config)?;
        describe_recipe(&mut conversion.metadata, recipe, size.head)?;
        if recipe.layers.iter().all(|source| source.place().0 == Owner::Student) {
            plan_to_metadata(&self.plan, &mut conversion.metadata);
        }
        for warning in &conversion.notes {
            note(&format!("{}: {warning}", target.display()));
        }
        write_conversion(OutputFile::create(target, self.args.overwrite.force)?, &conversion, self)
    }

    fn mergekit(
        &self,
        recipe: &Recipe,
        member: &Checkpoint<'_>,
        config: &ModelConfig,
    ) -> anyhow::Result<String> {
        let precision = self.precision.unwrap_or(Precision::of_checkpoint(member));
        let family = mergekit::Family {
            teacher: &std::path::absolute(self.teacher.path())?,
            student: &std::path::absolute(self.student.path())?,
            config: self.teacher.config(),
            dtype: precision.name(),
        };
        family.to_yaml(recipe, config)
    }

    fn card(&self, recipe: &Recipe, config: &ModelConfig, size: &Size) -> String {
        let FamilyArgs { teacher, student, .. } = &self.args.family;
        let layers: Vec<String> = size.patch.layers().iter().map(ToString::to_string).collect();
        let which = match layers.as_slice() {
            [] => "--k 0".to_owned(),
            layers => format!("--patched {}", layers.join(",")),
        };
        let command = format!(
            "boomerang patch --teacher {} --student {} {which} --out DIR",
            teacher.display(),
            student.display()
        );
        let card = Card {
            teacher,
            student,
            recipe,
            is_tied: config.tied,
            n_params: size.n_params,
            n_bytes: size.n_bytes,
            command: &command,
        };
        card.to_markdown()
    }
}

impl Sources for Patching<'_> {
    fn find(&self, bytes: &[u8]) -> Option<(&File, u64)> {
        self.teacher.find(bytes).or_else(|| self.student.find(bytes))
    }
}
