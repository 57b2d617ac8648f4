"""One visit to the page of a mailed link: its form, what came of it, and what a person is told where it fails."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus

from keystead.api.rest.problems import headers_of, status_of
from keystead.api.rest.routes import Call, Reply
from keystead.api.web.languages import choose
from keystead.api.web.pages import page
from keystead.api.web.words import Facts
from keystead.kernel.application import LinkTo
from keystead.kernel.errors import InvalidInput, Overloaded, Refusal, Unavailable
from keystead.tickets.types import Purpose, TicketRefused
from keystead.users.known_passwords.breach_service import PasswordsUnchecked
from keystead.users.passwords import MAX_BYTES
from keystead.users.profile import MAX_NAME_LENGTH
from keystead.users.types import EmailTaken

# What a page tells, and no problem. InvalidInput shows the form again.
TOLD = (TicketRefused, EmailTaken, Overloaded, PasswordsUnchecked, Unavailable)


@dataclass(frozen=True, slots=True)
class Landing:
    """Where one kind of link leads: what its ticket is good for, and what the person fills in."""

    to: LinkTo
    purpose: Purpose
    fields: tuple[str, ...] = ()


class Visit:
    """Until `peek` has found the ticket, the page speaks for the default application."""

    def __init__(self, call: Call, landing: Landing) -> None:
        self.token: str = call.request.path_params["token"]
        self._call = call
        self._landing = landing
        self._words = choose(call.request.headers.get("accept-language", ""), call.settings.mail.locale)
        self._application = call.core.applications.book.default

    async def peek(self) -> None:
        """Raises TicketRefused where the link is not valid any more. Nothing is used up."""
        ticket = await self._call.core.flows.peek(self.token, self._landing.purpose)
        self._application = self._call.core.applications.book.of(ticket.client_id)

    def form(self, refusal: InvalidInput | None = None, typed: Mapping[str, str] | None = None) -> Reply:
        """With what is wrong beside each field, and what was `typed`: the password never is."""
        link = self._words.links[self._landing.to]
        values = {
            "title": link.title,
            "lead": link.lead,
            "button": link.button,
            "fields": self._landing.fields,
            "problems": {} if refusal is None else self._by_field(refusal),
            "typed": typed or {},
            "min_length": self._call.settings.auth.password.min_length,
        }
        status = HTTPStatus.OK if refusal is None else status_of(InvalidInput)
        return self._page("form.html", values, status=status)

    def done(self) -> Reply:
        link = self._words.links[self._landing.to]
        return self._notice(
            link.done_title, link.done, goes_on_at=next(iter(self._application.redirect_urls), None)
        )

    def explain(self, refusal: Refusal) -> Reply:
        """One of TOLD, with its own status."""
        words = self._words
        status, headers = status_of(type(refusal)), headers_of(refusal)
        match refusal:
            case TicketRefused():
                more = words.links[self._landing.to].refused
                return self._notice(words.refused_title, words.refused, more, status=status, headers=headers)
            case EmailTaken():
                return self._notice(words.taken_title, words.taken, status=status, headers=headers)
            case _:
                return self._notice(
                    words.busy_title, words.busy, may_try_again=True, status=status, headers=headers
                )

    def _notice(
        self,
        title: str,
        *paragraphs: str,
        may_try_again: bool = False,
        goes_on_at: str | None = None,
        status: HTTPStatus = HTTPStatus.OK,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        values = {
            "title": title,
            "paragraphs": paragraphs,
            "may_try_again": may_try_again,
            "goes_on_at": goes_on_at,
        }
        return self._page("notice.html", values, status=status, headers=headers or {})

    def _page(
        self,
        template: str,
        values: Mapping[str, object],
        *,
        status: HTTPStatus,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        shared = {"words": self._words, "product": self._application.name, "say": self._say}
        language = {"vary": "Accept-Language", "content-language": self._words.language}
        return page(template, {**shared, **values}, status=status, headers={**language, **(headers or {})})

    def _by_field(self, refusal: InvalidInput) -> dict[str, str]:
        """A sentence for each bad field; the first, where one has several."""
        found: dict[str, str] = {}
        for error in refusal.errors:
            words = self._words.problems.get(error.code)
            found.setdefault(error.pointer.removeprefix("/"), self._say(words) if words else error.message)
        return found

    def _say(self, sentence: str) -> str:
        """With what it mentions in braces."""
        facts = Facts(
            product=self._application.name,
            min_length=self._call.settings.auth.password.min_length,
            max_bytes=MAX_BYTES,
            max_name_length=MAX_NAME_LENGTH,
        )
        return sentence.format(**facts)
