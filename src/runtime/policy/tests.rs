//! Laws of the policy, and the optimum by brute force.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

const SIZE: ImageSize = ImageSize {
    width: 64,
    height: 64,
};

fn at(ms: f64) -> Moment {
    Moment(Duration::from_secs_f64(ms.max(0.0) / 1e3))
}

/// A picture that needs so many equal steps.
#[derive(Debug, Clone)]
struct Task {
    released: f64,
    due: f64,
    steps: u32,
    model: usize,
    rows: Nfe,
}

fn task() -> impl Strategy<Value = Task> {
    (0_u32..30, 1_u32..80, 1_u32..6, 0_usize..2, 1_u32..3).prop_map(
        |(released, allowed, steps, model, rows)| Task {
            released: f64::from(released),
            due: f64::from(released + allowed),
            steps,
            model,
            rows,
        },
    )
}

/// One millisecond for each row of model 0 and two of model 1, `shared` times as long for a further row.
fn takes(shared: f64) -> impl Fn(StepKey, Nfe) -> Millis {
    move |key, rows| {
        let one = if key.model == 0 { 1.0 } else { 2.0 };
        Millis(one * (1.0 + shared * f64::from(rows - 1)))
    }
}

fn piece(turn: usize, task: &Task, left: u32, time: &impl Fn(StepKey, Nfe) -> Millis) -> Piece {
    let key = StepKey {
        model: task.model,
        size: SIZE,
    };
    Piece {
        due: at(task.due),
        turn: turn as u64,
        kind: PieceKind::Step(key, task.rows),
        rest: time(key, task.rows) * f64::from(left),
        takes: time(key, task.rows),
    }
}

/// Runs the policy to the end; returns when each task was done.
fn run(policy: Policy, tasks: &[Task], most_rows: Nfe, shared: f64) -> Vec<f64> {
    let time = takes(shared);
    let mut left: Vec<u32> = tasks.iter().map(|task| task.steps).collect();
    let mut done = vec![f64::INFINITY; tasks.len()];
    let mut now = 0.0_f64;
    while left.iter().any(|left| *left > 0) {
        let ready: Vec<usize> = (0..tasks.len())
            .filter(|&i| left[i] > 0 && tasks[i].released <= now)
            .collect();
        let pieces: Vec<Piece> = ready
            .iter()
            .map(|&i| piece(i, &tasks[i], left[i], &time))
            .collect();
        let chosen = choose(policy, at(now), &pieces, most_rows, &time);
        if chosen.is_empty() {
            assert!(pieces.is_empty(), "there is work, and none is done");
            let next = (0..tasks.len()).filter(|&i| left[i] > 0);
            now = next
                .map(|i| tasks[i].released)
                .fold(f64::INFINITY, f64::min);
            continue;
        }
        let rows: Nfe = chosen.iter().map(|&place| tasks[ready[place]].rows).sum();
        let key = StepKey {
            model: tasks[ready[chosen[0]]].model,
            size: SIZE,
        };
        now += time(key, rows).0;
        for place in chosen {
            let i = ready[place];
            left[i] -= 1;
            if left[i] == 0 {
                done[i] = now;
            }
        }
    }
    done
}

fn n_in_time(tasks: &[Task], done: &[f64]) -> usize {
    let pairs = tasks.iter().zip(done);
    pairs
        .filter(|(task, done)| **done <= task.due + 1e-6)
        .count()
}

fn search(tasks: &[Task], spans: &[f64], used: u32, now: f64) -> bool {
    used.count_ones() as usize == tasks.len()
        || (0..tasks.len()).any(|i| {
            let free = used & (1 << i) == 0;
            free && now + spans[i] <= tasks[i].due
                && search(tasks, spans, used | 1 << i, now + spans[i])
        })
}

/// Whether tasks that are all there from the start can be done in time in any order at all. One after
/// another is enough: interleaving only makes some of them later.
fn any_order_will_do(tasks: &[Task]) -> bool {
    let time = takes(1.0);
    let spans: Vec<f64> = tasks
        .iter()
        .map(|task| piece(0, task, task.steps, &time).rest.0)
        .collect();
    search(tasks, &spans, 0, 0.0)
}

