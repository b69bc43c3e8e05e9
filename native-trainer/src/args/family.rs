//! A teacher, a student, and the order of patching.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use boomerang_core::config::ModelConfig;
use boomerang_core::model::WeightFormat;
use boomerang_core::plan::{LayerPlan, OrderFile, PatchOrder};
use boomerang_core::prune::{Family, FamilyError, Student};
use burn::tensor::Device;
use clap::Args;

use crate::exit::Exit;
use crate::files::{self, ModelFolder};

/// What `--order` asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OrderChoice {
    /// Found by measuring members on calibration texts.
    Auto,
    Given(PatchOrder),
}

/// A teacher, a student, and the order in which the student is patched.
#[derive(Args, Clone, Debug)]
pub struct FamilyArgs {
    /// Teacher: model folder (config.json, model.safetensors) or Hub id
    #[arg(long, alias = "teacher_model_name_or_path")]
    pub teacher: PathBuf,
    /// Student: model folder (with student_config.json) or Hub id
    #[arg(long, alias = "student_model_name_or_path")]
    pub student: PathBuf,
    /// Teacher layers that the student was made from, if it has no student_config.json (DistilGPT2
    /// and DistilBERT: 0,2,4,7,9,11)
    #[arg(long, value_delimiter = ',', value_name = "LAYERS")]
    pub kept: Vec<usize>,
    /// Patching order: first, last, student layers such as 3,0,2,1, an order.json of `boomerang
    /// search`, or auto: searched on --calibration texts [default: the paper's best for the
    /// architecture]
    #[arg(long, value_parser = parse_order_choice)]
    pub order: Option<OrderChoice>,
    /// Accept a student that was made from another teacher, or that has another tokenizer
    #[arg(long)]
    pub allow_mismatch: bool,
    /// The reference implementation's name for --order first
    #[arg(long = "patch_first_k_layers", hide = true, conflicts_with = "order")]
    pub from_first: bool,
}

impl FamilyArgs {
    /// The plan that made the student: its own, or the one of `--kept`.
    ///
    /// # Errors
    /// When there is neither, the two differ, or the plan is for another number of layers.
    pub fn plan(
        &self,
        own: Option<LayerPlan>,
        n_teacher_layers: usize,
        n_student_layers: usize,
    ) -> anyhow::Result<LayerPlan> {
        let asked = (!self.kept.is_empty())
            .then(|| LayerPlan::keep(&self.kept, n_teacher_layers))
            .transpose()?;
        let plan = match (own, asked) {
            (Some(own), Some(asked)) if own != asked => {
                return Err(Exit::Usage.error(format!(
                    "{} was made from the teacher layers {:?}, --kept has {:?}; omit --kept",
                    self.student.display(),
                    own.kept(),
                    self.kept
                )));
            }
            (own, asked) => own.or(asked),
        };
        let plan = plan.ok_or_else(|| {
            Exit::Unusable.error(format!(
                "{} does not name the teacher layers that its {n_student_layers} layers were made \
                 from (a folder has them in student_config.json, a GGUF file in \
                 boomerang.copied_teacher_layers); name them with --kept",
                self.student.display()
            ))
        })?;
        let (found, expected) = (n_student_layers, plan.n_student_layers());
        if found != expected {
            return Err(FamilyError::StudentLayers { found, expected })
                .with_context(|| self.student.display().to_string());
        }
        if plan.n_teacher_layers() != n_teacher_layers {
            return Err(Exit::Unusable.error(format!(
                "{} is not a student of {}: its plan is for a teacher of {} layers, this one has \
                 {n_teacher_layers}",
                self.student.display(),
                self.teacher.display(),
                plan.n_teacher_layers(),
            )));
        }
        Ok(plan)
    }

    /// As [`FamilyArgs::plan`], of these two folders, which are checked to belong together.
    ///
    /// # Errors
    /// As [`FamilyArgs::plan`], when the student's own plan cannot be read, or when it was made
    /// from another teacher.
    pub fn plan_of(
        &self,
        teacher: &ModelFolder,
        student: &ModelFolder,
    ) -> anyhow::Result<LayerPlan> {
        let plan =
            self.plan(student.plan()?, teacher.config().n_layers(), student.config().n_layers())?;
        // Models of different shapes are refused later, with the number that differs.
        if teacher.config().difference(student.config()).is_none() {
            student.check_teacher(teacher, self.allow_mismatch)?;
        }
        Ok(plan)
    }

    /// Teacher and student with their matrices in this format, checked to belong together.
    ///
    /// # Errors
    /// Names the folder and what does not fit.
    pub fn open(
        &self,
        teacher: &ModelFolder,
        format: WeightFormat,
        device: &Device,
    ) -> anyhow::Result<Family> {
        let folder = ModelFolder::open(&self.student)?;
        let plan = self.plan_of(teacher, &folder)?;
        let student = Student::new(folder.model_as(format, device)?, plan)?;
        Family::new(teacher.teacher_as(format, device)?, student).map_err(|error| {
            anyhow::Error::new(error).context(format!(
                "{} is not a student of {}",
                self.student.display(),
                self.teacher.display()
            ))
        })
    }

    pub fn order(&self, config: &ModelConfig) -> PatchOrder {
        self.asked_order().unwrap_or_else(|| config.architecture.default_order())
    }

    /// The order that was asked for; `None` leaves it to the architecture, or to a search.
    pub fn asked_order(&self) -> Option<PatchOrder> {
        match &self.order {
            _ if self.from_first => Some(PatchOrder::First),
            Some(OrderChoice::Given(order)) => Some(order.clone()),
            Some(OrderChoice::Auto) | None => None,
        }
    }

    /// Whether the order is to be searched.
    pub fn order_is_auto(&self) -> bool {
        !self.from_first && self.order == Some(OrderChoice::Auto)
    }
}

fn parse_order_choice(text: &str) -> Result<OrderChoice, String> {
    match text {
        "auto" => Ok(OrderChoice::Auto),
        text => parse_order(text).map(OrderChoice::Given),
    }
}

pub fn parse_order(text: &str) -> Result<PatchOrder, String> {
    match text {
        "first" => Ok(PatchOrder::First),
        "last" => Ok(PatchOrder::Last),
        path if path.ends_with(".json") => {
            let text = files::read_text(Path::new(path)).map_err(|error| error.to_string())?;
            let file = OrderFile::from_json(&text);
            file.map(OrderFile::into_order).map_err(|error| format!("{path}: {error}"))
        }
        _ => {
            let layers: Result<Vec<usize>, _> =
                text.split(',').map(|layer| layer.trim().parse()).collect();
            layers.map(PatchOrder::Found).map_err(|_| {
                "expected first, last, each student layer once, e.g. 3,0,2,1, or an order.json"
                    .to_owned()
            })
        }
    }
}
