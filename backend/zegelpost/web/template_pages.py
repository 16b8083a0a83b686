"""Pages about templates, and about one's own signature."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.refusals import FormRefused, Refusal
from zegelpost.model.template import TemplateText, TemplateUse
from zegelpost.services.access import StaffActor
from zegelpost.services.keeping_templates import TemplateContent
from zegelpost.web.forms import sentences, spoken
from zegelpost.web.pages import page, signed_in, staff_form

_DONE: Final = frozenset({"saved", "deleted", "signed"})
_FIELDS: Final = ("name", "text", "use", "department_id", "is_default")


async def templates(request: Request, actor: StaffActor) -> Response:
    return await _list(request, actor, actor.user.signature, {})


async def _list(request: Request, actor: StaffActor, signature: str, errors: Mapping[str, str]) -> Response:
    found = await request.app.state.services.keeping_templates.templates(actor)
    done = request.query_params.get("done", "")
    return page(
        request,
        "templates.html",
        actor,
        422 if errors else 200,
        current_page="templates",
        templates=found,
        signature=signature,
        errors=errors,
        done=done if done in _DONE else "",
        language_href="/templates",
    )


async def sign(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    signature = form.get("signature", "")
    try:
        await request.app.state.services.keeping_templates.sign(actor, signature)
    except FormRefused as refused:
        return await _list(request, actor, signature, sentences(request, refused))
    return RedirectResponse("/templates?done=signed", 303)


async def new_template(request: Request, actor: StaffActor) -> Response:
    return _form(request, actor, dict.fromkeys(_FIELDS, "") | {"use": "send"}, "/templates/new", {})


def _form(
    request: Request,
    actor: StaffActor,
    typed: Mapping[str, str],
    action: str,
    errors: Mapping[str, str],
    *,
    is_known: bool = False,
) -> Response:
    return page(
        request,
        "template_form.html",
        actor,
        422 if errors else 200,
        current_page="templates",
        typed=typed,
        action=action,
        errors=errors,
        is_known=is_known,
        language_href=action,
    )


def _typed(form: Mapping[str, str]) -> dict[str, str]:
    return {name: form.get(name, "") for name in _FIELDS}


def _content(typed: Mapping[str, str]) -> TemplateContent:
    use = TemplateUse(typed["use"]) if typed["use"] in set(TemplateUse) else TemplateUse.SEND
    return TemplateContent(
        text=TemplateText.parse(name=typed["name"], text=typed["text"]),
        use=use,
        is_default=bool(typed["is_default"]),
        department_id=typed["department_id"],
    )


async def add_template(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    typed = _typed(form)
    try:
        await request.app.state.services.keeping_templates.add(actor, _content(typed))
    except FormRefused as refused:
        return _form(request, actor, typed, "/templates/new", sentences(request, refused))
    except Refusal as refusal:
        return _form(request, actor, typed, "/templates/new", {"name": spoken(request, refusal)})
    return RedirectResponse("/templates?done=saved", 303)


async def edit_template(request: Request, actor: StaffActor) -> Response:
    known = await request.app.state.services.keeping_templates.template(actor, request.path_params["template_id"])
    typed = {
        "name": known.text.name,
        "text": known.text.text,
        "use": known.use.value,
        "department_id": known.department_id,
        "is_default": "1" if known.is_default else "",
    }
    return _form(request, actor, typed, f"/templates/{known.id}", {}, is_known=True)


async def change_template(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    keeping, typed = request.app.state.services.keeping_templates, _typed(form)
    known = await keeping.template(actor, request.path_params["template_id"])
    try:
        await keeping.change(actor, known.id, _content(typed))
    except FormRefused as refused:
        return _form(request, actor, typed, f"/templates/{known.id}", sentences(request, refused), is_known=True)
    return RedirectResponse("/templates?done=saved", 303)


async def confirm_delete(request: Request, actor: StaffActor) -> Response:
    known = await request.app.state.services.keeping_templates.template(actor, request.path_params["template_id"])
    href = f"/templates/{known.id}/delete"
    return page(request, "template_delete.html", actor, current_page="account", template=known, language_href=href)


async def delete_template(request: Request, actor: StaffActor, _: Mapping[str, str]) -> Response:
    await request.app.state.services.keeping_templates.delete(actor, request.path_params["template_id"])
    return RedirectResponse("/templates?done=deleted", 303)


def routes() -> list[Route]:
    one, get, post = "/templates/{template_id}", ["GET"], ["POST"]
    return [
        Route("/templates", signed_in(templates), methods=get),
        Route("/templates/signature", staff_form(sign), methods=post),
        Route("/templates/new", signed_in(new_template), methods=get),
        Route("/templates/new", staff_form(add_template), methods=post),
        Route(one, signed_in(edit_template), methods=get),
        Route(one, staff_form(change_template), methods=post),
        Route(f"{one}/delete", signed_in(confirm_delete), methods=get),
        Route(f"{one}/delete", staff_form(delete_template), methods=post),
    ]
