//! Are bad profiles refused, and good ones read as they were written?

use super::*;

fn profile() -> Profile {
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
            evaluator_digest: "sha256:bb".into(),
            command: "goldilocks calibrate quality".into(),
        },
        cmmd_bandwidth: 10.0,
        anchor: Anchor {
            model: model.clone(),
            sampler: SamplerKind::Ddim,
            steps: 1,
            guidance_scale: 1.0,
            cmmd: 0.3,
        },
        reference: References::default(),
        ranker_digest: None,
        rush: Vec::new(),
        held_out: Vec::new(),
        cells: vec![Cell {
            plan: Plan::plain(model, SamplerKind::Ddim, 4, 3.0, "64x64".parse().unwrap()),
            n: 8,
            alignment: score,
            fidelity: score,
            balanced: score,
            cmmd: 0.1,
            frechet: 90.0,
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
    let faults: [(&str, Edit); 7] = [
        ("cmmd_bandwidth", |p| p.cmmd_bandwidth = 0.0),
        ("anchor.cmmd", |p| p.anchor.cmmd = -1.0),
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
