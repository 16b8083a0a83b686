/** From draft to sent and emptied: the real uploads against a server on loopback, and the stand-in Outlook. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client, type Transfer, Unreachable } from '../../../addin/src/api/client'
import { NotEmptied, NotHandedOver, type Order, Sending, Stopped, UploadFailed } from '../../../addin/src/compose/sending'
import type { Attachment, Draft } from '../../../addin/src/office/draft'
import type { Mailbox } from '../../../addin/src/stand-in/outlook'
import { attachment, draftOf, mailbox } from './mailbox'
import { NodeHttpStack } from './tus-server'
import { ANYTHING, device, hold, server } from './uploads'

const ID = 'a'.repeat(26)

/** The transfers of a server: one, of which the uploads are elsewhere. */
class Transfers {
  readonly asked: string[] = []
  state = 'draft'
  /** Calls of which the answer gets lost, after the server did its work. */
  readonly losing = new Set<string>()
  /** Calls that come to nothing, once. */
  readonly failing = new Set<string>()

  readonly fetching: typeof fetch = (url, options) => {
    const call = `${options?.method} ${String(url).replace(server.endpoint.replace('/uploads', ''), '').replace(ID, 'ID')}`
    this.asked.push(call)
    if (call.endsWith('/sign-in/code')) return Promise.resolve(Response.json({ access_token: 't' }))
    if (this.failing.delete(call)) return Promise.resolve(new Response('busy', { status: 503 }))
    if (call === 'POST /transfers/ID/send') this.state = 'sent'
    if (this.losing.delete(call)) return Promise.reject(new TypeError('cut'))
    if (call === 'PATCH /transfers/ID' && this.state !== 'draft') return Promise.resolve(Response.json({ code: 'transfer_not_draft' }, { status: 409 }))
    return Promise.resolve(Response.json({ id: ID, state: this.state, recipients: [] }))
  }
}

interface Bench {
  readonly transfers: Transfers
  readonly sending: Sending
  readonly draft: Draft
  order(changes?: Partial<Order>): Promise<Order>
}

async function bench(box: Mailbox): Promise<Bench> {
  const transfers = new Transfers()
  const draft = await draftOf(box)
  const client = new Client(server.endpoint.replace('/uploads', ''), () => Promise.resolve('c'), 'nl', transfers.fetching)
  const ways = { httpStack: new NodeHttpStack(), retryDelays: [] }
  const sending = new Sending(client, draft, ANYTHING, device, { step: () => undefined, uploads: () => undefined }, ways)
  return {
    transfers,
    sending,
    draft,
    order: async (changes = {}) => ({
      transfer: { subject: 'Besluit', reference: '', note: '', recipients: [], expires_in_days: 28, language: 'nl' },
      attachments: ((await draft.attachments()) ?? []).filter((each) => each.kind !== 'picture'),
      files: [],
      copyTo: undefined,
      statement: (transfer: Transfer) => `Verstuurd: ${transfer.id}`,
      ...changes,
    }),
  }
}

const stored = (): string[] => [...server.uploads.values()].map(({ metadata, bytes }) => `${metadata.filename}: ${bytes.toString()}`).sort()

test('what is in the draft and what was chosen goes, and then the draft is empty and marked', async () => {
  const box = mailbox()
  const { sending, transfers, order } = await bench(box)
  await sending.run(await order({ files: [new File(['eigen'], 'eigen.pdf')] }))
  assert.deepEqual(stored(), ['1.pdf: abc', '2.pdf: abc', 'eigen.pdf: eigen'])
  assert.deepEqual(transfers.asked, ['POST /sign-in/code', 'POST /transfers', 'POST /transfers/ID/send'])
  assert.deepEqual([box.to, box.attachments.map((each) => each.id), box.body, box.isClosed], [[], ['beeld'], `Verstuurd: ${ID}`, true])
  assert.deepEqual(box.headers, { 'x-zegelpost-transfer': ID })
})

