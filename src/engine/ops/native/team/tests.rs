//! Does a team do every part once, whatever its threads are up to?

use std::{
    panic::catch_unwind,
    sync::{Weak, atomic::AtomicU32},
};

use super::*;

/// Times that a part looks for another one before it gives up.
const PATIENCE: usize = 1_000_000;

/// Runs an operation and checks that every part was done once.
fn expect_each_once(team: &Team, n_parts: usize) {
    let times: Vec<_> = (0..n_parts).map(|_| AtomicU32::new(0)).collect();
    team.run(n_parts, |part| {
        times[part].fetch_add(1, Ordering::Relaxed);
    });
    let mut times = times.iter().map(|times| times.load(Ordering::Relaxed));
    assert!(times.all(|times| times == 1), "{n_parts} parts");
}

/// Whether two parts can be under way at once.
fn works_together(team: &Team) -> bool {
    let n_arrived = AtomicUsize::new(0);
    let n_met = AtomicUsize::new(0);
    team.run(2, |_| {
        n_arrived.fetch_add(1, Ordering::SeqCst);
        let met = (0..PATIENCE).any(|_| {
            thread::yield_now();
            n_arrived.load(Ordering::SeqCst) == 2
        });
        n_met.fetch_add(usize::from(met), Ordering::SeqCst);
    });
    n_met.into_inner() == 2
}

fn wait_until_asleep(team: &Team) {
    while team.shared.sleepers.load(Ordering::SeqCst) < team.workers.len() {
        thread::yield_now();
    }
}

#[test]
fn every_part_of_many_short_operations_is_done_once() {
    for n_threads in [1, 2, 3, 5] {
        let team = Team::new(n_threads);
        for operation in 0..2000 {
            expect_each_once(&team, operation % 23);
        }
    }
}

#[test]
fn workers_that_sleep_are_woken() {
    let team = Team::new(2);
    for _ in 0..100 {
        wait_until_asleep(&team);
        assert!(works_together(&team));
    }
}

#[test]
fn what_the_caller_reads_afterwards_is_what_the_parts_wrote() {
    let team = Team::new(3);
    let mut values = vec![0; 64];
    for round in 1..=1000 {
        let cells: Vec<_> = values.iter_mut().map(Mutex::new).collect();
        team.run(cells.len(), |part| **cells[part].lock().unwrap() += part);
        assert!((0..64).all(|part| values[part] == round * part));
    }
}

#[test]
fn several_callers_share_a_team() {
    let team = Team::new(3);
    thread::scope(|scope| {
        for caller in 0..3 {
            let team = &team;
            scope.spawn(move || (0..1000).for_each(|it| expect_each_once(team, (it + caller) % 9)));
        }
    });
}

#[test]
fn a_part_that_asks_its_own_team_is_alone_and_done() {
    let team = Team::new(2);
    for _ in 0..100 {
        team.run(4, |part| expect_each_once(&team, part + 2));
    }
}

#[test]
fn a_panic_is_the_callers_when_all_is_quiet_and_the_team_works_on() {
    let team = Team::new(2);
    let caller = thread::current().id();
    for on_caller in [true, false, true, false] {
        let n_inside = AtomicUsize::new(0);
        let fault = catch_unwind(AssertUnwindSafe(|| {
            // The worker needs a part of its own for a panic of its own.
            while !works_together(&team) {}
            team.run(1000, |part| {
                n_inside.fetch_add(1, Ordering::SeqCst);
                thread::yield_now();
                let panics = (thread::current().id() == caller) == on_caller;
                n_inside.fetch_sub(1, Ordering::SeqCst);
                assert!(!panics, "part {part}");
            });
        }));
        assert_eq!(n_inside.into_inner(), 0);
        if let Err(payload) = fault {
            let message = payload.downcast_ref::<String>().unwrap();
            assert!(message.starts_with("part "), "{message}");
        } else {
            assert!(!on_caller, "the caller always has a part");
        }
        assert!(team.shared.panic.lock().unwrap().is_none());
        assert!(works_together(&team), "after a panic");
    }
}

#[test]
fn a_team_ends_with_its_owner_whether_it_works_sleeps_or_has_only_begun() {
    let end = |prepare: fn(&Team)| {
        let team = Team::new(3);
        prepare(&team);
        let shared: Weak<Shared> = Arc::downgrade(&team.shared);
        drop(team);
        assert_eq!(shared.strong_count(), 0, "every worker has ended");
    };
    for _ in 0..100 {
        end(|_| ());
        end(|team| expect_each_once(team, 5));
        end(wait_until_asleep);
    }
}
