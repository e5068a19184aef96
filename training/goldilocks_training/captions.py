"""What would somebody type for this scene?

Every scene has one canonical caption ("a large teal dog on grass") and many paraphrases ("draw me 3 kittens, snow", "Red heart. Desert").
Of two things, either may come first. Training sees both, sometimes with a part left out, sometimes with a slip; evaluation captions always name every part and never
slip. The tokenizer lowers letters, so capitals need no examples.
"""

from numpy.random import Generator

from .scenes import Scene
from .vocabulary import (
    COLOR_SYNONYMS,
    COLORS,
    NOUNS,
    NUMBERS,
    OPPOSITE,
    PLACES,
    RELATIONS,
    SHAPES,
    SIDES,
    SIZES,
    Vocabulary,
    chosen,
)

KINDS = ("photo", "picture", "image", "drawing", "emoji", "icon")
REQUESTS = (
    "draw",
    "draw me",
    "show",
    "show me",
    "give me",
    "make",
    "make me",
    "please draw",
    "i want",
    "i want to see",
    "can you draw",
)
ADJECTIVES = ("cute", "nice", "pretty", "beautiful")
PLAIN = (
    "on a {} background",
    "on {}",
    "against a {} background",
    "with a {} background",
    "{} background",
    "background {}",
    "in front of {}",
)
JOINING = ("on ", "in ", "at ", "during ", "under", "against ", "with ", "by ", "among ")
"""How a background starts that needs no comma before it."""
LEADING = ("on ", "on a ", "on the ", "in ", "in a ", "in the ", "at ", "at the ", "during ", "under a ", "among ")
"""What is left away where a place is only named: "beach", "night sky"."""
PARAPHRASED = 0.6
"""Share of captions that are not canonical."""
DROPPED = 0.12
"""Share of training captions that leave the background out."""
SLIPS = 0.1
"""Share of paraphrases of several things that forget the plural."""


def _article(phrase: str) -> str:
    vowel = phrase[0] in "aeiou" and not phrase.startswith("uni")
    return ("an " if vowel else "a ") + phrase


def _fix_article(phrase: str) -> str:
    """Turns "a orange background" into "an orange background"."""
    for color in COLORS:
        if color[0] in "aeiou":
            phrase = phrase.replace(f"a {color}", f"an {color}")
    return phrase


def background_phrases(background: str) -> tuple[str, ...]:
    """Returns every way to name a background, the canonical one first."""
    if background in PLACES:
        return PLACES[background]
    names = (background, *COLOR_SYNONYMS.get(background, ()))
    return tuple(_fix_article(form.format(name)) for name in names for form in PLAIN)


def bare(phrase: str) -> str:
    """Returns a place without its preposition: "in the night sky" becomes "night sky"."""
    leading = max((start for start in LEADING if phrase.startswith(start)), key=len, default="")
    return phrase.removeprefix(leading)


def noun_forms(name: str) -> tuple[tuple[str, str], ...]:
    """Returns every word for a thing with its plural, the canonical one first."""
    if name in NOUNS:
        return ((name, NOUNS[name].plural), *NOUNS[name].synonyms)
    return ((name, SHAPES[name]),)


def color_names(color: str) -> tuple[str, ...]:
    """Returns every word for a colour, the canonical one first."""
    return (color, *COLOR_SYNONYMS.get(color, ()))


def _singles(scene: Scene) -> list[Scene]:
    """Returns a scene of one thing for each of two."""
    return [Scene(name, 1, color, scene.background, None) for name, color in scene.things()]


def canonical(scene: Scene, with_background: bool = True) -> str:
    """Returns the one plain caption of a scene."""
    if scene.second_object:
        first, second = (canonical(single, with_background=False) for single in _singles(scene))
        phrase = f"{first} {RELATIONS[scene.relation][0]} {second}"
        return f"{phrase} {background_phrases(scene.background)[0]}" if with_background else phrase
    one, many = noun_forms(scene.object)[0]
    phrase = " ".join(part for part in (scene.size, scene.color, one if scene.count == 1 else many) if part)
    phrase = _article(phrase) if scene.count == 1 else f"{NUMBERS[scene.count][0]} {phrase}"
    return f"{phrase} {background_phrases(scene.background)[0]}" if with_background else phrase


