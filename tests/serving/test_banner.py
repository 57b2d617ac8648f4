"""What a person sees when everything runs."""

from pathlib import Path

import pytest

from keystead.serving.banner import Situation, banner


def said(*, keeps_mail):
    situation = Situation(
        profile="development",
        url="http://127.0.0.1:3000",
        metrics_url="http://127.0.0.1:9090/metrics",
        workers=1,
        data=Path("/srv/.keystead"),
        database=Path("/srv/.keystead/postgres"),
        has_embedded_redis=True,
        keeps_mail=keeps_mail,
    )
    return banner(situation).splitlines()


@pytest.mark.parametrize("keeps_mail", [True, False])
def test_it_says_where_mails_are_read_that_do_not_leave_the_machine(keeps_mail):
    assert ("  Mail       http://127.0.0.1:3000/dev/mail" in said(keeps_mail=keeps_mail)) == keeps_mail
