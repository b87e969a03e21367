"""What is wrong with a family's or school's file, in the reader's language.

The readers under `admin.tenantreading` say it in English with values inside (a key, a number); here each of their sentences stands once as
a message with placeholders. A sentence that no message fits stays as it is; a test tries one file of each kind and finds none.
"""

from __future__ import annotations

import re
from functools import cache

from admin.pages.phrases import FILE_MISTAKES
from admin.pages.words import Words
from admin.pages.words import mark as _

#: Sentences with a value inside; the first that fits is taken, so the narrower stands before the wider.
WITH_VALUES = (
    _("this file is larger than {n} KiB"),
    _("at most {n} days at a time"),
    _("at most {n} devices"),
    _("at most {n} names"),
    _("{value} stands here twice"),
    _("must be one of {list}"),
    _("must have 1 to {n} letters"),
    _("a {kind} has profiles of the kinds {people}, adult and guest"),
    _("this file is of a {kind}, here is a {other}"),
    _("unknown key {key}"),
    _("must be at least {n}"),
    _("must be at most {n}"),
    _("must be more than {n}"),
    _("must be less than {n}"),
    _("must be {list}, not {value}"),
    _("{value} is not an id: letters, digits and . : + - _, 64 at most"),
    _("lists and sections are nested deeper than {n}"),
    _("this key is written twice, first on line {n}"),
    _("{what} is not allowed"),
    _("did you mean {word}?"),
    _("known here: {list}"),
)
#: Sentences of the libraries under the readers, and what we say for them.
OF_LIBRARIES = (
    (r".+ should have at most (?P<n>\d+) items? after validation, not (?P<found>.+)", _("at most {n} of them; here are {found}")),
    (r".+ should have at least (?P<n>\d+) items? after validation, not (?P<found>.+)", _("at least {n} of them; here are {found}")),
    (r".+ should have at most (?P<n>\d+) characters?", _("at most {n} letters")),
    (r".+ should have at least (?P<n>\d+) characters?", _("at least {n} letters")),
    (r"not YAML: .*", _("not YAML: look at the colons, spaces and quotation marks of this line")),
)
#: Sentences without one, and what to do.
PLAIN = (
    *FILE_MISTAKES,
    _("a second document starts here"),
    _("a key must be a word, not a list or a section"),
    _("merge keys (<<) are not allowed"),
    _("keep one document in a file"),
    _("keep one of them"),
    _("write the value out"),
    _("write the values out"),
    _("write the value without it"),
    _("save the file as UTF-8"),
)


def say(words: Words, sentence: str) -> str:
    """A sentence of the readers, or a remedy, in the reader's language."""
    if words.language == "en":
        return sentence
    if sentence in PLAIN:
        return words.gettext(sentence)
    for message, pattern in _patterns():
        found = pattern.fullmatch(sentence)
        if found:
            return words.gettext(message).format(**found.groupdict())
    return sentence


@cache
def _patterns() -> tuple[tuple[str, re.Pattern[str]], ...]:
    made = []
    for message in WITH_VALUES:
        parts = re.split(r"{(\w+)}", message)
        text = "".join(re.escape(part) if place % 2 == 0 else f"(?P<{part}>.+?)" for place, part in enumerate(parts))
        made.append((message, re.compile(text, re.DOTALL)))
    return (*((message, re.compile(pattern, re.DOTALL)) for pattern, message in OF_LIBRARIES), *made)
