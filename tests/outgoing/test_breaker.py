"""When a service is left alone, and how it is tried again."""

from keystead.outgoing.breaker import IN_A_ROW, Breaker


def test_the_breaker_lets_one_try_and_closes_when_it_is_well():
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    for _ in range(IN_A_ROW):
        assert breaker.admits()
        breaker.note(success=False)
    assert not breaker.admits()
    now[0] = 10.1
    assert [breaker.admits() for _ in range(5)] == [True, False, False, False, False]
    breaker.note(success=True)
    assert all(breaker.admits() for _ in range(5))


def test_the_breaker_rests_on_when_the_try_fails_and_hears_nothing_of_calls_from_before():
    now = [0.0]
    breaker = Breaker(lambda: now[0])
    for _ in range(IN_A_ROW):
        breaker.note(success=False)
    breaker.note(success=True)  # of a call that was under way
    assert breaker.is_open
    now[0] = 10.1
    assert breaker.admits()
    breaker.note(success=False)
    now[0] = 20.0
    assert not breaker.admits()
    now[0] = 20.2
    assert breaker.admits()  # and whoever tried is gone: the next one tries after the rest
    now[0] = 30.3
    assert breaker.admits()
    breaker.note(success=True)
    assert not breaker.is_open


def test_the_breaker_opens_when_half_of_the_last_twenty_failed():
    breaker = Breaker()
    for _ in range(9):
        breaker.note(success=False)
        breaker.note(success=True)
        assert not breaker.is_open
    breaker.note(success=False)
    assert breaker.is_open

    well = Breaker()
    for number in range(200):
        well.note(success=number % 3 != 0)
        assert not well.is_open
