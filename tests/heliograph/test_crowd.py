"""Who makes room when one more connection comes."""

from __future__ import annotations

from heliograph.crowd import Crowd


def test_the_oldest_of_the_client_that_has_most_makes_room() -> None:
    crowd: Crowd[str] = Crowd(3)
    assert [crowd.came(*each) for each in (("a", "10.0.0.1"), ("b", "10.0.0.2"), ("c", "10.0.0.2"))] == [None] * 3
    assert crowd.came("d", "10.0.0.3") == "b"
    assert crowd.came("e", "10.0.0.3") == "d", "and not of who has one, although that is older"
    assert crowd.came("f", "10.0.0.4") == "a", "of as many each, the oldest of all"


def test_who_went_leaves_room() -> None:
    crowd: Crowd[str] = Crowd(1)
    crowd.came("a", "10.0.0.1")
    crowd.went("a")
    crowd.went("a")
    assert crowd.came("b", "10.0.0.1") is None


def test_a_network_of_ipv6_is_one_client() -> None:
    crowd: Crowd[str] = Crowd(2)
    for each in (("a", "2001:db8::1"), ("b", "::ffff:10.0.0.1")):
        assert crowd.came(*each) is None
    assert crowd.came("c", "2001:db8::2") == "a"
    assert crowd.came("d", "10.0.0.1") == "b"
