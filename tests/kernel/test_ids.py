"""Ids are UUIDs of version 7: unique, and in the order of their making."""

import time

from keystead.kernel.ids import new_uuid


def test_ids_are_version_7_of_the_rfc_variant():
    made = new_uuid()
    assert made.version == 7
    assert made.variant == "specified in RFC 4122"


def test_ids_hold_the_time_of_their_making():
    before = time.time_ns() // 1_000_000
    milliseconds = new_uuid().int >> 80
    assert before <= milliseconds <= time.time_ns() // 1_000_000


def test_ids_do_not_repeat():
    assert len({new_uuid() for _ in range(20_000)}) == 20_000
