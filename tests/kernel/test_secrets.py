"""Secrets do not show, however somebody tries to print them."""

import json
import multiprocessing
import pickle

import pytest

from keystead.kernel.secrets import Secret, digest, new_secret

CANARY = "canary-3f9a"


def test_a_secret_does_not_show():
    secret = Secret(CANARY)
    shown = [
        repr(secret),
        str(secret),
        f"{secret}",
        f"{secret:>20}",
        f"{secret!r}",
        f"{secret}",
        repr([secret]),
    ]
    assert not any(CANARY in text for text in shown)


def test_a_secret_is_neither_pickled_nor_encoded():
    with pytest.raises(TypeError):
        pickle.dumps(Secret(CANARY))
    with pytest.raises(TypeError):
        json.dumps(Secret(CANARY))


def test_secrets_compare_by_value_and_only_with_secrets():
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert len({Secret("a"), Secret("a")}) == 1


def test_new_secrets_are_long_and_differ():
    made = {new_secret().reveal() for _ in range(1000)}
    assert len(made) == 1000
    assert all(len(text) >= 43 for text in made)


def test_a_digest_is_sha_256_of_text_or_bytes():
    assert digest("abc") == digest(b"abc")
    assert digest("abc").hex() == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def many(_worker):
    return {new_secret().reveal() for _ in range(20_000)}


def test_asvs_v5_11_5_2_workers_that_were_forked_make_no_secret_twice():
    context = multiprocessing.get_context("forkserver")  # which forks from one process that has made none
    context.set_forkserver_preload(["keystead.kernel.secrets"])
    with context.Pool(4) as pool:
        made = pool.map(many, range(4))
    assert len(set().union(*made)) == 4 * 20_000
