//! The load generator against the whole server.

use goldilocks::load::report::Report;

use super::{serving::serve, toy::Toy};
use crate::load::{replay, trace};

#[tokio::test]
async fn the_generator_understands_what_the_server_says() {
    let toy = Toy::start().await;
    let (address, stop, server) = serve(&toy).await;
    let url = format!("http://{address}");
    let rows = "0,10000,,1,a heart\n\
                0.03,,0.05,2,a heart\n\
                0.06,,,1,a heart\n\
                0.09,0.001,,1,a heart\n\
                0.12,,1e-9,1,a heart\n\
                0.15,,,11,a heart\n\
                0.18,,,1,break the engine\n";
    let replayed = replay(&url, trace(rows), |_| {}).await;
    let records = &replayed.records;
    for record in &records[..3] {
        let answer = record.answer().unwrap_or_else(|| panic!("{record:?}"));
        assert!(
            answer
                .score
                .is_some_and(|score| (0.0..=1.0).contains(&score))
        );
        assert!(
            answer
                .model
                .as_ref()
                .is_some_and(|model| model.starts_with("toy-"))
        );
        assert!(answer.tflops > Some(0.0) && answer.server_ms.is_some());
        assert!(answer.steps_run > Some(0) && !answer.degraded && !answer.late);
    }
    let report = Report::of(records).unwrap();
    let all = &report.all;
    assert_eq!(
        (all.offered, all.admitted, all.answered, all.attained),
        (7, 4, 3, 3)
    );
    let refusals = report.refusals.iter().map(|(name, n)| (name.as_str(), *n));
    assert_eq!(
        refusals.collect::<Vec<_>>(),
        [
            ("400 invalid_value", 1),
            ("422 budget_infeasible", 2),
            ("500 internal_error", 1)
        ]
    );
    let tflops = report
        .classes
        .iter()
        .find(|class| class.budget.tflops == Some(0.05));
    let used = tflops.unwrap().group.tflops_utilization.unwrap();
    assert!(used > 0.0 && used <= 1.0, "{used}");
    stop.send(()).unwrap();
    server.await.unwrap();
}
