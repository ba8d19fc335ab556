"""What is said of another library's error: one line, without a page of that library."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
from pydantic import TypeAdapter, ValidationError

from heliograph.library_errors import cause_of


@dataclass
class Fields:
    steps: int
    name: str


@pytest.mark.parametrize(
    ("fields", "cause"),
    [
        (
            {"steps": "many", "name": "a"},
            "steps: Input should be a valid integer, unable to parse string as an integer",
        ),
        ({"name": 3}, "steps: Field required, and 1 more"),
    ],
)
def test_the_first_problem_of_several_is_named_with_its_place(fields: dict[str, object], cause: str) -> None:
    with pytest.raises(ValidationError) as caught:
        TypeAdapter(Fields).validate_python(fields)
    assert cause_of(caught.value) == cause


def test_a_certificate_that_is_none_is_no_reason_to_read_a_page() -> None:
    x509 = pytest.importorskip("cryptography.x509")
    with pytest.raises(ValueError, match="https://") as caught:
        x509.load_pem_x509_certificate(b"no certificate")
    assert cause_of(caught.value) == "Unable to load PEM file. MalformedFraming"


def test_whatever_else_is_one_line() -> None:
    assert cause_of(ValueError("two\n  lines.")) == "two lines"