proptest! {
    #[test]
    fn a_choice_is_within_capacity_of_one_kind_and_without_doubles(
        tasks in prop::collection::vec(task(), 0..12),
        most_rows in 1_u32..9,
        shared in 0.0_f64..1.2,
        now in 0.0_f64..60.0,
    ) {
        for policy in Policy::ALL {
            let time = takes(shared);
            let pieces: Vec<Piece> =
                tasks.iter().enumerate().map(|(i, task)| piece(i, task, task.steps, &time)).collect();
            let chosen = choose(policy, at(now), &pieces, most_rows, &time);
            // Work-conserving: idle only if there is nothing to do.
            prop_assert_eq!(chosen.is_empty(), pieces.is_empty());
            let mut places = chosen.to_vec();
            places.sort_unstable();
            places.dedup();
            prop_assert_eq!(places.len(), chosen.len());
            if let [first, others @ ..] = chosen.as_slice() {
                let rows: Nfe = chosen.iter().map(|&place| tasks[place].rows).sum();
                prop_assert!(others.is_empty() || rows <= most_rows);
                prop_assert!(others.iter().all(|&place| tasks[place].model == tasks[*first].model));
                let lead = policy.urgency(&pieces[*first]);
                prop_assert!(pieces.iter().all(|piece| policy.urgency(piece) >= lead));
            }
        }
    }

    #[test]
    fn nothing_starves(tasks in prop::collection::vec(task(), 1..12), shared in 0.0_f64..1.2) {
        for policy in Policy::ALL {
            prop_assert!(run(policy, &tasks, 8, shared).iter().all(|done| done.is_finite()));
        }
    }

    #[test]
    fn alone_earliest_deadline_is_in_time_whenever_any_order_is(
        tasks in prop::collection::vec(task(), 1..9),
    ) {
        let there: Vec<Task> = tasks.into_iter().map(|task| Task { released: 0.0, ..task }).collect();
        let done = run(Policy::EarliestDeadline, &there, 1, 1.0);
        prop_assert_eq!(n_in_time(&there, &done) == there.len(), any_order_will_do(&there));
    }

    #[test]
    fn sharing_makes_nobody_late_who_is_in_time_alone(
        tasks in prop::collection::vec(task(), 1..12),
        shared in 0.0_f64..1.0,
    ) {
        let there: Vec<Task> = tasks.into_iter().map(|task| Task { released: 0.0, ..task }).collect();
        let alone = run(Policy::EarliestDeadline, &there, 1, shared);
        let together = run(Policy::EarliestDeadline, &there, 16, shared);
        if n_in_time(&there, &alone) == there.len() {
            prop_assert_eq!(n_in_time(&there, &together), there.len());
        }
    }
}

#[test]
fn on_a_processor_nothing_is_shared_and_on_a_gpu_everything() {
    let tasks = [(); 6].map(|()| Task {
        released: 0.0,
        due: 1000.0,
        steps: 3,
        model: 0,
        rows: 2,
    });
    let n_chosen = |shared: f64| {
        let time = takes(shared);
        let pieces: Vec<Piece> = tasks
            .iter()
            .enumerate()
            .map(|(i, task)| piece(i, task, 3, &time))
            .collect();
        choose(Policy::default(), at(0.0), &pieces, 64, &time).len()
    };
    assert_eq!(n_chosen(1.0), 1);
    assert_eq!(n_chosen(0.02), 6);
}

#[test]
fn sharing_stops_where_it_would_make_the_lead_late() {
    let hurried = Task {
        released: 0.0,
        due: 3.3,
        steps: 3,
        model: 0,
        rows: 1,
    };
    let easy = Task {
        due: 1000.0,
        ..hurried.clone()
    };
    let time = takes(0.2);
    let tasks = [easy.clone(), hurried, easy];
    let pieces: Vec<Piece> = tasks
        .iter()
        .enumerate()
        .map(|(i, task)| piece(i, task, 3, &time))
        .collect();
    let chosen = choose(Policy::default(), at(0.0), &pieces, 64, &time);
    assert_eq!(
        chosen.as_slice(),
        [1, 0],
        "the second one would cost 0.2 ms of 0.1 left"
    );
}

#[test]
fn a_prompt_is_encoded_early_where_its_steps_would_be_shared() {
    let key = StepKey {
        model: 0,
        size: SIZE,
    };
    let step = Piece {
        due: at(100.0),
        turn: 0,
        kind: PieceKind::Step(key, 2),
        rest: Millis(20.0),
        takes: Millis(2.0),
    };
    let text = Piece {
        due: at(200.0),
        turn: 1,
        kind: PieceKind::Text(Some((key, 2))),
        rest: Millis(30.0),
        takes: Millis(3.0),
    };
    let lead = |step: Piece, shared: f64| {
        choose(Policy::default(), at(0.0), &[step, text], 64, takes(shared))[0]
    };
    assert_eq!(lead(step, 0.1), 1);
    assert_eq!(lead(step, 1.0), 0, "sharing would save nothing");
    let hurried = Piece {
        due: at(22.0),
        ..step
    };
    assert_eq!(lead(hurried, 0.1), 0, "there is no time for it");
}
