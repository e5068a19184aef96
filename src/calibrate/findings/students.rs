//! How many evaluations does a teacher need to match its student?

use serde::Serialize;

use super::{
    Material,
    measured::{Measured, Pricer},
    variants::{Rival, rivals},
};
use crate::{
    planner::{Plan, Predictions, ScoreEstimate},
    units::Nfe,
};

/// A student's plan against its teacher.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StudentMatch {
    /// The student's plan.
    pub plan: Plan,
    /// Its evaluations.
    pub nfe: Nfe,
    /// Its score.
    pub score: ScoreEstimate,
    /// The teacher.
    pub teacher: String,
    /// The teacher's plan of fewest evaluations that scores as high; none if no plan of it does.
    pub teacher_plan: Option<Plan>,
    /// That plan's evaluations.
    pub teacher_nfe: Option<Nfe>,
}

/// A teacher's best score within each number of evaluations.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct TeacherCurve {
    /// The teacher.
    pub model: String,
    /// Evaluations and best predicted score, each higher than the one before.
    pub points: Vec<(Nfe, f64)>,
}

/// Students and what they are held against.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Students {
    /// One for each measured plan of a student.
    pub matches: Vec<StudentMatch>,
    /// One for each teacher.
    pub teachers: Vec<TeacherCurve>,
}

/// Holds every plain plan of a distilled model against the undistilled model before it in the family's
/// order, which is its teacher by `models.toml`; none if there are no students.
pub fn students(
    plans: &[Measured<'_>],
    material: &Material<'_>,
    pricer: &Pricer<'_>,
) -> Option<Students> {
    let predictions = Predictions::new(material.family, &material.profile.cells);
    let rivals = rivals(material, pricer, &predictions, material.profile.size);
    let mut matches: Vec<StudentMatch> = (plans.iter())
        .filter(|plan| plan.is_distilled && plan.plan().is_plain())
        .filter_map(|plan| student_match(plan, material, &rivals))
        .collect();
    matches.sort_by_key(|m| (pricer.rank(&m.plan.model.0), m.nfe));
    let mut teachers: Vec<TeacherCurve> = Vec::new();
    for m in &matches {
        if !teachers.iter().any(|curve| curve.model == m.teacher) {
            teachers.push(teacher_curve(&m.teacher, &rivals));
        }
    }
    (!matches.is_empty()).then_some(Students { matches, teachers })
}

fn student_match(
    plan: &Measured<'_>,
    material: &Material<'_>,
    rivals: &[Rival],
) -> Option<StudentMatch> {
    let cards = &material.family.models;
    let place = cards.iter().position(|card| card.id == plan.plan().model)?;
    let teacher = &cards[..place].iter().rev().find(|card| !card.distilled)?.id;
    let as_good = (rivals.iter())
        .filter(|rival| rival.plan.model == *teacher && rival.mean >= plan.sample.mean)
        .min_by(|a, b| a.nfe.cmp(&b.nfe).then(b.mean.total_cmp(&a.mean)));
    Some(StudentMatch {
        plan: plan.plan().clone(),
        nfe: plan.price.nfe,
        score: plan.sample.estimate(),
        teacher: teacher.0.clone(),
        teacher_plan: as_good.map(|rival| rival.plan.clone()),
        teacher_nfe: as_good.map(|rival| rival.nfe),
    })
}

fn teacher_curve(teacher: &str, rivals: &[Rival]) -> TeacherCurve {
    let mut own: Vec<&Rival> = (rivals.iter())
        .filter(|rival| rival.plan.model.0 == teacher)
        .collect();
    own.sort_by(|a, b| a.nfe.cmp(&b.nfe).then(b.mean.total_cmp(&a.mean)));
    let mut points: Vec<(Nfe, f64)> = Vec::new();
    for rival in own {
        if points.last().is_none_or(|(_, best)| rival.mean > *best) {
            points.push((rival.nfe, rival.mean));
        }
    }
    TeacherCurve {
        model: teacher.to_owned(),
        points,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        calibrate::findings::{
            fixture::{cell, material, profile},
            measured::measured,
        },
        catalog::SamplerKind,
        planner::test_family::family,
    };

    #[test]
    fn the_teacher_is_asked_for_its_fewest_evaluations_that_score_as_high() {
        let student = |steps, score| {
            let mut cell = cell("large", steps, score);
            cell.plan.sampler = SamplerKind::Lcm;
            cell.plan.guidance_scale = 1.0;
            cell
        };
        let cells = [
            cell("small", 2, 0.3),
            cell("small", 8, 0.7),
            student(1, 0.49),
            student(2, 0.9),
        ];
        let mut family = family();
        family.models[1].distilled = true;
        let profile = profile(&cells);
        let material = material(&family, &profile);
        let pricer = Pricer::new(&material);
        let plans = measured(&pricer, &profile.cells, material.objective);
        let students = students(&plans, &material, &pricer).unwrap();
        let nfe: Vec<_> = students
            .matches
            .iter()
            .map(|m| (m.nfe, m.teacher_nfe))
            .collect();
        assert_eq!(
            nfe,
            [(1, Some(8)), (2, None)],
            "four guided steps reach 0.49, none 0.9"
        );
        assert_eq!(students.teachers[0].points.first(), Some(&(4, 0.3)));
    }
}
