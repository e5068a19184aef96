//! The section on students: evaluations for the same score.

use maud::html;

use super::{
    parts::{self, Section, color},
    plot::{Axis, Dot, Key, Layer, Plot},
    scale::Scale,
};
use crate::calibrate::findings::{
    Findings,
    students::{StudentMatch, Students},
};

/// Students against their teachers; absent if there are none.
pub(super) fn section(findings: &Findings) -> Option<Section> {
    let students = findings.students.as_ref()?;
    let ratio = |m: &StudentMatch| Some(f64::from(m.teacher_nfe?) / f64::from(m.nfe));
    let ratios: Vec<f64> = students.matches.iter().filter_map(ratio).collect();
    let least = ratios.iter().copied().fold(f64::INFINITY, f64::min);
    let most = ratios.iter().copied().fold(0.0, f64::max);
    let unmatched = students.matches.len() - ratios.len();
    let body = html! {
        p {
            @if !ratios.is_empty() {
                "For the score of a student, its teacher needs " strong { (parts::digits(least)) " to " (parts::digits(most)) " times" } " as many evaluations. "
            }
            @if unmatched > 0 { (parts::count(unmatched, "plan of a student scores", "plans of students score")) " higher than any plan of the teacher." }
        }
        (parts::plot(&figure(findings, students), "Lines are the teachers\u{2019} best score within a number of evaluations, step counts between measured ones included; points are the students with one standard error."))
        (parts::open_table(&["student", "#evaluations", "#score", "teacher\u{2019}s cheapest plan as good", "#evaluations", "#ratio"], &rows(&students.matches)))
    };
    Some(Section {
        id: "students",
        title: "Few-step students against their teachers",
        body,
    })
}

fn rows(matches: &[StudentMatch]) -> Vec<Vec<String>> {
    let none = || "\u{2013}".to_owned();
    let row = |m: &StudentMatch| {
        vec![
            parts::plan(&m.plan),
            m.nfe.to_string(),
            parts::score(m.score),
            (m.teacher_plan.as_ref())
                .map_or_else(|| format!("no plan of {}", m.teacher), parts::plan),
            m.teacher_nfe.map_or_else(none, |nfe| nfe.to_string()),
            (m.teacher_nfe).map_or_else(none, |nfe| {
                format!("{:.1}", f64::from(nfe) / f64::from(m.nfe))
            }),
        ]
    };
    matches.iter().map(row).collect()
}

fn figure(findings: &Findings, students: &Students) -> Plot {
    let (mut layers, mut legend) = (Vec::new(), Vec::new());
    for curve in &students.teachers {
        let points = curve
            .points
            .iter()
            .map(|(nfe, score)| (f64::from(*nfe), *score));
        layers.push(Layer::Steps(
            color(findings, &curve.model),
            points.collect(),
        ));
        legend.push(Key {
            kind: "line",
            color: color(findings, &curve.model),
            label: curve.model.clone(),
        });
    }
    for of_model in students
        .matches
        .chunk_by(|a, b| a.plan.model == b.plan.model)
    {
        let id = &of_model[0].plan.model.0;
        let dot = |m: &StudentMatch| Dot {
            x: f64::from(m.nfe),
            y: m.score.mean,
            error: Some(m.score.standard_error),
            title: format!("{}: {}", parts::plan(&m.plan), parts::score(m.score)),
        };
        layers.push(Layer::Dots(
            "dot",
            color(findings, id),
            of_model.iter().map(dot).collect(),
        ));
        legend.push(Key {
            kind: "dot",
            color: color(findings, id),
            label: id.clone(),
        });
    }
    let teachers = students.teachers.iter().flat_map(|curve| &curve.points);
    let nfe = students.matches.iter().map(|m| m.nfe);
    let x = Scale::log(
        teachers
            .clone()
            .map(|(nfe, _)| *nfe)
            .chain(nfe)
            .map(f64::from),
    );
    let scores = students.matches.iter().map(|m| m.score.mean);
    Plot {
        id: "students-nfe".into(),
        title: "Score by network evaluations, students and teachers".into(),
        description: "Steps for teachers, points for students; the table below has the numbers."
            .into(),
        x: Axis {
            label: "network evaluations of one picture".into(),
            scale: x,
        },
        y: Axis {
            label: findings.score_name().into(),
            scale: Scale::linear(teachers.map(|(_, score)| *score).chain(scores)),
        },
        layers,
        legend,
        height: 300.0,
    }
}