test('two attachments of one name and size are two documents', async () => {
  const same = (id: string, content: string): Mailbox['attachments'][number] => ({ ...attachment(id, content), name: 'scan.pdf' })
  const { sending, order } = await bench(mailbox('web', { attachments: [same('1', 'een'), same('2', 'twe')] }))
  await sending.run(await order())
  assert.deepEqual(stored(), ['scan.pdf: een', 'scan.pdf: twe'])
})

test('what people take out after a failure does not go along, half or whole', async () => {
  const { sending, order } = await bench(mailbox('web', { attachments: [attachment('1')] }))
  const wrong = new File(['fout'], 'fout.pdf')
  const half = new File(['half'.repeat(9)], 'half.pdf')
  server.intercept = ({ method, headers }, response) => {
    const isHalf = method === 'POST' && String(headers['upload-metadata']).includes(btoa('half.pdf'))
    if (isHalf) response.writeHead(422, { 'Content-Type': 'application/problem+json' }).end('{"title":"Nee","detail":"Nee."}')
    return isHalf
  }
  await assert.rejects(sending.run(await order({ files: [wrong, half] })), UploadFailed)
  server.intercept = () => false
  await sending.run(await order())
  assert.deepEqual(stored(), ['1.pdf: abc'])
})

test('what arrived is not sent up again, and not asked of Outlook again', async () => {
  const box = mailbox('web', { attachments: [attachment('1')] })
  const { sending, transfers, order } = await bench(box)
  transfers.failing.add('POST /transfers/ID/send')
  await assert.rejects(sending.run(await order()), Unreachable)
  const before = server.asked.length
  for (const each of box.attachments) each.content = ''
  await sending.run(await order())
  assert.equal(server.asked.length, before)
  assert.equal(transfers.state, 'sent')
})

test('a sending of which the answer got lost is not done twice, and the draft is emptied after all', async () => {
  const box = mailbox('web', { attachments: [attachment('1')] })
  const { sending, transfers, order } = await bench(box)
  transfers.losing.add('POST /transfers/ID/send')
  await assert.rejects(sending.run(await order()), Unreachable)
  assert.deepEqual([box.to.length, box.attachments.length, box.headers], [1, 1, {}])
  await sending.run(await order())
  assert.equal(transfers.asked.filter((each) => each.endsWith('/send')).length, 1)
  assert.deepEqual([box.to.length, box.attachments.length], [0, 0])
})

test('whoever stops has a draft as it was, and can go on later', async () => {
  const box = mailbox('web', { attachments: [attachment('1', 'x'.repeat(2000))] })
  const { sending, order } = await bench(box)
  const held = hold(({ method }) => method === 'PATCH')
  const running = assert.rejects(sending.run(await order()), Stopped)
  await held.arrived
  sending.stop()
  await running
  held.release()
  assert.deepEqual([box.to.length, box.attachments.length, box.headers], [1, 1, {}])
  await sending.run(await order())
  assert.equal(server.single().bytes.length, 2000)
  assert.equal(box.attachments.length, 0)
})

test('an attachment without bytes stops before anything is made', async () => {
  const box = mailbox('web', { attachments: [{ ...attachment('1'), content: '' }, attachment('2')] })
  const { sending, transfers, order } = await bench(box)
  const failing = (error: NotHandedOver): boolean => error.attachments.map((each: Attachment) => each.id).join() === '1'
  await assert.rejects(sending.run(await order()), failing)
  assert.deepEqual(transfers.asked, [])
})

test('a copy goes to its sender alone and stays open; a draft that can not become one must not be sent', async () => {
  const box = mailbox()
  const { sending, order } = await bench(box)
  await sending.run(await order({ copyTo: 'anna@zegelpost.example' }))
  assert.deepEqual([box.to.map((each) => each.emailAddress), box.isClosed], [['anna@zegelpost.example'], false])
  assert.equal(box.headers['x-zegelpost-copy'], '1')
  const stuck = mailbox('web', { failing: new Set(['removeAttachmentAsync']) })
  const other = await bench(stuck)
  await assert.rejects(other.sending.run(await other.order({ copyTo: 'anna@zegelpost.example' })), NotEmptied)
  assert.deepEqual(stuck.headers, { 'x-zegelpost-transfer': ID })
})
