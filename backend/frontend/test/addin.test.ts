/** The add-in's rules and its wall to Outlook, against the stand-in that behaves as badly as the real one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client, type Policy, Refused, Unreachable } from '../../../addin/src/api/client'
import { type Fate, fateOf, fateOfFile, isStopping } from '../../../addin/src/compose/fates'
import { missingNumbers, peopleOf, recipientsOf } from '../../../addin/src/compose/people'
import { filled, LANGUAGES, wordsOf } from '../../../addin/src/i18n/words'
import { Calls, OfficeProblem } from '../../../addin/src/office/calls'
import { type Attachment, connect } from '../../../addin/src/office/outlook'
import { noticeLink } from '../../../addin/src/read/pane'
import { progressOf } from '../../../addin/src/progress'
import { type Mailbox, officeOver } from '../../../addin/src/stand-in/outlook'

const POLICY = { staff_domains: ['zegelpost.example'] }
const PORTAL = 'https://post.example.nl'
const ID = 'a'.repeat(26)

function mailbox(client = 'web', changes: Partial<Mailbox> = {}): Mailbox {
  const file = (id: string): Mailbox['attachments'][number] => ({
    id,
    name: `${id}.pdf`,
    size: 3,
    isInline: false,
    attachmentType: 'file',
    content: btoa('abc'),
  })
  return {
    client,
    language: 'nl-NL',
    mode: 'compose',
    to: [{ displayName: 'Rosa', emailAddress: 'rosa@zorg.example', recipientType: 'externalUser' }],
    cc: [],
    bcc: [],
    subject: 'Besluit',
    body: 'Hierbij',
    from: { displayName: 'Rosa', emailAddress: 'rosa@zorg.example' },
    attachments: [file('1'), { ...file('beeld'), isInline: true }, file('2')],
    headers: {},
    isClosed: false,
    notices: {},
    failing: new Set(),
    silent: new Set(),
    handlers: {},
    changed: () => undefined,
    ...changes,
  }
}

async function draftOf(box: Mailbox): Promise<NonNullable<Awaited<ReturnType<typeof connect>>['draft']>> {
  Object.assign(globalThis, { Office: officeOver(box, {} as Window) })
  const { draft } = await connect()
  assert.ok(draft)
  return draft
}

test('one call at a time, whatever the ones before came to', async () => {
  const calls = new Calls('ok', 50)
  let running = 0
  const call = (fails: boolean) => (done: (result: { status: string; value: number }) => void): void => {
    running += 1
    assert.equal(running, 1)
    setTimeout(() => {
      running -= 1
      done({ status: fails ? 'no' : 'ok', value: 7 })
    }, 1)
  }
  const answers = await Promise.allSettled([false, true, false, false, false].map((each) => calls.run('x', call(each))))
  assert.deepEqual(answers.map((each) => each.status), ['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled'])
})

test('a call that never answers, one that is not there and one that fails are told apart', async () => {
  const calls = new Calls('ok', 20)
  const kind = (work: Promise<unknown>): Promise<string> => work.then(() => '', (error: OfficeProblem) => error.kind)
  assert.equal(await kind(calls.run('x', () => undefined)), 'late')
  assert.equal(await kind(calls.run('x', () => { throw new TypeError('not a function') })), 'missing')
  assert.equal(await kind(calls.run('x', (done) => done({ status: 'no', value: 1 }))), 'failed')
  assert.equal(await calls.run('x', (done) => done({ status: 'ok', value: 5 })), 5)
})

test('more than three calls at once are refused by Outlook, and the wall never makes them', async () => {
  const draft = await draftOf(mailbox())
  const found = await Promise.all([draft.recipients(), draft.subject(), draft.text(), draft.attachments(), draft.marked()])
  assert.deepEqual(found[3]?.map((each) => each.name), ['1.pdf', '2.pdf'])
  assert.equal(found[0][0]?.email, 'rosa@zorg.example')
})

test('a draft is emptied one attachment at a time, and a picture in the text stays', async () => {
  const box = mailbox()
  const draft = await draftOf(box)
  await draft.mark(ID)
  await draft.empty('Verstuurd.')
  assert.deepEqual(box.attachments.map((each) => each.id), ['beeld'])
  assert.deepEqual([box.to, box.cc, box.bcc, box.body], [[], [], [], 'Verstuurd.'])
  assert.equal(await draft.marked(), ID)
  assert.equal(await draft.saveAndClose(), true)
})

for (const client of ['classic', 'mac', 'onprem']) {
  test(`where ${client} cannot close a draft, it says so`, async () => {
    const box = mailbox(client)
    const draft = await draftOf(box)
    await draft.mark(ID)
    await draft.empty('Verstuurd.')
    assert.equal(await draft.saveAndClose(), false)
    assert.equal(box.to.length, 0)
    assert.equal((await draft.attachments()) === undefined, client === 'onprem')
  })
}

test('an attachment without bytes is no attachment', async () => {
  const box = mailbox()
  const draft = await draftOf(box)
  const [first] = (await draft.attachments()) ?? []
  assert.ok(first)
  assert.equal(await (await draft.read(first)).text(), 'abc')
  for (const each of box.attachments) each.content = ''
  await assert.rejects(draft.read(first), OfficeProblem)
  box.attachments = []
  await assert.rejects(draft.read(first), OfficeProblem)
})

test('a shared mailbox says its own address, and a client that keeps it to itself says nothing', async () => {
  const team = { displayName: 'Team', emailAddress: 'Team@zegelpost.example' }
  assert.equal(await (await draftOf(mailbox('web', { from: team }))).from(), 'Team@zegelpost.example')
  assert.equal(await (await draftOf(mailbox('web', { failing: new Set(['from']) }))).from(), '')
})

test('what becomes of each attachment', () => {
  const policy = { extensions: ['pdf', 'eml'], limits: { document_bytes: 50_000_000 } } as Pick<Policy, 'extensions' | 'limits'>
  const fate = (changes: Partial<Attachment>, files: { name: string }[] = [], unreadable: string[] = []): string =>
    fateOf({ id: '1', name: 'besluit.pdf', sizeBytes: 5, kind: 'file', ...changes }, policy, files, new Set(unreadable))
  assert.equal(fate({}), 'willGo')
  assert.equal(fate({ name: 'BESLUIT.PDF' }), 'willGo')
  assert.equal(fate({ name: 'Vraag', kind: 'mail' }), 'willGo')
  assert.equal(fate({ name: 'besluit.exe' }), 'notAllowed')
  assert.equal(fate({ sizeBytes: 20_000_000 }), 'large')
  assert.equal(fate({ sizeBytes: 50_000_001 }), 'tooLarge')
  assert.equal(fate({ kind: 'cloud' }), 'cloud')
  assert.equal(fate({}, [], ['1']), 'unreadable')
  // Whoever adds the file itself need not take the attachment out of the mail first.
  for (const kind of ['file', 'cloud'] as const) assert.equal(fate({ kind }, [{ name: 'Besluit.pdf' }], ['1']), 'replaced')
  assert.equal(fate({ name: 'Vraag', kind: 'mail' }, [{ name: 'vraag.eml' }]), 'replaced')
  assert.equal(fateOfFile({ name: 'a.exe', size: 1 }, policy), 'notAllowed')
  assert.deepEqual(['willGo', 'large', 'replaced', 'unreadable'].filter((each) => isStopping(each as Fate)), [])
})

test('an attachment that stays is told, not passed over', async () => {
  const box = mailbox('web', { failing: new Set(['removeAttachmentAsync']) })
  await assert.rejects((await draftOf(box)).empty('Verstuurd.'), OfficeProblem)
})

test('colleagues by domain, lists never, numbers from the book unless typed, and how old a listed one is', () => {
  const addressed = [
    { name: 'Rosa', email: 'Rosa@zorg.example', isList: false },
    { name: 'rosa again', email: 'rosa@ZORG.example', isList: false },
    { name: '', email: 'sam@zorg.example', isList: false },
    { name: 'Bram', email: 'bram@ZEGELPOST.example', isList: false },
    { name: 'Team', email: 'team@zegelpost.example', isList: true },
    { name: 'Evil', email: 'x@notzegelpost.example', isList: false },
  ]
  const contacts = [{ email: 'rosa@zorg.example', name: 'Rosa Visser', mobile: '+31612345678', number_worked_at: '2026-11-01T10:00:00Z', source: 'typed', changed_at: '2026-11-03T09:30:00Z' }]
  const people = peopleOf(addressed, POLICY, contacts, new Map([['sam@zorg.example', '0687654321']]))
  assert.deepEqual(people.map((each) => [each.name, each.isColleague, each.source]), [
    ['Rosa Visser', false, 'book'],
    ['sam@zorg.example', false, 'typed'],
    ['Bram', true, 'none'],
    ['Team', false, 'none'],
    ['Evil', false, 'none'],
  ])
  const listed = contacts.map((each) => ({ ...each, source: 'directory', number_worked_at: null }))
  const ages = (typed: [string, string][]) => peopleOf(addressed, POLICY, listed, new Map(typed)).map((each) => each.proposedAt)[0]
  assert.equal(ages([]), '2026-11-03T09:30:00Z')
  assert.equal(ages([['rosa@zorg.example', '0687654321']]), null)
  assert.equal(people[0]?.proposedAt, null)
  assert.deepEqual(missingNumbers(people), ['x@notzegelpost.example'])
  assert.deepEqual(recipientsOf(people)[2], { name: 'Bram', email: 'bram@ZEGELPOST.example' })
})

test('a notice leads to our own pages only', () => {
  assert.equal(noticeLink(`Open:\n${PORTAL}/received/${ID}\n`, PORTAL), `${PORTAL}/received/${ID}`)
  for (const text of [
    `https://evil.example/received/${ID}`,
    `${PORTAL}.evil.example/received/${ID}`,
    `${PORTAL}/received/${ID}/../../sign-out`,
    `${PORTAL}/received/`,
    `${PORTAL}@evil.example/received/${ID}`,
    '',
  ]) {
    assert.equal(noticeLink(text, PORTAL), undefined, text)
  }
})

test('the token is asked for once, renewed when it ran out, and in no address', async () => {
  const asked: [string, string, string | undefined][] = []
  let codes = 0
  let isOut = true
  const server: typeof fetch = (url, options) => {
    const headers = options?.headers as Record<string, string>
    asked.push([options?.method ?? '', String(url), headers.Authorization])
    assert.equal(options?.credentials, 'omit')
    if (String(url).endsWith('/sign-in/code')) return Promise.resolve(Response.json({ access_token: `t${codes}` }))
    if (isOut && headers.Authorization === 'Bearer t1') {
      return Promise.resolve(Response.json({ code: 'sign_in_required' }, { status: 401 }))
    }
    return Promise.resolve(Response.json({ name: 'Anna', departments: [] }))
  }
  const client = new Client('https://x/api/v1', () => Promise.resolve(`code${(codes += 1)}`), 'nl', server)
  await Promise.all([client.me(), client.me()])
  assert.equal(codes, 2)
  isOut = false
  await client.me()
  assert.equal(codes, 2)
  assert.ok(asked.every(([, url]) => !url.includes('t1') && !url.includes('t2')))
})

test('a no and an outage are told apart', async () => {
  const client = (answer: () => Promise<Response>): Client =>
    new Client('https://x', () => Promise.resolve('c'), 'nl', (url) =>
      String(url).endsWith('/code') ? Promise.resolve(Response.json({ access_token: 't' })) : answer(),
    )
  const refused = client(() => Promise.resolve(Response.json({ code: 'form_refused', detail: 'Nee.' }, { status: 422 })))
  await assert.rejects(refused.me(), (error: Refused) => error.problem.code === 'form_refused' && error.problem.status === 422)
  await assert.rejects(client(() => Promise.reject(new TypeError())).me(), Unreachable)
  await assert.rejects(client(() => Promise.resolve(new Response('busy', { status: 502 }))).me(), Unreachable)
})

test('Outlook’s language decides, and English is the other', () => {
  assert.equal(wordsOf('nl-NL').tag, 'nl')
  assert.equal(wordsOf('NL').tag, 'nl')
  assert.equal(wordsOf('fr-FR').tag, 'en')
  assert.deepEqual(Object.keys(LANGUAGES.nl).sort(), Object.keys(LANGUAGES.en).sort())
  assert.equal(filled('{a} en {b}', { a: 1 }), '1 en {b}')
})

test('how far someone is, and whether the mail arrived as long as they did not open it', () => {
  const moments = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeZone: 'UTC' })
  const at = '2026-11-23T12:00:00Z'
  const told = (state: string, opened_at: string | null = null, fetched_at: string | null = null, name = 'Rosa'): string =>
    progressOf({ name, email: 'rosa@zorg.example', state, opened_at, fetched_at }, wordsOf('en').words, moments)
  assert.equal(told('waiting'), 'Rosa: not opened yet')
  assert.equal(told('undelivered', null, null, ''), 'rosa@zorg.example: e-mail not delivered, check the address')
  assert.equal(told('delayed'), 'Rosa: e-mail delayed, not there yet')
  assert.equal(told('a state of later'), 'Rosa: not opened yet')
  assert.equal(told('opened', at), 'Rosa: opened, 23 Nov 2026')
  assert.equal(told('fetched', at, at), 'Rosa: fetched, 23 Nov 2026')
})
