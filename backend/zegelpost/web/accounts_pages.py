"""Pages about everyone's accounts, for administrators: who gets in, and with which rights. One's own is in `account_pages.py`."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.refusals import AccountStillOn, EmailAddressInvalid, OwnAccount, ReceiverIsOneself, ReceiverUnknown
from zegelpost.services.access import StaffActor
from zegelpost.services.running_accounts import RunningAccounts
from zegelpost.web.errors import ANSWERS
from zegelpost.web.forms import spoken
from zegelpost.web.pages import StaffFormHandler, page, page_number, signed_in, staff_form

_DONE: Final = frozenset({"off", "on", "rights", "handed"})


async def accounts(request: Request, actor: StaffActor) -> Response:
    return await _list(request, actor, page_number(request), "")


async def search(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    """Posted, so that names stay out of addresses and logs."""
    return await _list(request, actor, 1, form.get("letters", "")[:200])


async def _list(request: Request, actor: StaffActor, number: int, letters: str) -> Response:
    found = await request.app.state.services.running_accounts.accounts(actor, page=number, letters=letters)
    return page(
        request,
        "accounts.html",
        actor,
        current_page="administration",
        found=found,
        letters=letters,
        language_href="/admin/accounts",
    )


async def account(request: Request, actor: StaffActor) -> Response:
    return await _one(request, actor)


async def _one(
    request: Request,
    actor: StaffActor,
    *,
    error: str = "",
    status: int = 200,
    typed_email: str = "",
    email_error: str = "",
) -> Response:
    running: RunningAccounts = request.app.state.services.running_accounts
    found = await running.account(actor, request.path_params["user_id"])
    done = request.query_params.get("done", "")
    return page(
        request,
        "account_of_someone.html",
        actor,
        status,
        current_page="administration",
        account=found,
        given_elsewhere=running.given_elsewhere,
        holdings=await request.app.state.services.reassigning.holdings(actor, found.id) if found.is_switched_off else None,
        typed_email=typed_email,
        errors={"email": email_error} if email_error else {},
        done=done if done in _DONE else "",
        error=error,
        language_href=f"/admin/accounts/{found.id}",
    )


def _handing_over(act: Callable[[Request, StaffActor, str, str], Awaitable[Response]]) -> Any:
    """A step of handing over to an address; what is wrong with it is said where it was typed."""

    async def handler(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
        user_id, typed = request.path_params["user_id"], form.get("email", "")[:254]
        try:
            return await act(request, actor, user_id, typed)
        except (EmailAddressInvalid, ReceiverIsOneself, ReceiverUnknown) as refusal:
            return await _one(request, actor, status=422, typed_email=typed, email_error=spoken(request, refusal))
        except (OwnAccount, AccountStillOn) as refusal:
            return await _one(request, actor, error=spoken(request, refusal), status=ANSWERS[type(refusal)].status)

    checked: StaffFormHandler = handler
    return staff_form(checked)


async def _ask_hand_over(request: Request, actor: StaffActor, user_id: str, typed: str) -> Response:
    """Once more, with the name of who has the address: a wrong one would give someone's whole post to another."""
    services = request.app.state.services
    return page(
        request,
        "account_hand_over.html",
        actor,
        current_page="administration",
        account=await services.running_accounts.account(actor, user_id),
        receiver=await services.reassigning.receiver(actor, user_id, typed),
        holdings=await services.reassigning.holdings(actor, user_id),
        language_href=f"/admin/accounts/{user_id}",
    )


async def _hand_over(request: Request, actor: StaffActor, user_id: str, typed: str) -> Response:
    await request.app.state.services.reassigning.reassign(actor, user_id, typed)
    return RedirectResponse(f"/admin/accounts/{user_id}?done=handed", 303)


def _action(done: str, act: Callable[[RunningAccounts, StaffActor, str, Mapping[str, str]], Awaitable[Any]]) -> Any:
    """A button on an account: do it and show the account again."""

    async def handler(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
        user_id: str = request.path_params["user_id"]
        try:
            await act(request.app.state.services.running_accounts, actor, user_id, form)
        except OwnAccount as refusal:
            return await _one(request, actor, error=spoken(request, refusal), status=ANSWERS[OwnAccount].status)
        return RedirectResponse(f"/admin/accounts/{user_id}?done={done}", 303)

    checked: StaffFormHandler = handler
    return staff_form(checked)


def routes() -> list[Route]:
    one = "/admin/accounts/{user_id}"
    rights = _action(
        "rights",
        lambda s, a, u, form: s.give_rights(a, u, is_administrator="is_administrator" in form, is_auditor="is_auditor" in form),
    )
    return [
        Route("/admin/accounts", signed_in(accounts), methods=["GET"]),
        Route("/admin/accounts", staff_form(search), methods=["POST"]),
        Route(one, signed_in(account), methods=["GET"]),
        Route(f"{one}/switch-off", _action("off", lambda s, a, u, _: s.switch_off(a, u)), methods=["POST"]),
        Route(f"{one}/switch-on", _action("on", lambda s, a, u, _: s.switch_on(a, u)), methods=["POST"]),
        Route(f"{one}/rights", rights, methods=["POST"]),
        Route(f"{one}/hand-over", _handing_over(_ask_hand_over), methods=["POST"]),
        Route(f"{one}/hand-over/confirm", _handing_over(_hand_over), methods=["POST"]),
    ]
