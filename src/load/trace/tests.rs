//! Traces as files.

use proptest::prelude::*;

use super::*;

fn faults(text: &str) -> Vec<(u64, String)> {
    let found = Trace::parse(text).unwrap_err().0;
    found.into_iter().map(|f| (f.line, f.message)).collect()
}

#[test]
fn reads_limits_and_their_absence_and_quoted_prompts() {
    let text = "arrival_seconds,latency_ms,tflops,images,prompt\n\
                0,,,1,a dog\n\
                0.5,120,0.004,3,\"a cat, \"\"red\"\"\non grass\"\n";
    let trace = Trace::parse(text).unwrap();
    let [first, second] = trace.arrivals() else {
        panic!("{trace:?}");
    };
    assert_eq!(first.class, BudgetClass::default());
    assert_eq!((first.images, first.prompt.as_str()), (1, "a dog"));
    let class = BudgetClass {
        latency_ms: Some(Millis(120.0)),
        tflops: Some(0.004),
    };
    assert_eq!((second.class, second.images), (class, 3));
    assert_eq!(second.prompt, "a cat, \"red\"\non grass");
    assert_eq!(second.at(), Duration::from_millis(500));
    assert_eq!(trace.to_csv(), text);
}

#[test]
fn every_fault_is_told_with_its_line_and_what_would_do() {
    let text = "arrival_seconds,latency_ms,tflops,images,prompt\n\
                2,60,,1,\"a dog\non grass\"\n\
                1,60,,1,too early\n\
                \r\n\
                nan,-1,much,0,\n\
                3,60,,1,a cat, on grass\n\
                inf,60,inf,1.5,a cat\n";
    let expected = [
        (4, "sort the rows"),
        (6, "arrival_seconds \"nan\" must be a number of seconds"),
        (
            6,
            "latency_ms \"-1\" must be a number of milliseconds above 0, or empty",
        ),
        (6, "tflops \"much\" must be a number of 10^12 operations"),
        (6, "images \"0\" must be a whole number from 1"),
        (6, "write what to draw"),
        (
            7,
            "6 columns where 5 belong; put a prompt that holds commas in quotes",
        ),
        (8, "arrival_seconds \"inf\""),
        (8, "tflops \"inf\""),
        (8, "images \"1.5\""),
    ];
    let found = faults(text);
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for ((line, message), (expected_line, part)) in found.iter().zip(expected) {
        assert_eq!(*line, expected_line, "{message}");
        assert!(message.contains(part), "{message}");
    }
}

#[test]
fn another_header_and_an_empty_file_are_told_what_belongs_there() {
    let found = faults("t,latency_ms,tflops,images,prompt\n0,,,1,a dog\n");
    assert_eq!(found.len(), 1);
    assert!(
        found[0]
            .1
            .contains("must begin with \"arrival_seconds,latency_ms")
    );
    for text in [
        "",
        "\n\n",
        "arrival_seconds,latency_ms,tflops,images,prompt\n",
    ] {
        let found = faults(text);
        assert_eq!(found.len(), 1, "{text:?}");
        assert!(found[0].1.contains("there are no requests"), "{found:?}");
    }
}

#[test]
fn only_the_first_faults_are_shown() {
    let rows = "nan,,,1,a dog\n".repeat(30);
    let error = Trace::parse(&format!("{}\n{rows}", HEADER.join(","))).unwrap_err();
    assert_eq!(error.0.len(), 30);
    let shown = error.to_string();
    assert_eq!(shown.lines().count(), 21, "{shown}");
    assert!(shown.ends_with("and 10 more"), "{shown}");
}

#[test]
fn the_spread_of_minutes_is_that_of_hand_made_counts() {
    let minutes: [usize; 4] = [1, 3, 2, 6];
    let mut arrivals = Vec::new();
    for (minute, count) in minutes.into_iter().enumerate() {
        arrivals.extend((0..count).map(|i| arrival(60.0 * minute as f64 + i as f64)));
    }
    // The last minute is not over.
    arrivals.push(arrival(240.5));
    // Mean 3, variance (4 + 0 + 1 + 9) / 3.
    let trace = Trace::new(arrivals).unwrap();
    let expected = 14.0 / 3.0 / 3.0;
    assert!((trace.variance_to_mean().unwrap() - expected).abs() < 1e-12);
    assert_eq!(
        Trace::new(vec![arrival(119.0)]).unwrap().variance_to_mean(),
        None
    );
    assert_eq!(Trace::new(Vec::new()), None);
}

#[test]
fn a_class_is_told_in_words() {
    let class = |latency: Option<f64>, tflops| BudgetClass {
        latency_ms: latency.map(Millis),
        tflops,
    };
    assert_eq!(
        class(Some(62.5), Some(0.004)).to_string(),
        "62.5 ms, 0.004 TFLOP"
    );
    assert_eq!(class(Some(60.0), None).to_string(), "60 ms");
    assert_eq!(format!("{:>9}", BudgetClass::default()), " no limit");
}

fn arrival(arrival_seconds: f64) -> Arrival {
    Arrival {
        arrival_seconds,
        class: BudgetClass::default(),
        images: 1,
        prompt: "a dog".into(),
    }
}

fn any_arrival() -> impl Strategy<Value = Arrival> {
    let limit = || prop::option::of(1e-9..1e9);
    // Whatever a file may hold: quotes, commas, line breaks, blanks at the ends, every script.
    let prompt = prop_oneof![
        "[\", \r\n\ta\u{feff}é]{0,12}x[\", \r\n]{0,3}",
        "\\PC{1,20}y"
    ];
    let fields = (0.0..1e9, limit(), limit(), 1..u32::MAX, prompt);
    fields.prop_map(
        |(arrival_seconds, latency, tflops, images, prompt)| Arrival {
            arrival_seconds,
            class: BudgetClass {
                latency_ms: latency.map(Millis),
                tflops,
            },
            images,
            prompt,
        },
    )
}

proptest! {
    #[test]
    fn what_was_written_is_read_back(arrivals in prop::collection::vec(any_arrival(), 1..20)) {
        let trace = Trace::new(arrivals).unwrap();
        prop_assert_eq!(Trace::parse(&trace.to_csv()), Ok(trace));
    }
}
