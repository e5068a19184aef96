//! Does a picture show what a typed prompt means? The evaluator answers, and the same scenes asked for in
//! plain captions, from the same noise, say how much can be expected of the family.

use std::collections::BTreeMap;

use goldilocks::{
    calibrate::{captions::EvaluationCaption, studio},
    catalog::SamplerKind,
    engine::Pipeline,
    evaluator::{Attributes, Evaluator, alignment},
    planner::Plan,
};

use super::{Typed, default_family, typed_prompts};

/// What the typed prompts must reach of what plain captions reach, question by question.
const OF_PLAIN: f64 = 0.9;

/// The least share of right answers over typed prompts. A floor: the rule above would also hold for a family
/// that draws nothing.
const FLOORS: [(&str, f64); 5] = [
    ("background", 0.85),
    ("color", 0.5),
    ("count", 0.75),
    ("object", 0.45),
    ("size", 0.75),
];

/// Things whose picture has this color by nature; the evaluator then sees none that was asked for.
const BY_NATURE: [(&str, &str); 10] = [
    ("apple", "red"),
    ("balloon", "red"),
    ("banana", "yellow"),
    ("car", "red"),
    ("fox", "orange"),
    ("frog", "green"),
    ("ghost", "white"),
    ("pineapple", "yellow"),
    ("strawberry", "red"),
    ("tree", "green"),
];

/// "three teal dogs on grass": how training captions say it most plainly.
fn plain_caption(scene: &Attributes) -> String {
    let part = |question| scene.get(question).map(String::as_str);
    let object = part("object").unwrap();
    // A plural without a number is drawn as two.
    let count = part("count").unwrap_or("2");
    let thing = match (count, object) {
        ("1", _) => object.to_owned(),
        (_, "fox") => "foxes".to_owned(),
        (_, "strawberry") => "strawberries".to_owned(),
        _ => format!("{object}s"),
    };
    let parts = [part("size"), part("color"), Some(&*thing)];
    let phrase = parts.into_iter().flatten().collect::<Vec<_>>().join(" ");
    let number = match count {
        "1" => article(&phrase),
        "2" => "two",
        "3" => "three",
        _ => "four",
    };
    let background = part("background").map(place).unwrap_or_default();
    format!("{number} {phrase}{background}")
}

fn place(background: &str) -> String {
    match background {
        "grass" => " on grass".into(),
        "night" | "sunset" => format!(" at {background}"),
        "beach" => " on a beach".into(),
        "snow" | "sky" | "desert" => format!(" in the {background}"),
        "water" => " under water".into(),
        color => format!(" on {} {color} background", article(color)),
    }
}

fn article(phrase: &str) -> &'static str {
    if phrase.starts_with(['a', 'e', 'i', 'o', 'u']) {
        "an"
    } else {
        "a"
    }
}

/// What the evaluator answers where a picture shows what was meant.
fn expected(typed: &Typed) -> Attributes {
    let mut scene = typed.attributes();
    let color = scene.get("color").map(String::as_str).unwrap_or_default();
    if BY_NATURE.contains(&(&scene["object"], color)) {
        scene.insert("color".into(), "none".into());
    }
    scene
}

/// The share of right answers to each question, over the captions that say something about it.
fn shares(captions: &[EvaluationCaption], answers: &[Attributes]) -> BTreeMap<String, f64> {
    let mut verdicts = BTreeMap::<String, Vec<bool>>::new();
    for (caption, seen) in captions.iter().zip(answers) {
        for (question, wanted) in &caption.attributes {
            let verdict = seen[question] == *wanted;
            verdicts.entry(question.clone()).or_default().push(verdict);
        }
    }
    let share = |(question, verdicts): (String, Vec<bool>)| (question, alignment::share(&verdicts));
    verdicts.into_iter().map(share).collect()
}

#[test]
fn typed_prompts_are_drawn_nearly_as_well_as_plain_captions_of_the_same_scenes() {
    let mut family = default_family();
    // The others would only cost time and memory.
    family.models.drain(..family.models.len() - 1);
    let (model, size) = (family.models[0].id.clone(), family.default_size());
    let plan = Plan::plain(model, SamplerKind::DpmPp2M, 8, 3.0, size).into();
    let pipeline = Pipeline::load(&family).unwrap();
    let evaluator = Evaluator::load(&family.path.join("evaluator")).unwrap();
    let mut prompts = typed_prompts();
    prompts.retain(Typed::is_within_the_family);
    let shares_of = |text: fn(&Typed) -> String| {
        let caption = |(typed, seed)| EvaluationCaption {
            text: text(typed),
            seed,
            attributes: expected(typed),
        };
        let captions: Vec<_> = prompts.iter().zip(0..).map(caption).collect();
        let pictures = studio::draw(&pipeline, &plan, &captions).unwrap();
        let seen = evaluator.evaluate(&pictures).unwrap().into_iter();
        let answers: Vec<Attributes> = seen.map(|assessment| assessment.attributes).collect();
        shares(&captions, &answers)
    };
    let typed = shares_of(|typed| typed.prompt.clone());
    let plain = shares_of(|typed| plain_caption(&typed.attributes()));
    let told = format!("right of typed prompts: {typed:.3?}; of plain captions: {plain:.3?}");
    eprintln!("{told}");
    for (question, floor) in FLOORS {
        let reached = typed[question] >= floor && typed[question] >= OF_PLAIN * plain[question];
        assert!(reached, "{question}: {told}");
    }
}
