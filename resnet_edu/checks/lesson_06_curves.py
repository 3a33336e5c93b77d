"""The check of lesson 06 on reading curves: six recorded runs, each with another ailment, or none."""

from difflib import get_close_matches
from typing import Any

from ..history import History
from ..study import load_study
from .expect import need_function
from .explain import kind_of
from .runner import NotYet, Wrong, check

#: The right answers. Reading on spoils the exercise.
KEY = {
    "A": "overfitting",
    "B": "learning rate too low",
    "C": "degradation",
    "D": "labels shuffled",
    "E": "healthy",
    "F": "learning rate too high",
}

#: What a panel with this diagnosis would show …
WOULD = {
    "overfitting": "overfitting would show a training error near zero and a test error well above it",
    "learning rate too low": "with too low a rate both errors would fall smoothly and hardly get anywhere",
    "degradation": "degradation would show two depths, the deeper net with the higher training error",
    "labels shuffled": "with shuffled labels the test error would stay at chance, 90 %, while the training error falls",
    "healthy": "a healthy run would end with both errors low and close together",
    "learning rate too high": "with too high a rate the errors would jump, or never leave chance",
}

#: … and what the panel with this diagnosis does show.
SHOWS = {
    "overfitting": "the training error goes to zero, the test error stays far above it, yet well below chance",
    "learning rate too low": "both errors creep down without a jump and are still high at the end",
    "degradation": "there are two nets, and the deeper one is worse on the training set as well",
    "labels shuffled": "the training error falls, but the test error stays at guessing among ten digits",
    "healthy": "both errors end low and close together",
    "learning rate too high": "the training error itself does not come down",
}


@check("06.4 read six curves")
def check_read_curves(read_curves: Any) -> str:
    """`read_curves() -> {"A": diagnosis, …, "F": diagnosis}`."""
    name = need_function(read_curves, "read_curves()")
    answer = read_curves()
    if answer is None or answer is ...:
        raise NotYet
    if not isinstance(answer, dict):
        raise Wrong(f"Expected a dict from letter to diagnosis from `{name}()`, got {kind_of(answer)}.")
    unknown = [key for key in answer if key not in KEY]
    if unknown:
        raise Wrong(f"The panels are called A to F; {unknown[0]!r} is none of them.")
    missing = [letter for letter in KEY if answer.get(letter) in (None, ..., "")]
    if missing == list(KEY):
        raise NotYet
    if missing:
        raise Wrong(f"No diagnosis yet for {', '.join(missing)}.")
    read = {letter: diagnosis_named(letter, answer[letter]) for letter in KEY}
    mixed_up = [
        f"{letter}: {WOULD[guess]}. Here {SHOWS[KEY[letter]]}."
        for letter, guess in read.items()
        if guess != KEY[letter]
    ]
    if mixed_up:
        raise Wrong("\n".join([f"{len(KEY) - len(mixed_up)} of {len(KEY)} are right.", *mixed_up]))
    return "All six. The training error tells degradation from overfitting: look at it first."


def diagnosis_named(letter: str, text: object) -> str:
    """The diagnosis that a text names, whatever its capitals and spaces.

    Raises:
        Wrong: it names none.
    """
    words = " ".join(str(text).lower().split())
    if words in WOULD:
        return words
    nearest = get_close_matches(words, WOULD, n=1)
    hint = f" Did you mean {nearest[0]!r}?" if nearest else ""
    raise Wrong(f"{letter}: {text!r} is no diagnosis.{hint} Choose from: {', '.join(sorted(WOULD))}.")


def six_curves() -> dict[str, dict[str, History]]:
    """The six panels of the exercise, from the recorded study "six-curves": the runs of each by net, A to F.

    Raises:
        ValueError: the study is not recorded; the message has the command that makes it.
    """
    study = load_study("six-curves")
    panels: dict[str, dict[str, History]] = {letter: {} for letter in KEY}
    letters = {diagnosis: letter for letter, diagnosis in KEY.items()}
    for label, setting in study.settings.items():
        (run,) = study.of(label)
        panels[letters[label.split(":")[0]]][setting["model"]] = run
    return panels
