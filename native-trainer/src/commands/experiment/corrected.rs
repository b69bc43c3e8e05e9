//! Models corrected at their seams.

use boomerang_core::correct::{Corrected, Correction, correct};
use boomerang_core::distill::Batch;
use boomerang_core::estimate::mean;
use boomerang_core::evaluate::Stack;
use boomerang_core::model::LanguageModel;
use futures_lite::future::block_on;

use super::models::{LineMember, Models};
use crate::parallel::{in_parallel, n_workers};

impl Models {
    /// Corrects the members of a line, each at its seams; a sentence about how much is corrected.
    pub(super) fn correct(
        &mut self,
        line: usize,
        correction: Correction,
        batches: &[Batch],
    ) -> anyhow::Result<Option<String>> {
        let of_line = |member: &&LineMember| member.line == line && !member.seams.is_empty();
        let members: Vec<&LineMember> = self.members.iter().filter(of_line).collect();
        let teacher = &self.models[0];
        let models: Vec<&LanguageModel> = self.models.iter().collect();
        let n_workers = n_workers(members.len(), &teacher.device());
        let corrected = in_parallel(members.len(), n_workers, |number| {
            let member = members[number];
            let model = assembled(&member.stack, &models);
            let n_before = model.n_params();
            let corrected = block_on(correct(&model, teacher, &member.seams, correction, batches))?;
            let n_added = corrected.model.n_params() - n_before;
            Ok((corrected, n_added))
        })?;
        let explained: Vec<f64> =
            corrected.iter().flat_map(|(corrected, _)| corrected.explained.clone()).collect();
        let members = self.members.iter_mut();
        let of_line = members.filter(|member| member.line == line && !member.seams.is_empty());
        for (member, (Corrected { model, .. }, n_added)) in of_line.zip(corrected) {
            // Other layers are shared with other members.
            for seam in &member.seams {
                member.stack.layers[seam.state - 1] = (self.models.len(), seam.state - 1);
            }
            member.n_params += n_added;
            self.models.push(model);
        }
        Ok((!explained.is_empty()).then(|| {
            format!(
                "{} seams in all models; their corrections explain {:.1} % of the squared \
                 difference of states on the calibration texts",
                explained.len(),
                100.0 * mean(&explained)
            )
        }))
    }
}

/// The model of a stack.
fn assembled(stack: &Stack, models: &[&LanguageModel]) -> LanguageModel {
    let config = models[stack.embedding].config();
    let tied = config.tied && stack.head == stack.embedding;
    stack.model(models, &config.with_layers(config.layers.clone(), tied))
}

#[cfg(test)]
mod tests {
    use boomerang_core::plan::pruned_seams;

    use super::super::bench::batches;
    use super::*;
    use crate::device::cpu;
    use crate::embedded::EmbeddedFamily;

    #[test]
    fn corrected_members_share_all_layers_but_those_before_their_seams() {
        let embedded = EmbeddedFamily::open(&cpu()).unwrap();
        let models = vec![embedded.teacher.model().clone()];
        let mut all = Models { models, members: Vec::new() };
        let kept = [0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11];
        (0..2).for_each(|line| all.add_kept(line, &kept));
        let batches = batches(&embedded, 7, 4);
        all.correct(1, Correction::Folded, &batches).unwrap();

        let [plain, corrected] = &*all.members else { panic!("{} members", all.members.len()) };
        assert_eq!(plain.seams, pruned_seams(&kept, 12));
        assert_eq!(corrected.n_params, plain.n_params);
        let mut expected = plain.stack.layers.clone();
        expected[3] = (1, 3);
        assert_eq!(corrected.stack.layers, expected);
    }
}
