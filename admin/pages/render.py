"""The renderer: one Jinja environment per language, autoescape always on, unknown names an error.

Every page knows its words (`_`, `ngettext`, `pgettext`), its formats (`f`), static addresses (`asset`), and what the layout needs. Nothing
a page shows is ever marked safe: hostile names stay text.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import CodeType
from typing import Any

from jinja2 import BytecodeCache, Environment, FileSystemLoader, StrictUndefined
from jinja2.bccache import Bucket
from markupsafe import Markup
from starlette.responses import HTMLResponse

from admin.errors import FieldMistake
from admin.pages.assets import Assets
from admin.pages.formats import Formats
from admin.pages.phrases import ACTS, BASES, MISTAKES, ROLES, RULES
from admin.pages.words import DATA, FIRST, SOURCE, Words, load_words
from admin.treats import gather

TEMPLATES = Path(__file__).parent.parent / "templates"


class Pages:
    """Renders templates in the reader's language."""

    def __init__(self, assets: Assets, words: Mapping[str, Words] | None = None) -> None:
        self.assets = assets
        self.words = words or load_words()
        self._compiled = _Compiled()
        self._environments = {language: self._environment(catalogue) for language, catalogue in self.words.items()}

    def render(self, template: str, formats: Formats, context: Mapping[str, Any], status: int = 200) -> HTMLResponse:
        """A page. `context` holds what the template names; a name it lacks is an error, not a gap."""
        text = self.write(template, formats, context)
        return HTMLResponse(text, status, headers={"Content-Language": formats.words.language, "Vary": "Accept-Language, Cookie"})

    def write(self, template: str, formats: Formats, context: Mapping[str, Any]) -> str:
        """The text of a template: a page, or a letter."""
        return self._environments[formats.words.language].get_template(template).render({"f": formats, **context})

    def templates(self) -> list[str]:
        """The names of all templates."""
        return sorted(path.relative_to(TEMPLATES).as_posix() for path in TEMPLATES.rglob("*.html"))

    def warm(self, template: str) -> None:
        """Compile a template before somebody waits for it."""
        for environment in self._environments.values():
            environment.get_template(template)

    def _environment(self, words: Words) -> Environment:
        environment = Environment(
            loader=FileSystemLoader(TEMPLATES),
            autoescape=True,
            undefined=StrictUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
            extensions=["jinja2.ext.i18n"],
            auto_reload=False,
            cache_size=-1,
            bytecode_cache=self._compiled,
        )
        environment.install_gettext_callables(  # type: ignore[attr-defined]  # added by the extension
            words.gettext, words.ngettext, newstyle=True, pgettext=words.pgettext, npgettext=words.npgettext
        )
        environment.filters["first_upper"] = _first_upper
        environment.filters["basis"] = lambda text: words.gettext(BASES[text]) if text in BASES else text
        environment.filters["named"] = lambda name: name if words.language in (FIRST, SOURCE) else words.pgettext(DATA, name)
        environment.globals.update(
            asset=self.assets.address,
            languages=[(one.language, one.name) for one in self.words.values()],
            lang=words.language,
            mistake_of=_mistake_reader(words),
            act_words=lambda code: words.gettext(ACTS[code]) if code in ACTS else code,
            role_words=lambda code: words.gettext(ROLES[code]) if code in ROLES else code,
            rule_words=lambda reason: words.gettext(RULES[reason]) if reason in RULES else "",
            icon=self._icon,
            cursor=_cursor,
            gather=gather,
        )
        return environment

    def _icon(self, name: str, size: str = "") -> Markup:
        """A picture of the sprite; always beside words, so screen readers skip it."""
        classes = f"icon icon-{size}" if size else "icon"
        markup = '<svg class="{}" aria-hidden="true" focusable="false"><use href="{}#{}"></use></svg>'
        return Markup(markup).format(classes, self.assets.address("icons.svg"), name)


class _Compiled(BytecodeCache):
    """A template is compiled once for all languages: its words are looked up when it is rendered. In memory only."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str], CodeType] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        """Called by the environment before it compiles."""
        bucket.code = self._kept.get((bucket.key, bucket.checksum))

    def dump_bytecode(self, bucket: Bucket) -> None:
        """Called by the environment after it compiled."""
        if bucket.code is not None:
            self._kept[(bucket.key, bucket.checksum)] = bucket.code


def _mistake_reader(words: Words) -> Any:  # Any: a function for templates
    def mistake_of(mistakes: tuple[FieldMistake, ...], field: str) -> str:
        """The sentence for a field's mistake; empty when it has none."""
        for mistake in mistakes:
            if mistake.field == field:
                return words.gettext(MISTAKES.get(mistake.code, MISTAKES["unknown"]))
        return ""

    return mistake_of


def _cursor(mistakes: tuple[FieldMistake, ...], field: str) -> Markup:
    """The attribute that puts the cursor into the first field with a mistake, without a script."""
    return Markup(" autofocus") if mistakes and mistakes[0].field == field else Markup()


def _first_upper(text: str) -> str:
    """A phrase at the beginning of a line; abbreviations inside it stay as they are."""
    return text[:1].upper() + text[1:]
