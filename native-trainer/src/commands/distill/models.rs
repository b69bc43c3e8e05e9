//! Teacher and student of a run: what they are before a weight is read, and how they are read.

use std::sync::Arc;

use boomerang_core::checkpoint::Checkpoint;
use boomerang_core::config::ModelConfig;
use boomerang_core::distill::{
    DistillSettings, Distiller, Initialization, Levers, Part, StepShape, TeacherSource,
};
use boomerang_core::model::LanguageModel;
use boomerang_core::plan::LayerPlan;
use boomerang_core::prune::{Family, Student};
use burn::tensor::Device;

use super::{DistillArgs, InitChoice};
use crate::device;
use crate::exit::{Exit, OrExit as _};
use crate::files::{ModelFolder, require_next_token};
use crate::progress::note;
use crate::train::run_folder::Saved;
use crate::train::teacher::streamed_teacher;

/// The models of a run, opened but not read.
pub(super) struct Models {
    pub(super) teacher: Arc<ModelFolder>,
    /// `None`: pruned from the teacher.
    student: Option<ModelFolder>,
    pub(super) plan: LayerPlan,
    pub(super) of_student: ModelConfig,
}

impl Models {
    /// Opens both and checks by their configs that they belong together.
    ///
    /// # Errors
    /// When they do not, or one cannot be distilled.
    pub(super) fn open(args: &DistillArgs) -> anyhow::Result<Self> {
        let teacher = ModelFolder::open(&args.teacher)?;
        let config = teacher.config();
        require_next_token(config, "distillation needs a model that predicts the next token")?;
        let student = args.student.as_ref().map(|path| ModelFolder::open(path)).transpose()?;
        let (plan, of_student) = match &student {
            Some(folder) => {
                folder.check_teacher(&teacher, args.allow_mismatch)?;
                (folder.required_plan()?, folder.config().clone())
            }
            None => {
                let plan = args.keep.plan(config.n_layers())?;
                let of_student = config.keeping(&plan.kept());
                (plan, of_student)
            }
        };
        Family::check(config, &of_student, &plan).or_exit(Exit::Unusable)?;
        Ok(Self { teacher: Arc::new(teacher), student, plan, of_student })
    }

    /// Notes that a tied teacher's matrix is trained, after which every size needs two of them.
    pub(super) fn propose_frozen_ends(&self, args: &DistillArgs, frozen: &[Part]) {
        let is_copied = self.student.is_none() && matches!(args.init, InitChoice::Copy);
        let is_kept = [Part::Embedding, Part::Head].iter().all(|part| frozen.contains(part));
        if self.teacher.config().tied && is_copied && !is_kept {
            note(
                "the teacher has one matrix as embedding and head, which the student trains: sizes in \
                 between need both, or the teacher's alone (patch --head teacher). With --freeze \
                 embedding,head they share it and stay smaller than the teacher",
            );
        }
    }

    /// The models and batches of a step.
    pub(super) fn shape<'a>(
        &'a self,
        args: &DistillArgs,
        frozen: &'a [Part],
        seq: usize,
        device: &Device,
    ) -> StepShape<'a> {
        StepShape {
            student: &self.of_student,
            teacher: Some(self.teacher.config()),
            frozen,
            n_sequences: args.rows,
            seq,
            composes: *device != device::cpu(),
            patch_probability: args.patch_probability,
        }
    }

    /// The teacher as a run reads it, and the student at its start.
    ///
    /// # Errors
    /// When weights cannot be read.
    pub(super) fn read(
        &self,
        args: &DistillArgs,
        levers: &Levers,
        device: &Device,
    ) -> anyhow::Result<(TeacherSource, Student)> {
        let copies = self.student.is_none() && args.init == InitChoice::Copy;
        let (source, pruned) = match levers.streams_teacher {
            true => {
                let ends = self.teacher.ends(device)?;
                let pruned = copies.then(|| self.teacher.pruned(&ends, &self.plan, device));
                (streamed_teacher(&self.teacher, ends, device)?, pruned.transpose()?)
            }
            false => {
                let teacher = self.teacher.teacher(device)?;
                let pruned = copies.then(|| teacher.prune(&self.plan));
                (teacher.into(), pruned.transpose()?)
            }
        };
        let student = match (pruned, &self.student) {
            (Some(pruned), _) => pruned,
            (None, Some(folder)) if args.init == InitChoice::Copy => folder.student(device)?,
            _ => {
                let start = Initialization::HuggingFace;
                let model = LanguageModel::random(&self.of_student, start, args.seed, device);
                Student::new(model, self.plan.clone())?
            }
        };
        Ok((source, student))
    }

    /// The student of a checkpoint.
    ///
    /// # Errors
    /// When its weights cannot be read.
    pub(super) fn saved_student(&self, saved: &Saved, device: &Device) -> anyhow::Result<Student> {
        let name = "the checkpoint's model.safetensors".to_owned();
        let model = Checkpoint::parse([(name, &*saved.model)])
            .and_then(|weights| weights.read_model(&self.of_student, device))
            .or_exit(Exit::Unusable)?;
        Ok(Student::new(model, self.plan.clone())?)
    }

    /// The teacher alone, for a student that comes from a checkpoint.
    ///
    /// # Errors
    /// When weights cannot be read.
    pub(super) fn read_teacher(
        &self,
        levers: &Levers,
        device: &Device,
    ) -> anyhow::Result<TeacherSource> {
        match levers.streams_teacher {
            true => streamed_teacher(&self.teacher, self.teacher.ends(device)?, device),
            false => Ok(self.teacher.teacher(device)?.into()),
        }
    }
}

/// The student and its teacher at `step`, with levers.
///
/// # Errors
/// When teacher layers are patched into the student, and the teacher is not in memory.
pub(super) fn distiller(
    args: &DistillArgs,
    (teacher, student): (TeacherSource, Student),
    settings: DistillSettings,
    step: usize,
    levers: Levers,
) -> anyhow::Result<Distiller> {
    let distiller = Distiller::new(teacher, student, settings, step)
        .with_levers(levers)
        .with_patching(args.patching())?;
    Ok(match levers.optimizer_on_host {
        true => distiller.with_optimizer_on(device::cpu()),
        false => distiller,
    })
}
