"""Words of the field in what people read: help texts, errors, reports, README and documentation.

What is private English for something that the field has a term for is found here and told with that term.  Code between
backticks and in blocks is what it is; `ALLOWED` has the senses of a word that are meant.
"""

from __future__ import annotations

import argparse
import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from heliograph.cli import available_commands, make_parser

ROOT = Path(__file__).parents[1]
PACKAGES = ("heliograph", "agent_node", "coordinator", "analysis", "trainer")
TERMS = {
    r"houses?": "package",
    r"rooms?": "module",
    r"percepts?": "observation, agent input",
    r"play(?:s|ed|ing)?": "run (an episode)",
    r"(?:un|over)?hear(?:s|d|able|ing)?|audible": "receive, neighbour, no communication",
    r"sp(?:eak|eaks|oke|oken|eakers?|eaking)": "send",
    r"utter(?:s|ed|ances?)?": "message",
    r"witness(?:es)?": "observer",
    r"casting|staging": "plan factory, launch settings",
    r"crews?|hire[ds]?": "worker pool, spawn",
    r"bur(?:y|ied)|last words": "reap, log tail",
    r"wordings?": "formatting",
    r"hand-?outs?": "bundle store",
    r"vacan(?:t|cy|cies)": "free slot, slot reservation",
    r"allowances?": "rate limit",
    r"ledgers?|books": "counters, accounting",
    r"rehears(?:e|es|al|als)": "counterfactual replay",
    r"surveys?": "evaluation suite",
    r"inquir(?:y|ies)|stirred": "comparison, responsive",
    r"harvest(?:s|ed)?": "staging buffer",
    r"rewinds?|outlooks?": "replayed restore, transition prior",
    r"dream(?:s|t|ed|ing)?": "imagined rollout",
    r"flavou?rs?": "variant",
    r"all at once": "centralised networks",
    r"blind (?:bound|level)": "bound without communication",
}
ALLOWED = (r"(?:make|has|had) room",)
"""Other senses of these words."""
NOT_READ = re.compile("|".join([r"`[^`]*`", *ALLOWED]), flags=re.IGNORECASE)
PRIVATE = re.compile(rf"(?<![\w-])(?:{'|'.join(TERMS)})(?![\w-])", flags=re.IGNORECASE)
NAMES = {
    "percepts": "agent input",
    "percept": "agent input",
    "play": "run (an episode)",
    "plays": "run",
    "played": "run, finished",
    "player": "policy",
    "heard": "received",
    "hears": "receives_from, neighbours",
    "hearing": "reach, neighbours",
    "audible": "receivable",
    "said": "sent, reported, last output",
    "told": "reported, printed, on_request",
    "tell": "write, report, send, notify",
    "tells": "offers, reports",
    "spoken": "sent, printed",
    "speaker": "sender",
    "script": "input sequence",
    "scripts": "input sequences",
    "scripted": "replayed",
    "witness": "observer",
    "ledger": "counters",
}
"""Words that no package, module, class, function, parameter, field or attribute has in its name, and what has."""
FORMATS = {
    "hears": "of recordings, of replay in checkpoints, of the wire and of worlds' parameters, and their arrays",
    "heard": "of recordings: coordinator/recording/schema.py",
    "played": "of report.json",
    "said": "of the audit's JSON",
    "told": "of language.json",
    "script": "of the audit's JSON",
    "scripts": "of the audit's JSON, and an option",
    "play": "a section of MAZero's settings",
}
"""Names as they stand alone in files, which keep them: `hears`, but not `hears_tensor`."""
OTHER_SENSES = {
    "SelfPlay": "MuZero's term",
    "SelfPlayState": "the same",
    "SelfPlaySettings": "the same",
    "self_play": "the same",
    "DROP_SCRIPT": "a program of nft",
    "_hears": "what the parameter `hears` of these worlds comes to",
}
REPORTS = {
    "coordinator": ("running/report*", "scoring/score_table*", "commands/demo*", "commands/exit_status*"),
    "analysis": ("audit/report*", "audit/finding*", "bandwidth/report/*", "bandwidth/measure*", "comparison/report*"),
    "trainer": ("training/summary*", "training/console*", "training/curve*"),
}
"""Modules and templates whose texts are what a run, an analysis or a training comes to."""
DOCUMENTS = [
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    *sorted(str(p.relative_to(ROOT)) for p in (ROOT / "docs").rglob("*.md")),
]


