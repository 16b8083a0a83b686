"""Pages about departments: who works for them and how they appear to outsiders."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from zegelpost.model.department import DepartmentRole
from zegelpost.model.refusals import FormRefused, NotFound, Refusal
from zegelpost.services.access import StaffActor, require_administrator
from zegelpost.services.running_departments import TypedDepartment
from zegelpost.web.errors import ANSWERS
from zegelpost.web.forms import sentences, spoken
from zegelpost.web.pages import page, signed_in, staff_form

_DONE: Final = frozenset({"opened", "changed", "added", "role", "removed", "closed", "reopened"})


async def departments(request: Request, actor: StaffActor) -> Response:
    found = await request.app.state.services.running_departments.departments(actor)
    return page(request, "departments.html", actor, current_page="departments", departments=found)


async def new_department(request: Request, actor: StaffActor) -> Response:
    require_administrator(actor)
    return _new(request, actor, TypedDepartment(), "", {})


def _new(request: Request, actor: StaffActor, typed: TypedDepartment, manager: str, errors: Mapping[str, str]) -> Response:
    return page(
        request,
        "department_form.html",
        actor,
        422 if errors else 200,
        current_page="departments",
        typed=typed,
        manager=manager,
        errors=errors,
        language_href="/departments/new",
    )


def _typed(form: Mapping[str, str]) -> TypedDepartment:
    return TypedDepartment(
        name=form.get("name", ""),
        sender_name=form.get("sender_name", ""),
        email=form.get("email", ""),
        is_on_intake="is_on_intake" in form,
    )


async def open_department(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
    typed, manager = _typed(form), form.get("manager", "")
    try:
        department_id = await request.app.state.services.running_departments.open(actor, typed, manager)
    except FormRefused as refused:
        return _new(request, actor, typed, manager, sentences(request, refused))
    return RedirectResponse(f"/departments/{department_id}?done=opened", 303)


async def department_page(request: Request, actor: StaffActor) -> Response:
    return await _department(request, actor)


async def _department(
    request: Request,
    actor: StaffActor,
    *,
    error: str = "",
    errors: Mapping[str, str] | None = None,
    form: Mapping[str, str] | None = None,
    status: int = 200,
) -> Response:
    overview = await request.app.state.services.running_departments.department(actor, request.path_params["department_id"])
    # One page holds two forms with an address; what was typed goes back to the one that it was typed in.
    is_member_form = form is not None and "role" in form
    done = request.query_params.get("done", "")
    return page(
        request,
        "department.html",
        actor,
        status,
        current_page="departments",
        department=overview,
        typed=_typed(form) if form is not None and not is_member_form else overview,
        member_email=form.get("email", "") if form is not None and is_member_form else "",
        errors=errors or {},
        is_member_form=is_member_form,
        error=error,
        done=done if done in _DONE else "",
        language_href=f"/departments/{overview.id}",
    )


def _role(form: Mapping[str, str]) -> DepartmentRole:
    return DepartmentRole.MANAGER if form.get("role") == DepartmentRole.MANAGER else DepartmentRole.MEMBER


def _action(done: str, act: Callable[[Any, str, Request, StaffActor, Mapping[str, str]], Awaitable[object]]) -> Any:
    """A button on a department: do it and show the department again, with what became of it."""

    async def handler(request: Request, actor: StaffActor, form: Mapping[str, str]) -> Response:
        department_id: str = request.path_params["department_id"]
        try:
            await act(request.app.state.services.running_departments, department_id, request, actor, form)
        except FormRefused as refused:
            return await _department(request, actor, errors=sentences(request, refused), form=form, status=422)
        except NotFound:
            raise
        except Refusal as refusal:
            return await _department(request, actor, error=spoken(request, refusal), status=ANSWERS[type(refusal)].status)
        if done == "removed" and request.path_params["user_id"] == actor.user.id and not actor.user.is_administrator:
            return RedirectResponse("/departments", 303)
        return RedirectResponse(f"/departments/{department_id}?done={done}", 303)

    return staff_form(handler)


def routes() -> list[Route]:
    one, get, post = "/departments/{department_id}", ["GET"], ["POST"]
    member = one + "/members/{user_id}"
    return [
        Route("/departments", signed_in(departments), methods=get),
        Route("/departments", staff_form(open_department), methods=post),
        Route("/departments/new", signed_in(new_department), methods=get),
        Route(one, signed_in(department_page), methods=get),
        Route(one, _action("changed", lambda s, d, _, actor, form: s.change(actor, d, _typed(form))), methods=post),
        Route(
            f"{one}/members",
            _action("added", lambda s, d, _, actor, form: s.add_member(actor, d, form.get("email", ""), _role(form))),
            methods=post,
        ),
        Route(
            f"{member}/role",
            _action("role", lambda s, d, r, actor, form: s.set_role(actor, d, r.path_params["user_id"], _role(form))),
            methods=post,
        ),
        Route(
            f"{member}/remove",
            _action("removed", lambda s, d, r, actor, _: s.remove_member(actor, d, r.path_params["user_id"])),
            methods=post,
        ),
        Route(f"{one}/close", _action("closed", lambda s, d, _, actor, __: s.close(actor, d)), methods=post),
        Route(f"{one}/reopen", _action("reopened", lambda s, d, _, actor, __: s.reopen(actor, d)), methods=post),
    ]
