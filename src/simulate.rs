//! What would happen if these requests came? The runtime's own books in virtual time, over the latency model: a day
//! in seconds, on any number of devices, under other policies than the server's.
//!
//! Everything that decides is the real thing (planner, admission, dispatch, review); only the drawing is replaced, by
//! [`machine`], which says what a piece of work takes. [`strategy`] has the policies that the server is compared
//! with, [`oracle`] the one that knows the future.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use crate::{
    catalog::{Family, ModelId},
    load::{
        record::{Answer, Outcome, Record, Refusal},
        trace::{Arrival, Trace},
    },
    planner::{Finished as Learned, LatencyModel, Menus, Objective, PhaseKey, Plan, Ran, Took},
    runtime::{
        JobId, Rules, Stepped, Texts,
        agenda::{Agenda, Finished, NoRoom, Run, Work},
        executor::{Ranked, RowKey},
    },
    units::{Flops, Millis, Moment},
};

pub mod machine;
pub mod oracle;
pub mod strategy;

use machine::Machine;
use strategy::{Ask, Strategy};

/// What is simulated.
#[derive(Debug, Clone)]
pub struct Setup {
    /// The family that all requests ask for.
    pub family: Arc<Family>,
    /// What is on offer.
    pub menus: Arc<Menus>,
    /// What is known of the machine at the start; learned from as requests finish.
    pub latency: LatencyModel,
    /// How each device's work is ordered, but for the policy, which is the strategy's.
    pub rules: Rules,
    /// Devices, all alike.
    pub devices: usize,
    /// How far real times are from predicted ones, in log units.
    pub noise: f64,
    /// Makes the noise.
    pub seed: u64,
}

/// Runs a trace under a strategy; a record for each request, in order of arrival.
pub fn run(setup: &Setup, trace: &Trace, strategy: Strategy) -> Vec<Record> {
    let mut simulation = Simulation::new(setup, trace, strategy);
    for idx in 0..trace.arrivals().len() {
        let arrives = Moment(trace.arrivals()[idx].at());
        simulation.run_until(arrives);
        simulation.arrive(idx, arrives);
    }
    simulation.run_until(Moment(Duration::MAX));
    simulation.records()
}

/// What a cascade makes of pictures.
enum Stage {
    /// They are good enough, or there is no time; with what they are worth.
    Done(Option<f64>),
    /// Better ones are on their way.
    Second,
}

/// Second stages are numbered from here.
const SECOND: u64 = 1 << 40;

struct Simulation<'a> {
    setup: &'a Setup,
    trace: &'a Trace,
    strategy: Strategy,
    latency: LatencyModel,
    machine: Machine,
    devices: Vec<Device>,
    /// By request.
    ended: Vec<Option<(Millis, Outcome)>>,
    /// The pictures of each job, as far as they are decoded.
    drawn: BTreeMap<JobId, Vec<Drawn>>,
}

/// A picture that is decoded.
#[derive(Debug, Clone, Copy)]
struct Drawn {
    run: Run,
    score: Option<f64>,
}

/// One device and what it is doing.
struct Device {
    agenda: Agenda,
    doing: Option<Doing>,
}

#[derive(Debug, Clone)]
struct Doing {
    work: Work,
    took: Millis,
    until: Moment,
}

impl<'a> Simulation<'a> {
    fn new(setup: &'a Setup, trace: &'a Trace, strategy: Strategy) -> Self {
        let models: Vec<ModelId> = setup.family.models.iter().map(|m| m.id.clone()).collect();
        let rules = Rules {
            policy: strategy.policy(),
            ..setup.rules
        };
        let device = |_| Device {
            agenda: Agenda::new(rules, models.clone()),
            doing: None,
        };
        Self {
            setup,
            trace,
            strategy,
            latency: setup.latency.clone(),
            machine: Machine::new(setup.noise, setup.seed),
            devices: (0..setup.devices.max(1)).map(device).collect(),
            ended: vec![None; trace.arrivals().len()],
            drawn: BTreeMap::new(),
        }
    }

