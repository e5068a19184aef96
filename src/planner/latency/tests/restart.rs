//! Does what was learned survive a restart, and is what cannot be used refused?

use serde_json::{Value, json};

use super::{machine::table, *};

fn learned() -> (LatencyModel, Machine) {
    let (mut model, mut machine) = fresh(3);
    machine.slowness = 1.4;
    run(&mut model, &mut machine, 300);
    (model, machine)
}

#[test]
fn predictions_after_a_restart_are_those_before_it_to_the_last_bit() {
    let (mut model, mut machine) = learned();
    let text = serde_json::to_string(&model).unwrap();
    let mut restored: LatencyModel = serde_json::from_str(&text).unwrap();
    assert_eq!(restored, model);
    for _ in 0..50 {
        let finished = machine.draws_any();
        let sum = model.sum(&finished).unwrap();
        assert_eq!(restored.sum(&finished), Some(sum));
        let queued = Millis(7.0);
        assert_eq!(restored.estimate(sum, queued), model.estimate(sum, queued));
        // What is learned from here on is the same too.
        model.learn(&finished);
        restored.learn(&finished);
    }
    assert_eq!(restored, model);
}

#[test]
fn a_noisy_probe_at_the_next_start_does_not_undo_what_requests_taught() {
    let (mut model, mut machine) = learned();
    let (before, noisy) = (worst_entry(&model), table(&mut machine, 0.3));
    model.probed(noisy.clone());
    assert_eq!(model.speed_factor(), 1.0);
    let (after, of_probe) = (worst_entry(&model), worst_entry(&LatencyModel::new(noisy)));
    assert!(of_probe > 0.25, "the probe is off by {of_probe}");
    assert!(after < before + 0.3 * of_probe, "{before}, then {after}");
    // At the probe's speed of 1, whatever it was before.
    machine.slowness = 1.0;
    let score = pooled(run(&mut model, &mut machine, 100));
    assert!(score.coverage() > 0.9, "coverage {}", score.coverage());
}

#[test]
fn a_state_that_is_damaged_or_of_an_earlier_version_is_refused() {
    let refused = |change: &dyn Fn(&mut Value)| {
        let mut json = serde_json::to_value(learned().0).unwrap();
        change(&mut json);
        serde_json::from_value::<LatencyModel>(json).is_err()
    };
    assert!(!refused(&|_| {}));
    assert!(refused(&|json| json["errors"] = json!([])));
    assert!(refused(&|json| json["errors"][0]["ms"] = json!(-1.0)));
    assert!(refused(&|json| json["spans"]["errors"] = json!([])));
    assert!(refused(
        &|json| json["speed"]["followers"][2]["loss"] = json!(-1.0)
    ));
    assert!(refused(&|json| json["overhead"] = json!(-1.0)));
    assert!(refused(&|json| json["recent"] = json!(vec![0.0; 6])));
    assert!(refused(&|json| json["phases"][0]["ms"] = json!(-1.0)));
    assert!(refused(&|json| json["phases"][0]["weight"] = json!(0.0)));
    let earlier = json!({
        "phases": { "text": [{ "family": "toy", "ms": 0.4 }], "step": [], "decode": [],
                    "encode": [], "rank": [] },
        "log_speed": 0.1, "errors": [0.0, 0.1], "recent": [0.1], "n_observed": 2,
    });
    assert!(serde_json::from_value::<LatencyModel>(earlier).is_err());
}
