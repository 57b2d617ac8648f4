"""`keystead mail`: whether mail gets out."""

from typing import Annotated

import typer

from keystead.accounts.deliver_mail import MailServerMissing
from keystead.cli.running import EXIT_REFUSED, fail, with_core
from keystead.core import Core
from keystead.notices.smtp import MailDeferred, MailRejected, MailServerDown

app = typer.Typer(help="Try the mail server.", no_args_is_help=True)


@app.command()
def test(recipient: Annotated[str, typer.Argument(help="An address whose mailbox you can read.")]) -> None:
    """Send a mail now, and say what the mail server says."""

    async def act(core: Core) -> None:
        await core.mail.send_test(recipient)

    try:
        with_core(act)
    except MailServerMissing as error:
        raise fail("mail.host is not set: set APP_MAIL__HOST to your SMTP server", EXIT_REFUSED) from error
    except MailServerDown as error:
        raise fail(f"the mail server cannot be used: {error}", EXIT_REFUSED) from error
    except (MailDeferred, MailRejected) as error:
        raise fail(f"the mail server did not take the mail: {error}", EXIT_REFUSED) from error
    typer.echo(f"The mail server took a mail to {recipient}.")
