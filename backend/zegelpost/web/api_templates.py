"""The API's part on templates: the standard texts of the person and their departments."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from pydantic import Field
from starlette.requests import Request
from starlette.responses import Response

from zegelpost.model import refusals as r
from zegelpost.model.template import TemplateText, TemplateUse
from zegelpost.services.access import StaffActor
from zegelpost.services.keeping_templates import TemplateContent, TemplateOverview
from zegelpost.web.api_handlers import as_json, parsed, signed_in
from zegelpost.web.api_models import Input, View
from zegelpost.web.openapi import PREFIX, Answer, Operation


class TemplateInput(Input):
    name: str
    text: Annotated[str, Field(description="With {name}, {reference} and {signature} where those belong.")]
    use: TemplateUse = TemplateUse.SEND
    is_default: bool = False
    department_id: Annotated[str | None, Field(description="Whose it is; left out: one's own.")] = None


class TemplateChange(Input):
    """What is left out, or null, stays."""

    name: str | None = None
    text: str | None = None
    use: TemplateUse | None = None
    is_default: bool | None = None
    department_id: Annotated[str | None, Field(description="Empty: one's own.")] = None


class TemplateView(View):
    id: str
    name: str
    text: str
    use: TemplateUse
    is_default: bool
    department_id: str | None

    @classmethod
    def of(cls, template: TemplateOverview) -> TemplateView:
        return cls(
            id=template.id,
            name=template.text.name,
            text=template.text.text,
            use=template.use,
            is_default=template.is_default,
            department_id=template.department_id or None,
        )


class TemplatesView(View):
    items: Sequence[TemplateView]


def template_operations() -> list[Operation]:
    """The rows of the table in `api.py` that are about templates."""
    one = "/templates/{template_id}"
    return [
        Operation(
            method="POST",
            path="/templates",
            name="create_template",
            summary="Add a standard text.",
            handler=signed_in(_create),
            body=TemplateInput,
            answers=[
                Answer(status=201, description="Added.", models=[TemplateView], headers={"Location": "Address of the template."})
            ],
            refusals=[r.FormRefused, r.TooManyTemplates],
        ),
        Operation(
            method="GET",
            path="/templates",
            name="list_templates",
            summary="Standard texts of the person and their departments, by name.",
            handler=signed_in(_list),
            answers=[Answer(description="All of them.", models=[TemplatesView])],
        ),
        Operation(
            method="GET",
            path=one,
            name="get_template",
            summary="One standard text.",
            handler=signed_in(_get),
            answers=[Answer(description="The template.", models=[TemplateView])],
            refusals=[r.NotFound],
        ),
        Operation(
            method="PATCH",
            path=one,
            name="change_template",
            summary="Change a standard text.",
            handler=signed_in(_change),
            body=TemplateChange,
            answers=[Answer(description="The template as it is now.", models=[TemplateView])],
            refusals=[r.NotFound, r.FormRefused],
        ),
        Operation(
            method="DELETE",
            path=one,
            name="delete_template",
            summary="Delete a standard text.",
            handler=signed_in(_delete),
            answers=[Answer(status=204, description="Deleted.")],
            refusals=[r.NotFound],
        ),
    ]


async def _create(request: Request, actor: StaffActor) -> Response:
    wanted = await parsed(request, TemplateInput)
    keeping = request.app.state.services.keeping_templates
    content = TemplateContent(
        text=TemplateText.parse(name=wanted.name, text=wanted.text),
        use=wanted.use,
        is_default=wanted.is_default,
        department_id=wanted.department_id or "",
    )
    template_id = await keeping.add(actor, content)
    view = TemplateView.of(await keeping.template(actor, template_id))
    return as_json(view, 201, {"Location": f"{PREFIX}/templates/{template_id}"})


async def _list(request: Request, actor: StaffActor) -> Response:
    found = await request.app.state.services.keeping_templates.templates(actor)
    return as_json(TemplatesView(items=[TemplateView.of(each) for each in found]))


async def _get(request: Request, actor: StaffActor) -> Response:
    template = await request.app.state.services.keeping_templates.template(actor, request.path_params["template_id"])
    return as_json(TemplateView.of(template))


async def _change(request: Request, actor: StaffActor) -> Response:
    wanted = await parsed(request, TemplateChange)
    keeping = request.app.state.services.keeping_templates
    known: TemplateOverview = await keeping.template(actor, request.path_params["template_id"])
    content = TemplateContent(
        text=TemplateText.parse(
            name=known.text.name if wanted.name is None else wanted.name,
            text=known.text.text if wanted.text is None else wanted.text,
        ),
        use=wanted.use or known.use,
        is_default=known.is_default if wanted.is_default is None else wanted.is_default,
        department_id=known.department_id if wanted.department_id is None else wanted.department_id,
    )
    await keeping.change(actor, known.id, content)
    return await _get(request, actor)


async def _delete(request: Request, actor: StaffActor) -> Response:
    await request.app.state.services.keeping_templates.delete(actor, request.path_params["template_id"])
    return Response(status_code=204)
