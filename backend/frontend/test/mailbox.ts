/** A draft in the stand-in Outlook, and the wall's view of it. */
import assert from 'node:assert/strict'
import type { Draft } from '../../../addin/src/office/draft'
import { connect, type Outlook } from '../../../addin/src/office/outlook'
import { type Mailbox, officeOver } from '../../../addin/src/stand-in/outlook'

export function attachment(id: string, content = 'abc'): Mailbox['attachments'][number] {
  return { id, name: `${id}.pdf`, size: content.length, isInline: false, attachmentType: 'file', content: btoa(content) }
}

export function mailbox(client = 'web', changes: Partial<Mailbox> = {}): Mailbox {
  return {
    client,
    language: 'nl-NL',
    mode: 'compose',
    to: [{ displayName: 'Rosa', emailAddress: 'rosa@zorg.example', recipientType: 'externalUser' }],
    cc: [],
    bcc: [],
    subject: 'Besluit',
    body: 'Hierbij',
    from: { displayName: 'Anna', emailAddress: 'anna@zegelpost.example' },
    attachments: [attachment('1'), { ...attachment('beeld'), isInline: true }, attachment('2')],
    headers: {},
    isClosed: false,
    notices: {},
    failing: new Set(),
    silent: new Set(),
    delayMs: 1,
    settings: {},
    isDark: false,
    handlers: {},
    changed: () => undefined,
    ...changes,
  }
}

export async function outlookOver(box: Mailbox): Promise<Outlook> {
  Object.assign(globalThis, { Office: officeOver(box, {} as Window) })
  return connect()
}

export async function draftOf(box: Mailbox): Promise<Draft> {
  const { draft } = await outlookOver(box)
  assert.ok(draft)
  return draft
}
