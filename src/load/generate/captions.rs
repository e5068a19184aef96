//! What do made-up requests want drawn? Lines of a file, or captions that the default family was trained on.

use rand::{Rng, RngExt, seq::IndexedRandom};

/// Where prompts come from.
#[derive(Debug, Clone, PartialEq)]
pub enum Prompts {
    /// Captions in the vocabulary of the family `emoji`, some 36,000 different ones.
    BuiltIn,
    /// Any of these; not empty.
    Listed(Vec<String>),
}

/// One thing and several of it.
const NOUNS: [(&str, &str); 22] = [
    ("dog", "dogs"),
    ("cat", "cats"),
    ("fox", "foxes"),
    ("panda", "pandas"),
    ("frog", "frogs"),
    ("apple", "apples"),
    ("banana", "bananas"),
    ("strawberry", "strawberries"),
    ("pineapple", "pineapples"),
    ("car", "cars"),
    ("rocket", "rockets"),
    ("house", "houses"),
    ("tree", "trees"),
    ("balloon", "balloons"),
    ("ghost", "ghosts"),
    ("robot", "robots"),
    ("circle", "circles"),
    ("square", "squares"),
    ("triangle", "triangles"),
    ("star", "stars"),
    ("heart", "hearts"),
    ("diamond", "diamonds"),
];

const COLORS: [&str; 12] = [
    "red", "orange", "yellow", "green", "blue", "purple", "pink", "brown", "black", "white",
    "gray", "teal",
];

const PLACES: [&str; 8] = [
    "on grass",
    "at night",
    "at sunset",
    "on a beach",
    "in the snow",
    "in the sky",
    "under water",
    "in the desert",
];

const COUNTS: [&str; 3] = ["two", "three", "four"];

const SIZES: [&str; 2] = ["small", "large"];

impl Prompts {
    /// Takes one prompt a line; empty lines do not count. None if nothing is left.
    pub fn of_lines(text: &str) -> Option<Self> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let lines: Vec<String> = lines.map(str::to_owned).collect();
        (!lines.is_empty()).then_some(Self::Listed(lines))
    }

    /// Draws one.
    pub fn draw(&self, random: &mut impl Rng) -> String {
        match self {
            Self::BuiltIn => caption(random),
            Self::Listed(lines) => one_of(lines, random).clone(),
        }
    }
}

/// Such as `a large red apple at sunset`, `two dogs`, `three teal stars on a white background`.
fn caption(random: &mut impl Rng) -> String {
    let (one, several) = *one_of(&NOUNS, random);
    let color = random.random_bool(0.6).then(|| *one_of(&COLORS, random));
    let mut words = Vec::new();
    if random.random_bool(0.5) {
        let size = random.random_bool(0.3).then(|| *one_of(&SIZES, random));
        words.extend(size.into_iter().chain(color).chain([one]));
        let starts_with_vowel = words[0].starts_with(['a', 'e', 'i', 'o', 'u']);
        words.insert(0, if starts_with_vowel { "an" } else { "a" });
    } else {
        words.push(*one_of(&COUNTS, random));
        words.extend(color.into_iter().chain([several]));
    }
    let place = match random.random_range(0..3_u32) {
        0 => String::new(),
        1 => format!(" {}", one_of(&PLACES, random)),
        _ => {
            let color = one_of(&COLORS, random);
            let article = if *color == "orange" { "an" } else { "a" };
            format!(" on {article} {color} background")
        }
    };
    words.join(" ") + &place
}

fn one_of<'t, T>(things: &'t [T], random: &mut impl Rng) -> &'t T {
    things.choose(random).expect("no list is empty")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use rand::SeedableRng;
    use rand_pcg::Pcg64;

    use super::*;

    #[test]
    fn captions_stay_within_the_words_of_the_default_family_and_are_many() {
        let vocabulary = include_str!("../../../weights/emoji/vocabulary.json");
        let vocabulary: serde_json::Value = serde_json::from_str(vocabulary).unwrap();
        let known = vocabulary["words"].as_array().unwrap();
        let known: BTreeSet<&str> = known.iter().map(|word| word.as_str().unwrap()).collect();
        let mut random = Pcg64::seed_from_u64(3);
        let captions: BTreeSet<String> = (0..2000).map(|_| caption(&mut random)).collect();
        for caption in &captions {
            let strange: Vec<&str> = caption.split(' ').filter(|w| !known.contains(w)).collect();
            assert!(strange.is_empty(), "{caption}: {strange:?}");
            assert!(!caption.contains("a orange") && !caption.contains("a apple"));
        }
        assert!(captions.len() > 1500, "{} different ones", captions.len());
        assert!(captions.iter().any(|caption| caption.starts_with("an ")));
    }

    #[test]
    fn lines_are_prompts_and_empty_ones_are_not() {
        let prompts = Prompts::of_lines(" a dog \n\n\tb\n").unwrap();
        assert_eq!(prompts, Prompts::Listed(vec!["a dog".into(), "b".into()]));
        assert_eq!(Prompts::of_lines("\n \n"), None);
        let mut random = Pcg64::seed_from_u64(0);
        let drawn: BTreeSet<String> = (0..50).map(|_| prompts.draw(&mut random)).collect();
        assert_eq!(drawn.len(), 2);
    }
}
