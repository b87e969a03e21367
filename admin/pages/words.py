"""Words in the reader's language: gettext catalogues, one file per language, read at start.

Message ids are English sentences, so English needs no file; `admin/locale/vi.po` is complete (a test finds a message without a
translation). A third language is one more file. Where Vietnamese speaks differently to a small child, a pupil or a youth, the message
has a context.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from babel import Locale
from babel.messages.pofile import read_po

LOCALES = Path(__file__).parent.parent / "locale"
SOURCE = "en"
#: The context of names that come from the shipped data, which has them in Vietnamese and English; other languages give them here.
DATA = "data"
FIRST = "vi"
_TAGS = ("zero", "one", "two", "few", "many", "other")


def mark(message: str) -> str:
    """Mark a message for the catalogues where it is only named; it is translated where it is shown."""
    return message


@dataclass(frozen=True)
class Words:
    """The catalogue of one language. Unknown messages come back as they are."""

    language: str
    single: Mapping[tuple[str | None, str], str] = field(default_factory=dict)
    plural: Mapping[tuple[str | None, str], tuple[str, ...]] = field(default_factory=dict)

    @property
    def locale(self) -> Locale:
        """The locale for dates and numbers."""
        return Locale.parse(self.language)

    @property
    def name(self) -> str:
        """The language's own name for itself."""
        name = self.locale.get_display_name() or self.language
        return name[:1].upper() + name[1:]

    def gettext(self, message: str) -> str:
        """A message in this language."""
        return self.single.get((None, message), message)

    def pgettext(self, context: str, message: str) -> str:
        """A message as it is said in a context; without a translation there, as it is said anywhere."""
        return self.single.get((context, message)) or self.gettext(message)

    def ngettext(self, one: str, many: str, number: int) -> str:
        """A message that depends on a number."""
        return self._plural(None, one, many, number)

    def npgettext(self, context: str, one: str, many: str, number: int) -> str:
        """A message in a context that depends on a number."""
        return self._plural(context, one, many, number)

    def _plural(self, context: str | None, one: str, many: str, number: int) -> str:
        forms = self.plural.get((context, one))
        if forms is None:
            return one if number == 1 else many
        return forms[min(self._form(number), len(forms) - 1)]

    def _form(self, number: int) -> int:
        order = [tag for tag in _TAGS if tag == "other" or tag in self.locale.plural_form.tags]
        return [str(tag) for tag in order].index(str(self.locale.plural_form(number)))


def load_words(folder: Path = LOCALES) -> dict[str, Words]:
    """Every language there is: English, and one for each catalogue file. The first language of the product stands first."""
    found = {path.stem: _read(path) for path in sorted(folder.glob("*.po"))}
    found.setdefault(SOURCE, Words(SOURCE))
    return dict(sorted(found.items(), key=lambda item: (item[0] != FIRST, item[0] != SOURCE, item[0])))


def negotiate(accepted: str, known: Mapping[str, Words]) -> str:
    """The language for an `Accept-Language` header (RFC 9110 §12.5.4): the best match, Vietnamese when nothing is said or nothing fits."""
    wanted: list[tuple[float, int, str]] = []
    for position, part in enumerate(accepted[:500].split(",")):
        tag, _, weight = part.strip().partition(";q=")
        try:
            quality = float(weight) if weight else 1.0
        except ValueError:
            continue
        language = tag.partition("-")[0].lower()
        if language in known and quality > 0:
            wanted.append((-quality, position, language))
    return min(wanted)[2] if wanted else next(iter(known))


def _read(path: Path) -> Words:
    single: dict[tuple[str | None, str], str] = {}
    plural: dict[tuple[str | None, str], tuple[str, ...]] = {}
    with path.open("rb") as file:
        catalogue = read_po(file, locale=path.stem)
    for message in catalogue:
        if not message.id or message.fuzzy:
            continue
        if isinstance(message.id, tuple | list):
            strings = message.string if isinstance(message.string, tuple | list) else (message.string,)
            forms = tuple(str(form) for form in strings if form)
            if len(forms) == len(strings):
                plural[(message.context, message.id[0])] = forms
        elif isinstance(message.string, str) and message.string:
            single[(message.context, message.id)] = message.string
    return Words(path.stem, single, plural)