def found_in(texts: Iterator[str]) -> dict[str, list[str]]:
    """The words that are not the field's, each with the texts that have it."""
    found: dict[str, list[str]] = {}
    for text in texts:
        for match in PRIVATE.finditer(NOT_READ.sub("", text)):
            found.setdefault(match[0].lower(), []).append(" ".join(text.split()))
    return found


def help_texts(command: str) -> Iterator[str]:
    entry = available_commands()[command].load()
    pending: list[argparse.ArgumentParser] = [make_parser({command: entry})]
    while pending:
        parser = pending.pop()
        yield parser.description or ""
        for action in parser._actions:
            yield action.help or ""
            if isinstance(action, argparse._SubParsersAction):
                pending += action.choices.values()


def sources(package: str) -> list[Path]:
    return [path for path in sorted((ROOT / package).rglob("*.py")) if "pb" not in path.parts]


def error_texts(package: str) -> Iterator[str]:
    """Every text in a `raise` of the package but names of fields."""
    for path in sources(package):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Raise) and node.exc is not None:
                yield from (text for text in texts_within(node.exc) if not text.isidentifier())


def report_texts(package: str) -> Iterator[str]:
    """Every text of the package's reports but docstrings, and of templates what is no code."""
    for pattern in REPORTS[package]:
        paths = [path for path in (ROOT / package).glob(pattern) if path.is_file()]
        assert paths, f"{package} has no {pattern} any more: name where its reports are written now"
        for path in paths:
            text = path.read_text(encoding="utf-8")
            if path.suffix != ".py":
                yield from re.sub(
                    r"\{[{%#].*?[}%#]\}|<style.*?</style>|<[^>]*>", "", text, flags=re.DOTALL
                ).splitlines()
                continue
            tree = ast.parse(text)
            docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
            for node in ast.walk(tree):
                if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
                    yield node.value


def texts_within(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def document_texts(name: str) -> Iterator[str]:
    """Prose of a document, paragraph by paragraph: no code."""
    text = re.sub(r"^(`{3,}).*?^\1$", "", (ROOT / name).read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    text = re.sub(r"^ {4,}.*$", "", text, flags=re.MULTILINE)
    yield from re.split(r"\n\s*\n", re.sub(r"\]\([^)]*\)", "]", text))


def names_in(path: Path) -> Iterator[str]:
    """Every name that the module gives to what others see: its own, and those of what it defines."""
    yield path.stem
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.arg(arg=name) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield name
            case ast.AnnAssign(target=ast.Name(id=name)):
                yield name


def strange_names(names: Iterator[str]) -> dict[str, str]:
    """Names with a word that the field has a term for, each with that term."""
    found = {}
    for name in names:
        words = [word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])", name)]
        if name not in FORMATS and name not in OTHER_SENSES:
            found.update((name, NAMES[word]) for word in words if word in NAMES)
    return found


@pytest.mark.slow
@pytest.mark.parametrize("package", PACKAGES)
def test_names_in_code_are_the_fields(package: str) -> None:
    found = {
        str(path.relative_to(ROOT)): strange
        for path in sources(package)
        if (strange := strange_names(iter(set(names_in(path)))))
    }
    assert not found


def test_the_search_for_names_finds_words_and_not_parts_of_words() -> None:
    names = ["PlayedEpisodes", "replay", "display", "hears", "hears_tensor", "self_play", "_told", "Perceptron"]
    assert set(strange_names(iter(names))) == {"PlayedEpisodes", "hears_tensor", "_told"}


PLACES = {
    **{f"help of {command}": lambda command=command: help_texts(command) for command in available_commands()},
    **{f"errors of {package}": lambda package=package: error_texts(package) for package in PACKAGES},
    **{f"reports of {package}": lambda package=package: report_texts(package) for package in REPORTS},
    **{name: lambda name=name: document_texts(name) for name in DOCUMENTS},
}


@pytest.mark.parametrize("place", PLACES)
def test_words_are_the_fields(place: str) -> None:
    found = found_in(PLACES[place]())
    said = "\n".join(f"{word!r} in: {text}" for word, texts in found.items() for text in texts)
    assert not found, f"{place}:\n{said}\nsee TERMS for what to say instead"


def test_the_search_finds_words_and_not_parts_of_words_or_code() -> None:
    texts = [
        "the house plays on",
        "`play(…)` and `hears`",
        "DreamerV2 displays a replay",
        "nobody heard it, all at once",
    ]
    assert set(found_in(iter(texts))) == {"house", "plays", "heard", "all at once"}
