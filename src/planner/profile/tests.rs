//! Are bad profiles refused, and good ones read as they were written?

use super::*;

pub(in crate::planner) fn profile() -> Profile {
    let score = ScoreEstimate {
        mean: 0.5,
        standard_error: 0.02,
    };
    let model = ModelId("tiny".into());
    Profile {
        version: PROFILE_VERSION,
        family: "toy".into(),
        kind: ProfileKind::Measured,
        weights_digest: "sha256:aa".into(),
        size: "64x64".parse().unwrap(),
        provenance: Provenance {
            commit: "abc".into(),
            date: "2026-01-01".into(),
            n_captions: 8,
            n_replicates: 2,
            evaluator_digest: Some("sha256:bb".into()),
            prompts_digest: None,
            command: "goldilocks calibrate quality".into(),
        },
        cmmd_bandwidth: Some(10.0),
        anchor: Anchor {
            model: model.clone(),
            sampler: SamplerKind::Ddim,
            steps: 1,
            guidance_scale: 1.0,
            cmmd: Some(0.3),
            distance: None,
        },
        dearest: None,
        reference: References::default(),
        ranker_digest: None,
        rush: Vec::new(),
        held_out: Vec::new(),
        precision: None,
        cells: vec![Cell {
            plan: Plan::plain(model, SamplerKind::Ddim, 4, 3.0, "64x64".parse().unwrap()),
            n: 8,
            alignment: score,
            fidelity: score,
            balanced: score,
            cmmd: Some(0.1),
            frechet: Some(90.0),
            distance: None,
            replicates: Replicates {
                alignment: vec![0.48, 0.5312],
                fidelity: vec![0.51, 0.49],
            },
        }],
    }
}

fn read(edit: impl FnOnce(&mut Profile)) -> Result<Profile, ProfileError> {
    let mut profile = profile();
    edit(&mut profile);
    Profile::from_json(&serde_json::to_string(&profile).unwrap(), "sha256:aa")
}

#[test]
fn a_profile_is_read_as_it_was_written() {
    assert_eq!(read(|_| ()).unwrap(), profile());
}

#[test]
fn a_profile_for_other_weights_is_refused_and_says_how_to_measure_again() {
    let message = read(|p| p.weights_digest = "sha256:cc".into())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("sha256:cc") && message.contains("sha256:aa"),
        "{message}"
    );
    assert!(
        message.contains("goldilocks calibrate quality --family toy"),
        "{message}"
    );
}

#[test]
fn a_later_version_is_named_even_if_its_fields_are_unknown() {
    let error = Profile::from_json(r#"{"version": 99, "novel": true}"#, "sha256:aa");
    assert!(
        matches!(error, Err(ProfileError::Version { found: 99 })),
        "{error:?}"
    );
}

#[test]
fn unknown_fields_are_refused() {
    let mut json = serde_json::to_value(profile()).unwrap();
    json["cells"][0]["novel"] = true.into();
    let error = Profile::from_json(&json.to_string(), "sha256:aa").unwrap_err();
    assert!(error.to_string().contains("novel"), "{error}");
}

#[test]
fn numbers_that_contradict_each_other_are_refused_with_their_place() {
    type Edit = fn(&mut Profile);
    let faults: [(&str, Edit); 9] = [
        ("cmmd_bandwidth", |p| p.cmmd_bandwidth = Some(0.0)),
        ("anchor.cmmd", |p| p.anchor.cmmd = Some(-1.0)),
        ("cells[0].frechet", |p| p.cells[0].frechet = None),
        ("dearest", |p| {
            p.kind = ProfileKind::SelfReference;
            p.anchor.distance = Some(0.5);
        }),
        ("cells[0].alignment", |p| p.cells[0].alignment.mean = 1.5),
        ("cells[0].fidelity", |p| {
            p.cells[0].replicates.fidelity.truncate(1);
        }),
        ("cells[0]", |p| p.cells[0].plan.steps = 0),
        ("cells[0]", |p| p.cells[0].plan.guidance_scale = 0.0),
        ("cells[1]", |p| p.cells.push(p.cells[0].clone())),
    ];
    for (place, edit) in faults {
        let message = read(edit).unwrap_err().to_string();
        assert!(message.starts_with(&format!("{place} of")), "{message}");
    }
}

/// The profile, measured against the family's own dearest plan.
fn against_itself(profile: &mut Profile) {
    profile.kind = ProfileKind::SelfReference;
    profile.cmmd_bandwidth = None;
    profile.anchor.cmmd = None;
    profile.anchor.distance = Some(0.9);
    profile.dearest = Some(profile.cells[0].plan.clone());
    profile.provenance.evaluator_digest = None;
    profile.provenance.prompts_digest = Some("sha256:dd".into());
    for cell in &mut profile.cells {
        (cell.cmmd, cell.frechet, cell.distance) = (None, None, Some(0.45));
    }
}

#[test]
fn a_profile_against_the_dearest_plan_needs_distances_and_nothing_of_an_evaluator() {
    let mut expected = profile();
    against_itself(&mut expected);
    assert_eq!(read(against_itself).unwrap(), expected);
    let json = serde_json::to_string(&expected).unwrap();
    assert!(json.contains(r#""kind":"self""#), "{json}");
    assert!(
        !json.contains("cmmd") && !json.contains("frechet"),
        "{json}"
    );
    let fault = read(|p| {
        against_itself(p);
        p.cells[0].distance = None;
    });
    let message = fault.unwrap_err().to_string();
    assert!(message.starts_with("cells[0].distance of"), "{message}");
}

#[test]
fn the_profile_from_the_literature_is_named_as_such_and_never_planned_with() {
    let text = include_str!("../../../calibration/literature.json");
    let error = Profile::from_json(text, "sha256:aa").unwrap_err();
    assert!(matches!(error, ProfileError::Literature), "{error}");
    assert!(error.to_string().contains("--self"), "{error}");
}
