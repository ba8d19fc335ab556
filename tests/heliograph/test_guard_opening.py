"""How far a client has come, by its first bytes, however they are cut into chunks."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from heliograph.errors import MessageError
from heliograph.guard.opening import MAX_HEADER_BLOCK_BYTES, PlaintextOpening, TlsOpening
from heliograph.http2 import PREFACE

DATA, HEADERS, SETTINGS, CONTINUATION = 0, 1, 4, 9
HANDSHAKE, APPLICATION_DATA = 22, 23


def frame(kind: int, payload: bytes = b"", *, flags: int = 0) -> bytes:
    return len(payload).to_bytes(3, "big") + bytes([kind, flags]) + (1).to_bytes(4, "big") + payload


def record(kind: int, payload: bytes = bytes(100)) -> bytes:
    return bytes([kind, 3, 3]) + len(payload).to_bytes(2, "big") + payload


def fed(opening, data: bytes, cuts=()):
    bounds = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(bounds):
        opening.feed(data[start:end])
    return opening


CALL = PREFACE + frame(SETTINGS, bytes(12)) + frame(HEADERS, bytes(200), flags=4) + frame(DATA, bytes(500))


@given(st.lists(st.integers(min_value=0), max_size=8))
def test_a_call_in_the_clear_is_one_wherever_it_is_cut(cuts) -> None:
    opening = fed(PlaintextOpening(), CALL, cuts)
    assert (opening.has_opened, opening.is_calling) == (True, True)


@given(st.integers(min_value=0, max_value=len(CALL)))
def test_a_client_opens_with_the_head_of_its_settings_and_calls_with_the_end_of_its_headers(until) -> None:
    opening = fed(PlaintextOpening(), CALL[:until])
    assert opening.has_opened == (until >= len(PREFACE) + 9)
    assert opening.is_calling == (until >= len(PREFACE) + 9 + 12 + 9)


@pytest.mark.parametrize(
    "data",
    [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        bytes(24),
        PREFACE + frame(HEADERS, flags=4),
        PREFACE + frame(DATA, bytes(10)),
        record(HANDSHAKE),
    ],
)
def test_what_no_client_in_the_clear_says_is_an_error(data) -> None:
    with pytest.raises(MessageError):
        fed(PlaintextOpening(), data)


@pytest.mark.parametrize("size", [0, 1, 1000])
def test_headers_that_go_on_for_ever_are_an_error_however_small_their_parts(size) -> None:
    opening = fed(PlaintextOpening(), PREFACE + frame(SETTINGS) + frame(HEADERS, bytes(size)))
    sent = size + 9
    error = None
    while error is None:
        sent += size + 9
        try:
            opening.feed(frame(CONTINUATION, bytes(size)))
        except MessageError as raised:
            error = raised
    assert "headers of more than" in error.message
    assert MAX_HEADER_BLOCK_BYTES < sent <= MAX_HEADER_BLOCK_BYTES + size + 9
    assert not opening.is_calling


def test_as_many_headers_as_one_likes_may_follow_one_another() -> None:
    opening = fed(PlaintextOpening(), PREFACE + frame(SETTINGS))
    for _ in range(100):
        fed(opening, frame(HEADERS, bytes(1000), flags=4))
    assert opening.is_calling


HANDSHAKEN = record(HANDSHAKE) + record(20, b"\1") + record(APPLICATION_DATA) + bytes(5000)


@given(st.lists(st.integers(min_value=0), max_size=8))
def test_a_handshake_is_one_wherever_it_is_cut(cuts) -> None:
    opening = fed(TlsOpening(), HANDSHAKEN, cuts)
    assert (opening.has_opened, opening.is_calling) == (True, True)


@given(st.integers(min_value=0, max_value=len(HANDSHAKEN)))
def test_a_client_of_tls_opens_with_a_whole_record_and_is_done_with_application_data(until) -> None:
    opening = fed(TlsOpening(), HANDSHAKEN[:until])
    assert opening.has_opened == (until >= 105)
    assert opening.is_calling == (until >= 105 + 6 + 105)


@pytest.mark.parametrize(
    "data",
    [PREFACE, record(APPLICATION_DATA), b"\x16\x02\x00\x00\x05", b"\x16\x03\x01\xff\xff", b"\x16\x03\x01\x00\x00"],
)
def test_what_no_client_of_tls_says_is_an_error(data) -> None:
    with pytest.raises(MessageError):
        fed(TlsOpening(), data)
