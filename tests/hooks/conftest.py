"""A service that hooks call, one for each module, forgetful between tests."""

import pytest

from tests.notices.conftest import make_authority
from tests.support.receiver import Receiver


@pytest.fixture(scope="module")
def receiver():
    made = Receiver()
    yield made
    made.close()


@pytest.fixture(autouse=True)
def quiet(receiver):
    receiver.calls.clear()
    receiver.headers.clear()
    receiver.bodies.clear()
    receiver.delay = 0.0
    receiver.says(b"", status=204, media_type="")


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    return make_authority(tmp_path_factory.mktemp("authority"))
