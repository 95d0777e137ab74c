"""The chapters of both pages in order, and where three readers of the report find their questions."""

from __future__ import annotations

from stages.figures.chapters import (
    answer,
    captchas,
    change,
    characters,
    noise,
    readers,
    regression_chapter,
    sure,
    unseen,
    why,
)
from stages.figures.figure import Chapter

CHAPTERS: tuple[Chapter, ...] = (
    answer.CHAPTER,
    captchas.CHAPTER,
    noise.CHAPTER,
    characters.CHAPTER,
    regression_chapter.CHAPTER,
    sure.CHAPTER,
    why.CHAPTER,
    change.CHAPTER,
    noise.MORE,
    characters.MORE,
    characters.ROBUST,
    readers.CHAPTER,
    regression_chapter.MORE,
    why.SALIENCY,
    why.CLASSES,
    unseen.CHAPTER,
    captchas.DATA,
    change.CHANGE,
    change.PARAMETERS,
    change.WORDS,
)

QUESTIONS: dict[str, dict[str, str]] = {  # who: a question, and the chapter that answers it
    "You design captchas": {
        "Which noise stops a reader at the lowest level?": "noise",
        "Which characters and colours should I use?": "characters",
        "Does it look worse than it is?": "doses",
        "What if it learned from my noise?": "readers",
    },
    "You teach": {
        "How is the experiment designed?": "captchas",
        "What does each coefficient mean?": "regression",
        "What can't be concluded?": "sound",
        "What would another training run give?": "sure",
    },
    "You are a student": {
        "What do the words mean?": "glossary",
        "Why does reading fail?": "why",
        "How do I ask another question?": "next",
        "Is the data as it was designed?": "data",
    },
}
