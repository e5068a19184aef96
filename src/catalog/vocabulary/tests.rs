//! Which words are told to be unknown, and how?

use super::*;

fn vocabulary() -> Vocabulary {
    Vocabulary::new([
        "3",
        "a",
        "Cat",
        "cats",
        "red",
        "on",
        "the",
        "beach",
        "sky",
        "pineapple",
    ])
}

#[test]
fn known_words_pass_in_any_case_and_punctuation() {
    let prompt = "A RED cat, on the beach! 3 cats; the cat's beach, the cat’s sky…\n“red” ‘sky’";
    assert_eq!(vocabulary().unknown_words(prompt), [""; 0]);
}

#[test]
fn unknown_words_come_once_in_the_order_of_the_prompt() {
    let unknown = vocabulary().unknown_words("Zebra on a zebra-striped beach, naïve");
    assert_eq!(unknown, ["zebra", "striped", "naïve"]);
}

#[test]
fn plurals_are_known_only_where_they_are_listed() {
    assert_eq!(vocabulary().unknown_words("cats"), [""; 0]);
    assert_eq!(vocabulary().unknown_words("beaches"), ["beaches"]);
}

#[test]
fn numbers_are_words_like_others() {
    let unknown = vocabulary().unknown_words("3 cats, 33 cats, a cat3, 5 cats, ½");
    assert_eq!(unknown, ["33", "5", "½"]);
}

#[test]
fn emoji_are_words_and_those_of_several_characters_are_whole() {
    let unknown = vocabulary().unknown_words("🐶🐶cat❤️👩🏽‍🚀 🇯🇵 3️⃣ ★");
    assert_eq!(unknown, ["🐶", "❤️", "👩🏽‍🚀", "🇯🇵", "3️⃣", "★"]);
}

#[test]
fn words_keep_their_marks_in_every_script() {
    let unknown = vocabulary().unknown_words("cafe\u{301} कुत्ता 红色的狗、猫 قِطّة");
    assert_eq!(unknown, ["cafe\u{301}", "कुत्ता", "红色的狗", "猫", "قِطّة"]);
}

#[test]
fn a_quote_that_the_tokenizer_takes_for_a_contraction_spoils_the_word_behind_it() {
    assert_eq!(
        vocabulary().unknown_words("'red' 'cat' it's"),
        ["'red", "it"]
    );
}

#[test]
fn a_plural_or_a_slip_of_a_known_word_is_told_with_it() {
    let vocabulary = vocabulary();
    assert_eq!(vocabulary.nearest("beaches"), Some("beach"));
    assert_eq!(vocabulary.nearest("Skies"), Some("sky"));
    assert_eq!(vocabulary.nearest("pinapple"), Some("pineapple"));
    assert_eq!(vocabulary.nearest("zebra"), None);
    assert_eq!(
        vocabulary
            .told("a zebra on the beaches")
            .map(|told| told.to_string()),
        Some("\"zebra\", \"beaches\" (did you mean \"beach\"?)".into())
    );
    assert_eq!(
        vocabulary.told("a zebra on the beaches").unwrap().words,
        [
            ("zebra".to_owned(), None),
            ("beaches".to_owned(), Some("beach"))
        ]
    );
    assert_eq!(vocabulary.told("a red cat"), None);
}

#[test]
fn what_is_told_of_a_long_prompt_is_short() {
    let prompt = "q w e r t y u i o p a s";
    let vocabulary = vocabulary();
    let told = vocabulary.told(prompt).unwrap().to_string();
    assert_eq!(told, r#""q", "w", "e", "r", "t", "y", "u", "i" and 3 more"#);
    let told = vocabulary.told(&"é".repeat(2000)).unwrap().to_string();
    assert_eq!(told, format!("\"{}...\"", "é".repeat(40)));
}

#[test]
fn a_word_that_was_never_shown_is_unknown_though_the_tokenizer_has_it() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(
        file.path(),
        r#"{"words": ["cat", "left"], "unsupported": ["left"]}"#,
    )
    .unwrap();
    let vocabulary = Vocabulary::read(file.path()).unwrap();
    assert_eq!(vocabulary.words().collect::<Vec<_>>(), ["cat"]);
    assert_eq!(vocabulary.unknown_words("cat left"), ["left"]);
}

#[test]
fn a_file_that_is_no_vocabulary_is_refused_by_name() {
    let file = tempfile::NamedTempFile::new().unwrap();
    fs::write(file.path(), "{}").unwrap();
    let message = Vocabulary::read(file.path()).unwrap_err();
    assert!(message.contains("words"), "{message}");
}