    fn arrival(&self, id: JobId) -> &'a Arrival {
        &self.trace.arrivals()[(id.0 % SECOND) as usize]
    }

    /// A request comes: refused, or admitted to the device with the least to do.
    fn arrive(&mut self, idx: usize, now: Moment) {
        let id = JobId(idx as u64);
        let ask = Ask {
            arrival: self.arrival(id),
            arrived: now,
            family: &self.setup.family,
        };
        let job = match self.strategy.job(&self.setup.menus, &self.latency, &ask) {
            Ok(job) => job,
            Err(refusal) => return self.end(id, now, refused(422, refusal.code(), None)),
        };
        let forecast = self.latency.behind(Millis::ZERO);
        let queued = |device: &Device| device.agenda.queued_work(now, &forecast).0;
        let idle_first =
            |a: &usize, b: &usize| queued(&self.devices[*a]).total_cmp(&queued(&self.devices[*b]));
        let place = (0..self.devices.len()).min_by(idle_first).unwrap_or(0);
        let device = &mut self.devices[place];
        match device.agenda.admit(now, &self.latency, id, &Arc::new(job)) {
            Ok(()) if device.doing.is_none() => self.start(place, now),
            Ok(()) => {}
            Err(NoRoom::Full { room_in } | NoRoom::Late { room_in }) => {
                let wait = room_in.as_millis() as u64;
                self.end(id, now, refused(429, "overloaded", Some(wait)));
            }
        }
    }

    /// Does all work that is done before a moment.
    fn run_until(&mut self, limit: Moment) {
        loop {
            let busy = self.devices.iter().enumerate();
            let ends = busy.filter_map(|(place, d)| Some((d.doing.as_ref()?.until, place)));
            match ends.min() {
                Some((until, place)) if until <= limit => self.finish(place, until),
                _ => return,
            }
        }
    }

    /// Begins with the next piece of work, if there is one.
    fn start(&mut self, place: usize, now: Moment) {
        let turn = self.devices[place].agenda.next(now, &self.latency);
        for id in turn.refused {
            self.end(id, now, refused(504, "deadline_exceeded", None));
        }
        let Some(work) = turn.work else { return };
        let expected = machine::measured(self.setup, &self.devices[place].agenda, &work);
        let took = self.machine.takes(expected);
        let until = Moment(now.0 + Duration::from_secs_f64(took.0 / 1e3));
        self.devices[place].doing = Some(Doing { work, took, until });
    }

    fn finish(&mut self, place: usize, now: Moment) {
        let Some(Doing { work, took, .. }) = self.devices[place].doing.take() else {
            return;
        };
        match work {
            Work::Text(id) => {
                let texts = Texts {
                    n_encoded: 1,
                    ..Texts::default()
                };
                self.devices[place].agenda.text_done(id, took, texts);
            }
            Work::Step {
                rows,
                model,
                n_rows,
            } => {
                let each = Stepped {
                    nfe: n_rows / rows.len().max(1) as u32,
                    flops: Flops::ZERO,
                };
                let moved: Vec<_> = rows.into_iter().map(|row| (row, each)).collect();
                self.devices[place]
                    .agenda
                    .stepped((model, n_rows), took, &moved);
            }
            Work::Rank {
                job,
                picture,
                candidates,
            } => {
                let best = candidates[0];
                let flops = Flops::ZERO;
                let n = candidates.len() as u32;
                let ranked = Ranked { best, flops };
                self.devices[place]
                    .agenda
                    .ranked((job, picture), n, took, ranked);
            }
            Work::Decode(row) => self.decoded(place, row, took, now),
        }
        self.start(place, now);
    }

    fn decoded(&mut self, place: usize, row: RowKey, took: Millis, now: Moment) {
        let agenda = &mut self.devices[place].agenda;
        let score = agenda.binding(row.job).map(|binding| {
            let decision = &binding.decision;
            (decision.plan.clone(), decision.estimate.score)
        });
        let run = agenda.decoded(row, took, Flops::ZERO);
        if let Some(((plan, score), run)) = score.zip(run) {
            let score = match run.rush {
                None => score,
                Some(rush) => self.setup.menus.rushed(&plan, rush, Objective::default()),
            };
            let score = score.map(|score| score.mean);
            let drawn = self.drawn.entry(row.job).or_default();
            drawn.push(Drawn { run, score });
        }
        if let Some(finished) = self.devices[place].agenda.finish(row.job, now) {
            self.answer(place, row.job, &finished, now);
        }
    }

    fn answer(&mut self, place: usize, id: JobId, finished: &Finished, now: Moment) {
        let arrival = self.arrival(id);
        let arrived = Moment(arrival.at());
        let images = arrival.images;
        let plan = &finished.decision.plan;
        let encode = self
            .setup
            .latency
            .phases()
            .time(&PhaseKey::Encode { size: plan.size });
        let encode = encode.unwrap_or_default() * f64::from(images);
        let encode = self.machine.takes(encode);
        let latency = Millis::from(now.since(arrived)) + encode;
        let tally = &finished.tally;
        let ran = Ran {
            family: &self.setup.family,
            size: plan.size,
            n_images: images,
            n_texts: tally.texts_encoded,
            n_ranked: tally.n_ranked,
        };
        let took = Took {
            text: tally.phases.text,
            steps: &tally.steps,
            rank: tally.phases.rank,
            decode: tally.phases.decode,
            encode,
            whole: Millis(latency.0 - tally.phases.queue.0),
            queue: tally.phases.queue,
        };
        self.latency.learn(&Learned::new(ran, took));
        let drawn = self.drawn.remove(&id).unwrap_or_default();
        let known: Option<Vec<f64>> = drawn.iter().map(|picture| picture.score).collect();
        let score = known.map(|all| all.iter().sum::<f64>() / all.len().max(1) as f64);
        let score = if self.strategy == Strategy::Cascade {
            match self.cascade(place, id, plan, now) {
                Stage::Second => return,
                Stage::Done(score) => score,
            }
        } else {
            score
        };
        let answer = Answer {
            score,
            server_ms: Some(latency),
            tflops: Some(finished.decision.estimate.tflops),
            model: Some(plan.model.0.clone()),
            steps_run: drawn.first().map(|picture| picture.run.steps),
            degraded: drawn.iter().any(|picture| picture.run.rush.is_some()),
            late: arrival
                .class
                .latency_ms
                .is_some_and(|limit| latency > limit),
        };
        self.ended[(id.0 % SECOND) as usize] = Some((latency, Outcome::Answered(answer)));
    }

    /// A discriminator that is never wrong looks at the pictures: those that show what was asked for are kept,
    /// and the others are drawn again with the best plan if that is expected to be in time. No real one is as good.
    fn cascade(&mut self, place: usize, id: JobId, plan: &Plan, now: Moment) -> Stage {
        let arrival = self.arrival(id);
        let ask = Ask {
            arrival,
            arrived: Moment(arrival.at()),
            family: &self.setup.family,
        };
        let menus = &self.setup.menus;
        let halves = strategy::halves(menus, &self.latency, &ask, plan);
        let Some((alignment, fidelity)) = halves else {
            return Stage::Done(None);
        };
        if id.0 >= SECOND {
            return Stage::Done(Some(f64::midpoint(alignment, fidelity)));
        }
        if self.machine.chance(alignment) {
            return Stage::Done(Some(f64::midpoint(1.0, fidelity)));
        }
        let failed = Stage::Done(Some(f64::midpoint(0.0, fidelity)));
        let Ok(job) = Strategy::second(menus, &self.latency, &ask) else {
            return failed;
        };
        let forecast = self.latency.behind(Millis::ZERO);
        let device = &mut self.devices[place].agenda;
        let work = forecast.expected(job.binding.timetable.device(arrival.images));
        let waits = device.queued_work(now, &forecast);
        let done = Millis::from(now.since(ask.arrived)) + waits + work;
        let is_in_time = arrival.class.latency_ms.is_none_or(|limit| done <= limit);
        let second = JobId(id.0 + SECOND);
        if is_in_time
            && device
                .admit(now, &self.latency, second, &Arc::new(job))
                .is_ok()
        {
            Stage::Second
        } else {
            failed
        }
    }

    fn end(&mut self, id: JobId, now: Moment, outcome: Outcome) {
        let arrived = Moment(self.arrival(id).at());
        self.ended[(id.0 % SECOND) as usize] = Some((Millis::from(now.since(arrived)), outcome));
    }

    fn records(self) -> Vec<Record> {
        let ends = self.ended.into_iter();
        let pairs = self.trace.arrivals().iter().zip(ends);
        pairs
            .filter_map(|(arrival, ended)| {
                let (latency_ms, outcome) = ended?;
                Some(Record {
                    arrival_seconds: arrival.arrival_seconds,
                    class: arrival.class,
                    images: arrival.images,
                    latency_ms,
                    tries: 1,
                    outcome,
                })
            })
            .collect()
    }
}

fn refused(status: u16, code: &str, retry_after_ms: Option<u64>) -> Outcome {
    Outcome::Refused(Refusal {
        status,
        code: code.to_owned(),
        retry_after_ms,
    })
}
