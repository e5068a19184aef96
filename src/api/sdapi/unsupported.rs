//! Which of AUTOMATIC1111's fields say something that nothing here can do? Its clients send nearly all of
//! them, most at the value that changes nothing.

use serde_json::{Map, Value};

use crate::{
    api::{fields::shortened, generate::warnings::UNSUPPORTED_FIELD},
    planner::Notice,
};

/// Fields that are about files on the server, or about what is not there to be turned off.
const MOOT: [&str; 5] = [
    "override_settings_restore_afterwards",
    "do_not_save_samples",
    "do_not_save_grid",
    "disable_extra_networks",
    "comments",
];

/// Fields, or beginnings of their names, that mean something only beside another one.
const DEPENDENT: [(&str, &str); 6] = [
    ("hr_", "enable_hr"),
    ("firstphase_", "enable_hr"),
    ("denoising_strength", "enable_hr"),
    ("subseed", "subseed_strength"),
    ("refiner_switch_at", "refiner_checkpoint"),
    ("script_args", "script_name"),
];

/// Numbers that change nothing; 0 never does.
const USUAL: [(&str, f64); 5] = [
    ("eta", 1.0),
    ("s_noise", 1.0),
    ("seed_resize_from_h", -1.0),
    ("seed_resize_from_w", -1.0),
    ("clip_skip", 1.0),
];

/// Returns a notice for each field of `rest` that says something.
pub(super) fn told(rest: &Map<String, Value>, prefix: &str) -> Vec<Notice> {
    let says = |(name, value): &(&String, &Value)| !changes_nothing(name, value, rest);
    let spoken = rest.iter().filter(says);
    spoken
        .map(|(name, _)| {
            let name = format!("{prefix}{}", shortened(name));
            notice(format!("{name} means nothing here and was left out"))
        })
        .collect()
}

pub(super) fn notice(message: String) -> Notice {
    Notice::new(UNSUPPORTED_FIELD, message)
}

fn changes_nothing(name: &str, value: &Value, all: &Map<String, Value>) -> bool {
    let is_set = |name: &str| all.get(name).is_some_and(|value| !is_empty(value));
    let mut dependent = DEPENDENT.iter();
    is_empty(value)
        || MOOT.contains(&name)
        || USUAL.contains(&(name, value.as_f64().unwrap_or(f64::NAN)))
        || is_automatic(name, value)
        || dependent.any(|(start, on)| name != *on && name.starts_with(start) && !is_set(on))
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty() || text == "None",
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
    }
}

/// How noise levels are spread is the sampler's own business here, as it is there unless somebody says so.
fn is_automatic(name: &str, value: &Value) -> bool {
    let is_usual = |text: &str| text.eq_ignore_ascii_case("automatic");
    name == "scheduler" && value.as_str().is_some_and(is_usual)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(value: Value) -> Vec<String> {
        let Value::Object(rest) = value else {
            panic!("tests read objects");
        };
        let notices = told(&rest, "").into_iter();
        let name = |notice: Notice| notice.message.split(' ').next().unwrap().to_owned();
        notices.map(name).collect()
    }

    #[test]
    fn what_changes_nothing_is_not_told() {
        let untold = names(json!({
            "enable_hr": false, "hr_scale": 2, "hr_upscaler": "Latent", "denoising_strength": 0.7,
            "firstphase_width": 0, "styles": [], "subseed": -1, "subseed_strength": 0.0,
            "seed_resize_from_h": -1, "restore_faces": false, "tiling": false, "eta": 1.0, "s_churn": 0,
            "s_noise": 1, "override_settings_restore_afterwards": true, "scheduler": "automatic",
            "script_name": null, "script_args": [], "alwayson_scripts": {}, "save_images": false,
            "do_not_save_grid": true, "refiner_switch_at": 0.8, "hr_prompt": "",
        }));
        assert_eq!(untold, [""; 0]);
    }

    #[test]
    fn what_would_change_the_picture_is_told() {
        let told = names(json!({
            "enable_hr": true, "hr_scale": 2, "denoising_strength": 0.7, "subseed": 5,
            "subseed_strength": 0.5, "tiling": true, "eta": 0.5, "scheduler": "Karras",
            "alwayson_scripts": { "ControlNet": {} }, "brand_new": 1,
        }));
        let expected = [
            "enable_hr",
            "hr_scale",
            "denoising_strength",
            "subseed",
            "subseed_strength",
            "tiling",
            "eta",
            "scheduler",
            "alwayson_scripts",
            "brand_new",
        ];
        assert_eq!(told, expected);
    }
}
