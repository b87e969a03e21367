"""Keeping the catalogues complete: every message of the code and the templates, with its translations.

`python -m admin.pages.catalogues` brings `admin/locale/*.po` up to date: new messages are added empty, messages nobody uses any more
go, and translations stay. A new language is an empty file with its code as name. Only this command and the tests import this module.
"""

from __future__ import annotations

import ast
import io
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

from babel.messages import Catalog, Message
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

from admin.catalogue import read_shipped
from admin.locks import bases_of
from admin.pages.words import DATA, FIRST, LOCALES, SOURCE
from blocklists.rejections import Reason

ADMIN = Path(__file__).parent.parent
#: Where the list office's rules speak in pairs, and the errors that carry a pair.
_SPEAKING = ((ADMIN.parent / "blocklists" / "takedown", "*.py"), (ADMIN, "office*.py"))
_SAYS = frozenset({"TransitionRefused", "UnreadableFile", "Unread"})
_METHODS = [("static/**", "ignore"), ("**.py", "python"), ("templates/**.html", "jinja2")]
_OPTIONS = {"templates/**.html": {"trimmed": "true", "silent": "false", "extensions": "jinja2.ext.i18n"}}
_KEYWORDS = {
    "_": None,
    "gettext": None,
    "mark": None,
    "ngettext": (1, 2),
    "pgettext": ((1, "c"), 2),
    "npgettext": ((1, "c"), 2, 3),
}

#: Header lines that would differ each time the command runs, or say nothing.
_DATED = (
    '"Project-Id-Version',
    '"Report-Msgid',
    '"POT-Creation',
    '"PO-Revision',
    '"Last-Translator',
    '"Language-Team',
    '"Generated-By',
)

Identity = tuple[str | None, str]


def extract(language: str = FIRST) -> Catalog:
    """Every message of the control plane; for a third language also the names in the shipped data (which has Vietnamese and English)."""
    found = Catalog(charset="utf-8")
    rows = extract_from_dir(str(ADMIN), _METHODS, _OPTIONS, _KEYWORDS, ("#.",), strip_comment_tags=True)
    for filename, line, message, comments, context in sorted(rows, key=lambda row: (row[0], row[1])):
        found.add(message, None, [(filename.replace("\\", "/"), line)], auto_comments=comments, context=context)
    for name in () if language in (FIRST, SOURCE) else data_names():
        found.add(name, None, context=DATA)
    return found


def data_names() -> list[str]:
    """Names that pages show from the data, in English: categories, groups of apps, days off, laws; proper names of apps are left out."""
    shelf = read_shipped()
    rows: list[tuple[str, str]] = [(one.vi, one.en) for one in shelf.catalogue.categories.values()]
    rows += [(one.vi, one.en) for one in shelf.groups]
    rows += [(one.vi, one.en) for one in shelf.days_off]
    rows += [(one.name_vi, one.name_en) for one in shelf.catalogue.services.values()]
    rows += [(one.vi, one.en) for tier in ("L", "H") for one in bases_of(tier, date.max)]
    named = {english for local, english in rows if english and english != local}
    return sorted(
        named | {reason.en for reason in Reason} | {en for folder, files in _SPEAKING for path in folder.glob(files) for en in spoken(path)}
    )


def spoken(path: Path) -> Iterator[str]:
    """The English sentences that a module of the list office says in pairs, Vietnamese first: refusals, faults of files. A number stands
    in them as `{n}`."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        pair: list[ast.expr] = []
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _SAYS:
            pair = node.args[1:]
        elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Tuple):
            pair = node.value.elts
        match pair:
            case [ast.Constant(value=str(local)), ast.Constant(value=str(english))] if not local.isascii():
                yield english


def missing(language: str) -> list[Identity]:
    """Messages that a language has no translation for."""
    with (LOCALES / f"{language}.po").open("rb") as file:
        translated = read_po(file, locale=language)
    return [identity for identity, message in messages(extract(language)) if not _has_words(translated.get(message.id, message.context))]


def messages(catalogue: Catalog) -> Iterator[tuple[Identity, Message]]:
    """The messages of a catalogue without its header."""
    for message in catalogue:
        if message.id:
            single = message.id[0] if isinstance(message.id, tuple | list) else message.id
            yield (message.context, str(single)), message


def update(path: Path) -> int:
    """Bring one catalogue up to date; returns how many messages lack words."""
    with path.open("rb") as file:
        catalogue = read_po(file, locale=path.stem)
    fresh = Catalog(locale=path.stem, charset="utf-8", header_comment=catalogue.header_comment, fuzzy=False)
    lacking = 0
    for _, message in messages(extract(path.stem)):
        before = catalogue.get(message.id, message.context)
        string = (
            before.string if before is not None and _has_words(before) else ("",) * catalogue.num_plurals if message.pluralizable else ""
        )
        fresh.add(message.id, string, message.locations, context=message.context)
        lacking += not _has_words(fresh.get(message.id, message.context))
    text = io.BytesIO()
    write_po(text, fresh, width=120, sort_by_file=True, include_lineno=False)
    header, _, rest = text.getvalue().decode("utf-8").partition("\n\n")
    kept = [line for line in header.splitlines() if not line.startswith(_DATED)]
    path.write_text("\n".join(kept) + "\n\n" + rest, encoding="utf-8")
    return lacking


def _has_words(message: Message | None) -> bool:
    if message is None or message.fuzzy:
        return False
    strings = message.string if isinstance(message.string, tuple | list) else (message.string,)
    return all(bool(string) for string in strings)


if __name__ == "__main__":
    for path in sorted(LOCALES.glob("*.po")):
        sys.stdout.write(f"{path.name}: {update(path)} without words\n")
