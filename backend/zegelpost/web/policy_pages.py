"""Pages about the policy, for administrators: what counts now, by default and since when; and choosing something else."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.policy import Policy
from zegelpost.model.policy_fields import BY_NAME, PolicyGroup
from zegelpost.model.refusals import FormRefused, LogoTooLarge, LogoUnusable
from zegelpost.model.whole_number import whole_number
from zegelpost.services.access import StaffActor, require_administrator
from zegelpost.services.changing_policy import ChangingPolicy
from zegelpost.services.choosing_logo import ChoosingLogo
from zegelpost.web.contact_import_pages import checked_file_form
from zegelpost.web.forms import sentences, spoken
from zegelpost.web.pages import Handler, page, signed_in, staff_form

PATH: Final = "/admin/policy"
# Pictures are handed in on a form of their own.
_UPLOADED: Final = "logo"


async def policy(request: Request, actor: StaffActor) -> Response:
    return await _overview(request, actor)


async def _overview(request: Request, actor: StaffActor, errors: Mapping[str, str] | None = None, status: int = 200) -> Response:
    changing: ChangingPolicy = request.app.state.services.changing_policy
    done = request.query_params.get("done", "")
    return page(
        request,
        "policy.html",
        actor,
        status,
        current_page="administration",
        overview=await changing.overview(actor),
        groups=list(PolicyGroup),
        by_settings=_by_settings(request),
        done=done if done in {*PolicyGroup, "default"} else "",
        errors=errors or {},
        language_href=PATH,
    )


async def reset(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    changing: ChangingPolicy = request.app.state.services.changing_policy
    try:
        await changing.reset(actor, form.get("field", ""))
    except FormRefused as refused:
        return await _overview(request, actor, sentences(request, refused), 422)
    return RedirectResponse(f"{PATH}?done=default", 303)


def _group_page(group: PolicyGroup) -> Handler:
    async def handler(request: Request, actor: StaffActor) -> Response:
        return await _form(request, actor, group, {}, {})

    return signed_in(handler)


def _group_form(group: PolicyGroup) -> Handler:
    async def handler(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
        changing: ChangingPolicy = request.app.state.services.changing_policy
        typed = typed_values(form)
        version = whole_number(form.get("version", ""), most_digits=9) or 0
        try:
            await changing.change(actor, group, typed, version)
        except FormRefused as refused:
            return await _form(request, actor, group, typed, sentences(request, refused))
        return RedirectResponse(f"{PATH}?done={group}#{group}", 303)

    return staff_form(handler)


def typed_values(form: Mapping[str, str]) -> dict[str, str]:
    """By the field's name; the places of the methods are controls of their own, one after the other."""
    typed = {name: value for name, value in form.items() if name in BY_NAME and name != _UPLOADED}
    places = sorted(name for name in form if name.startswith("methods-"))
    if places:
        typed["methods"] = ",".join(form[name] for name in places)
    return typed


async def _form(
    request: Request, actor: StaffActor, group: PolicyGroup, typed: Mapping[str, str], errors: Mapping[str, str]
) -> Response:
    changing: ChangingPolicy = request.app.state.services.changing_policy
    overview = await changing.overview(actor)
    return page(
        request,
        "policy_form.html",
        actor,
        422 if errors else 200,
        current_page="administration",
        group=group,
        overview=overview,
        fields=[state for state in overview.fields.values() if state.group == group],
        by_settings=_by_settings(request),
        # What was typed stays, also where it was refused.
        typed={name: typed.get(name, state.typed) for name, state in overview.fields.items()},
        errors=errors,
        language_href=f"{PATH}/{group}",
    )


async def choose_logo(request: Request, actor: StaffActor) -> Response:
    choosing: ChoosingLogo = request.app.state.services.choosing_logo
    require_administrator(actor)
    _, content = await checked_file_form(request, actor)
    group = PolicyGroup.ORGANISATION
    try:
        await choosing.choose(actor, content)
    except FormRefused as refused:
        return await _form(request, actor, group, {}, sentences(request, refused))
    except (LogoTooLarge, LogoUnusable) as refusal:
        return await _form(request, actor, group, {}, {"file": spoken(request, refusal)})
    return RedirectResponse(f"{PATH}?done={group}#{group}", 303)


def _by_settings(request: Request) -> Policy:
    found: Policy = request.app.state.services.governing.by_settings.policy
    return found


def routes() -> list[Route]:
    return [
        Route(PATH, signed_in(policy), methods=["GET"]),
        Route(f"{PATH}/default", staff_form(reset), methods=["POST"]),
        Route(f"{PATH}/logo", signed_in(choose_logo), methods=["POST"]),
        *(Route(f"{PATH}/{group}", _group_page(group), methods=["GET"]) for group in PolicyGroup),
        *(Route(f"{PATH}/{group}", _group_form(group), methods=["POST"]) for group in PolicyGroup),
    ]