def _varied_subject(scene: Scene, rng: Generator, slips: bool) -> str:
    """Names what is counted in one of many ways: "3 kitten", "a cute tiny violet dog"."""
    forms = noun_forms(scene.object)
    one, many = forms[rng.integers(len(forms)) if rng.random() < 0.4 else 0]
    noun = one if scene.count == 1 or (slips and rng.random() < SLIPS) else many
    size = str(rng.choice(SIZES[scene.size])) if scene.size else None
    color = str(rng.choice(color_names(scene.color))) if scene.color else None
    adjective = str(rng.choice(ADJECTIVES)) if rng.random() < 0.08 else None
    phrase = " ".join(part for part in (adjective, size, color, noun) if part)
    number = str(rng.choice(NUMBERS[scene.count]))
    return _article(phrase) if number == "a" else f"{number} {phrase}".strip()


def _varied_pair(scene: Scene, rng: Generator) -> str:
    """Names two things and how they lie, told from either: "a cat to the right of the dog", "dog on the left and cat on the right"."""
    told, relation = _singles(scene), scene.relation
    if rng.random() < 0.5:
        told, relation = told[::-1], OPPOSITE[relation]
    first, second = (_varied_subject(single, rng, slips=False) for single in told)
    if relation in SIDES and rng.random() < 0.2:
        return f"{first} {SIDES[relation]} and {second} {SIDES[OPPOSITE[relation]]}"
    return f"{first} {rng.choice(RELATIONS[relation])} {second}"


def _opening(rng: Generator) -> str:
    """Returns what people put before the subject, most often nothing."""
    form = rng.random()
    if form < 0.55:
        return ""
    request = f"{rng.choice(REQUESTS)} " if form > 0.78 else ""
    if form > 0.88:
        return request
    kind = str(rng.choice(KINDS))
    return f"{request}{_article(kind) if rng.random() < 0.6 else kind} of "


def paraphrase(scene: Scene, rng: Generator, with_background: bool = True, slips: bool = True) -> str:
    """Returns one of the many other ways to say it."""
    phrase = _varied_pair(scene, rng) if scene.second_object else _varied_subject(scene, rng, slips)
    if not with_background:
        return _opening(rng) + phrase
    background = str(rng.choice(background_phrases(scene.background)))
    form = rng.random()
    if scene.background in PLACES and form < 0.2:
        background = bare(background)
    if 0.15 < form < 0.25:
        return f"{background}, {phrase}"
    joined = background.startswith(JOINING) and form < 0.85
    return f"{_opening(rng)}{phrase}{' ' if joined else ', '}{background}"


def caption(scene: Scene, rng: Generator, complete: bool = False) -> str:
    """Returns a training caption, or, if complete, one that names every part and has no slip."""
    with_background = complete or rng.random() >= DROPPED
    if rng.random() < PARAPHRASED:
        return paraphrase(scene, rng, with_background, slips=not complete)
    return canonical(scene, with_background)


def words(vocabulary: Vocabulary | None = None) -> list[str]:
    """Returns every word a caption can contain, lower case, sorted."""
    vocabulary = vocabulary or chosen()
    phrases = [*KINDS, *REQUESTS, *ADJECTIVES, "of"]
    phrases += [name for color in vocabulary.colors for name in color_names(color)]
    phrases += [word for name in vocabulary.objects for form in noun_forms(name) for word in form]
    phrases += [form for forms in (*NUMBERS.values(), *SIZES.values()) for form in forms]
    phrases += [phrase for background in vocabulary.backgrounds for phrase in background_phrases(background)]
    phrases += [phrase for relation in vocabulary.relations for phrase in RELATIONS[relation]]
    phrases += [SIDES[relation] for relation in vocabulary.relations if relation in SIDES]
    return sorted({word for phrase in phrases for word in phrase.split()} | {"an"})
