"""The catalogue of refusals: each has a status and a sentence in both languages, with its facts filled in."""

from __future__ import annotations

import json
import re

import pytest

from zegelpost.model.refusals import FormRefused, NameMissing, Refusal, all_refusals
from zegelpost.web.errors import ANSWERS, problem, sentence
from zegelpost.web.translation import Language, load_translators

FACTS: dict[str, object] = {
    "limit": 12,
    "limit_bytes": 20 * 1000**3,
    "length_bytes": 3,
    "offset_bytes": 4,
    "tries_left": 2,
    "retry_after_seconds": 30,
    "shortest": 1,
    "longest": 365,
    "count": 2,
    "extension": "exe",
    "prefix": "+7",
    "word": "gmail.com",
    "contrast": 2.1,
    "placeholder": "bsn",
    "problems": ["subject: missing"],
}
TRANSLATORS = load_translators()


def refusal_of(kind: type[Refusal]) -> Refusal:
    return kind({"name": NameMissing()}) if kind is FormRefused else kind(**FACTS)


def test_every_refusal_has_an_answer_and_every_answer_a_refusal() -> None:
    assert set(ANSWERS) == set(all_refusals())


def test_codes_are_the_class_in_snake_case_and_unique() -> None:
    codes = [kind.code for kind in all_refusals()]

    assert len(set(codes)) == len(codes)
    for kind in all_refusals():
        assert kind.code.replace("_", "") == kind.__name__.lower()


@pytest.mark.parametrize("kind", all_refusals(), ids=lambda kind: kind.code)
def test_every_refusal_speaks_both_languages(kind: type[Refusal]) -> None:
    refusal = refusal_of(kind)
    dutch, english = (sentence(refusal, TRANSLATORS[language]) for language in (Language.NL, Language.EN))

    assert dutch != english
    for text in (dutch, english):
        assert re.fullmatch(r"[A-ZĲ].*[.]", text), text
        assert "%" not in text
        assert not re.search(r"\bNone\b|[()]s\b", text)
    # A fact that a sentence names is documented with the class, so that whoever raises it gives it.
    for name in re.findall(r"%\((\w+)\)s", ANSWERS[kind].sentence):
        assert f"`{name}`" in (kind.__doc__ or ""), (kind.code, name)


@pytest.mark.parametrize("kind", all_refusals(), ids=lambda kind: kind.code)
def test_every_refusal_is_a_problem_for_programs(kind: type[Refusal]) -> None:
    details = problem(refusal_of(kind), TRANSLATORS[Language.EN], instance="/x")

    assert 400 <= details["status"] < 600
    assert details["status"] == ANSWERS[kind].status
    assert details["code"] == kind.code
    assert {"type", "title", "detail", "instance"} <= set(details)
    assert json.loads(json.dumps(details)) == details
    if kind is FormRefused:
        assert details["fields"] == {"name": {"code": "name_missing", "detail": "Enter a name."}}
