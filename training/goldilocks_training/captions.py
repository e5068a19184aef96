"""What would somebody type for this scene?

Every scene has one canonical caption ("a large teal dog on grass") and many paraphrases ("photo of big teal dog, on the grass").
Training sees both, sometimes with a part left out; evaluation captions always name every part.
"""

from numpy.random import Generator

from .scenes import Scene
from .vocabulary import EMOJI, NOUNS, NUMBERS, PLACES, SHAPES, SIZES, Vocabulary

PREFIXES = ("a photo of", "photo of", "a picture of", "picture of", "an emoji of", "emoji of", "an image of", "a drawing of")
PLAIN = ("on a {} background", "on {}", "against a {} background", "with a {} background", "{} background")
JOINING = ("on ", "in ", "at ", "during ", "under", "against ", "with ")
"""How a background starts that needs no comma before it."""
PARAPHRASED = 0.5
"""Share of captions that are not canonical."""
DROPPED = 0.12
"""Share of training captions that leave the background out."""


def _article(phrase: str) -> str:
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def _fix_article(phrase: str) -> str:
    """Turns "a orange background" into "an orange background"."""
    for color in EMOJI.colors:
        if color[0] in "aeiou":
            phrase = phrase.replace(f"a {color}", f"an {color}")
    return phrase


def background_phrases(background: str) -> tuple[str, ...]:
    """Returns every way to name a background, the canonical one first."""
    if background in PLACES:
        return PLACES[background]
    return tuple(_fix_article(form.format(background)) for form in PLAIN)


def subject(scene: Scene, number: str, size: str | None) -> str:
    """Names what is counted: "three teal dogs", "a large dog"."""
    plural = NOUNS[scene.object].plural if scene.object in NOUNS else SHAPES[scene.object]
    noun = plural if scene.count > 1 else scene.object
    phrase = " ".join(part for part in (size, scene.color, noun) if part)
    if number == "a":
        return _article(phrase)
    return f"{number} {phrase}".strip()


def canonical(scene: Scene, with_background: bool = True) -> str:
    """Returns the one plain caption of a scene."""
    phrase = subject(scene, NUMBERS[scene.count][0], scene.size)
    return f"{phrase} {background_phrases(scene.background)[0]}" if with_background else phrase


def paraphrase(scene: Scene, rng: Generator, with_background: bool = True) -> str:
    """Returns one of the many other ways to say it."""
    size = str(rng.choice(SIZES[scene.size])) if scene.size else None
    phrase = subject(scene, str(rng.choice(NUMBERS[scene.count])), size)
    if with_background:
        background = str(rng.choice(background_phrases(scene.background)))
        form = rng.random()
        if form < 0.1:
            return f"{background}, {phrase}"
        phrase += f", {background}" if form < 0.25 or not background.startswith(JOINING) else f" {background}"
    return f"{rng.choice(PREFIXES)} {phrase}" if rng.random() < 0.4 else phrase


def caption(scene: Scene, rng: Generator, complete: bool = False) -> str:
    """Returns a training caption, or, if complete, one that names every part."""
    with_background = complete or rng.random() >= DROPPED
    if rng.random() < PARAPHRASED:
        return paraphrase(scene, rng, with_background)
    return canonical(scene, with_background)


def words(vocabulary: Vocabulary = EMOJI) -> list[str]:
    """Returns every word a caption can contain, lower case, sorted."""
    phrases = [*PREFIXES, *vocabulary.nouns, *vocabulary.colors]
    phrases += [NOUNS[noun].plural for noun in vocabulary.nouns]
    phrases += [word for shape in vocabulary.shapes for word in (shape, SHAPES[shape])]
    phrases += [form for forms in (*NUMBERS.values(), *SIZES.values()) for form in forms]
    phrases += [phrase for background in vocabulary.backgrounds for phrase in background_phrases(background)]
    return sorted({word for phrase in phrases for word in phrase.split()} | {"an"})
