"""Keeping templates: the standard texts of staff users and departments, and putting them where they are used."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import ColumnElement, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from zegelpost.database import Database
from zegelpost.model.clock import Clock
from zegelpost.model.identifiers import DepartmentId, TemplateId, new_identifier
from zegelpost.model.refusals import DepartmentNotFound, FormRefused, SignatureTooLong, TooManyTemplates
from zegelpost.model.staff_user import LONGEST_SIGNATURE, StaffUser
from zegelpost.model.template import MOST_TEMPLATES, Template, TemplateText, TemplateUse, fill
from zegelpost.services.access import StaffActor, is_templates_owner, own_template
from zegelpost.services.keeping_keys import KeepingKeys


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateOverview:
    id: TemplateId
    text: TemplateText
    use: TemplateUse
    is_default: bool
    department_id: str
    department_name: str


@dataclass(frozen=True, slots=True, kw_only=True)
class TemplateContent:
    """What a template says and where it is offered; already parsed."""

    text: TemplateText
    use: TemplateUse
    is_default: bool
    department_id: str = ""


class KeepingTemplates:
    def __init__(self, database: Database, keeping_keys: KeepingKeys, clock: Clock) -> None:
        self._database = database
        self._keys = keeping_keys
        self._clock = clock

    async def templates(self, actor: StaffActor, use: TemplateUse | None = None) -> list[TemplateOverview]:
        """Those of this person and their departments, by name; only those for one use when it is given."""
        query = select(Template).where(is_templates_owner(actor))
        if use is not None:
            query = query.where(Template.use == use)
        async with self._database.reading() as session:
            found = [self._overview(actor, template) for template in await session.scalars(query)]
        return sorted(found, key=lambda each: (each.text.name.casefold(), each.id))

    async def template(self, actor: StaffActor, template_id: str) -> TemplateOverview:
        """One template. Raises `NotFound`."""
        async with self._database.reading() as session:
            return self._overview(actor, await own_template(session, actor, template_id))

    async def inserted(self, actor: StaffActor, template_id: str) -> str:
        """The text to put into a note, signed. The recipient's name and the reference are filled in when it is read."""
        overview = await self.template(actor, template_id)
        return fill(overview.text.text, signature=actor.user.signature)

    async def default_text(self, actor: StaffActor, use: TemplateUse, department_id: str = "") -> str:
        """What stands in a new note: the default of the department that one writes for, else one's own; often nothing."""
        found = [each for each in await self.templates(actor, use) if each.is_default]
        chosen = [each for each in found if each.department_id == department_id] if department_id else []
        chosen = chosen or [each for each in found if not each.department_id]
        return fill(chosen[0].text.text, signature=actor.user.signature) if chosen else ""

    async def add(self, actor: StaffActor, content: TemplateContent) -> TemplateId:
        """Raises `FormRefused` for a department that is not one's own, `TooManyTemplates`."""
        async with self._database.work() as session:
            _require_department(actor, content)
            count = await session.scalar(select(func.count()).select_from(Template).where(is_templates_owner(actor)))
            if (count or 0) >= MOST_TEMPLATES:
                raise TooManyTemplates(limit=MOST_TEMPLATES)
            template = Template(id=TemplateId(new_identifier()), created_at=self._clock())
            await self._write(session, actor, template, content)
            session.add(template)
        return template.id

    async def change(self, actor: StaffActor, template_id: str, content: TemplateContent) -> None:
        """Raises `NotFound`, `FormRefused`."""
        async with self._database.work() as session:
            _require_department(actor, content)
            await self._write(session, actor, await own_template(session, actor, template_id), content)

    async def delete(self, actor: StaffActor, template_id: str) -> None:
        async with self._database.work() as session:
            await session.delete(await own_template(session, actor, template_id))

    async def sign(self, actor: StaffActor, signature: str) -> None:
        """Set one's own signature. Raises `FormRefused`."""
        signature = signature.replace("\r\n", "\n").strip()
        if len(signature) > LONGEST_SIGNATURE:
            raise FormRefused({"signature": SignatureTooLong(limit=LONGEST_SIGNATURE)})
        async with self._database.work() as session:
            await session.execute(update(StaffUser).where(StaffUser.id == actor.user.id).values(signature=signature))

    async def _write(self, session: AsyncSession, actor: StaffActor, template: Template, content: TemplateContent) -> None:
        if content.is_default:
            # One default for each use in each book.
            await session.execute(
                update(Template)
                .where(_in_book(actor, content.department_id), Template.use == content.use, Template.id != template.id)
                .values(is_default=False)
                .execution_options(synchronize_session=False)
            )
        template.department_id = DepartmentId(content.department_id) if content.department_id else None
        template.owner_id = None if content.department_id else actor.user.id
        template.use, template.is_default = content.use, content.is_default
        template.sealed_text = self._keys.seal_template(content.text, template.id)
        template.changed_at = self._clock()

    def _overview(self, actor: StaffActor, template: Template) -> TemplateOverview:
        return TemplateOverview(
            id=template.id,
            text=self._keys.template_text(template),
            use=template.use,
            is_default=template.is_default,
            department_id=template.department_id or "",
            department_name=actor.departments[template.department_id].name if template.department_id else "",
        )


def _in_book(actor: StaffActor, department_id: str) -> ColumnElement[bool]:
    return Template.department_id == department_id if department_id else Template.owner_id == actor.user.id


def _require_department(actor: StaffActor, content: TemplateContent) -> None:
    if content.department_id and content.department_id not in actor.departments:
        raise FormRefused({"department_id": DepartmentNotFound()})
