/** The add-in's rules, with nothing of Outlook in them, and how it speaks to the server. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client, type Policy, Refused, type SentRecipient, Unreachable } from '../../../addin/src/api/client'
import { type Fate, fateOf, fateOfFile, isStopping } from '../../../addin/src/compose/fates'
import { missingNumbers, peopleOf, recipientsOf } from '../../../addin/src/compose/people'
import { statementOf } from '../../../addin/src/compose/statement'
import { timesIn } from '../../../addin/src/i18n/moments'
import { filled, LANGUAGES, wordsOf } from '../../../addin/src/i18n/words'
import type { Attachment } from '../../../addin/src/office/draft'
import { noticeLink } from '../../../addin/src/read/pane'
import { daysForFourWeeksMore } from '../../../addin/src/status/extending'
import { progressOf } from '../../../addin/src/status/progress'
import { fetchedBy } from '../../../addin/src/status/report'

const POLICY = { staff_domains: ['zegelpost.example'] }
const PORTAL = 'https://post.example.nl'
const ID = 'a'.repeat(26)

test('days are those of the portal, on a device of any time zone', () => {
  const lateInUtc = new Date('2026-12-24T23:30:00Z')
  assert.equal(timesIn('nl').days.format(lateInUtc), '25 december 2026')
  assert.match(timesIn('en').moments.format(lateInUtc), /^25 Dec 2026.*00:30$/)
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
  assert.equal(fateOfFile({ name: 'a.pdf', size: 0 }, policy), 'empty')
  assert.equal(fateOfFile({ name: 'brief', size: 1 }, policy), 'noExtension')
  assert.deepEqual(['willGo', 'large', 'replaced', 'unreadable'].filter((each) => isStopping(each as Fate)), [])
})

test('colleagues by domain, lists never, and numbers from the book unless typed, with where they come from and since when', () => {
  const addressed = [
    { name: 'Rosa', email: 'Rosa@zorg.example', isList: false },
    { name: 'rosa again', email: 'rosa@ZORG.example', isList: false },
    { name: '', email: 'sam@zorg.example', isList: false },
    { name: 'Bram', email: 'bram@ZEGELPOST.example', isList: false },
    { name: 'Team', email: 'team@zegelpost.example', isList: true },
    { name: 'Evil', email: 'x@notzegelpost.example', isList: false },
  ]
  const rosa = { id: '1', email: 'rosa@zorg.example', name: 'Rosa Visser', mobile: '+31612345678', source: 'typed', changed_at: '2026-11-03T09:30:00Z' }
  const typed = { numbers: new Map([['sam@zorg.example', '0687654321']]), parked: new Set<string>(), called: new Set<string>() }
  const people = peopleOf(addressed, POLICY, [{ ...rosa, number_worked_at: '2026-11-01T10:00:00Z' }], typed)
  assert.deepEqual(people.map((each) => [each.name, each.isColleague, each.isList, each.mobile]), [
    ['Rosa Visser', false, false, '+31612345678'],
    ['sam@zorg.example', false, false, '0687654321'],
    ['Bram', true, false, ''],
    ['Team', false, true, ''],
    ['Evil', false, false, ''],
  ])
  const known = (contact: object, numbers: [string, string][] = []): unknown =>
    peopleOf(addressed, POLICY, [{ ...rosa, number_worked_at: null, ...contact }], { numbers: new Map(numbers), parked: new Set(), called: new Set() })[0]?.known
  assert.deepEqual(people[0]?.known, { how: 'worked', at: '2026-11-01T10:00:00Z' })
  assert.deepEqual(known({}), { how: 'saved', at: '2026-11-03T09:30:00Z' })
  for (const source of ['directory', 'exchange']) assert.deepEqual(known({ source }), { how: 'listed', at: '2026-11-03T09:30:00Z' })
  assert.equal(known({ mobile: null }), undefined)
  assert.equal(known({ source: 'directory' }, [['rosa@zorg.example', '0687654321']]), undefined)
  assert.deepEqual(missingNumbers(people), ['x@notzegelpost.example'])
  assert.deepEqual(recipientsOf(people)[2], { name: 'Bram', email: 'bram@ZEGELPOST.example' })
})

test('who waits for a number is missing nothing, and colleagues and lists wait for none', () => {
  const people = peopleOf(
    ['sam@zorg.example', 'bram@zegelpost.example'].map((email) => ({ name: '', email, isList: false })),
    POLICY,
    [],
    { numbers: new Map(), parked: new Set(['sam@zorg.example', 'bram@zegelpost.example']), called: new Set() },
  )
  assert.deepEqual(missingNumbers(people), [])
  assert.deepEqual(recipientsOf(people), [
    { name: 'sam@zorg.example', email: 'sam@zorg.example', mobile: '', is_parked: true },
    { name: 'bram@zegelpost.example', email: 'bram@zegelpost.example' },
  ])
})

test('whoever is called is sent so, and colleagues sign in all the same', () => {
  const addresses = ['sam@zorg.example', 'bram@zegelpost.example']
  const people = peopleOf(
    addresses.map((email) => ({ name: '', email, isList: false })),
    POLICY,
    [],
    { numbers: new Map([['sam@zorg.example', '020 123 45 67']]), parked: new Set(), called: new Set(addresses) },
  )
  assert.deepEqual(recipientsOf(people), [
    { name: 'sam@zorg.example', email: 'sam@zorg.example', mobile: '020 123 45 67', method: 'spoken' },
    { name: 'bram@zegelpost.example', email: 'bram@zegelpost.example' },
  ])
})

test('what is left in a draft says when and which, a copy to whom too, and neither a link or a document', () => {
  const transfer = {
    id: 'abcdefgh'.padEnd(26, 'x'),
    reference: 'Z-2026-1',
    recipients: [{ name: 'Rosa', email: 'rosa@zorg.example' }, { name: 'sam@zorg.example', email: 'sam@zorg.example' }] as SentRecipient[],
  }
  const say = (isCopy: boolean, reference: string | null = 'Z-2026-1'): string =>
    statementOf({ ...transfer, reference }, { day: '23 november 2026', isCopy, portalUrl: PORTAL }, LANGUAGES.en)
  assert.equal(
    say(false),
    'This e-mail was sent securely with Zegelpost on 23 november 2026. Number ABCD-EFGH. Reference Z-2026-1. Throw this draft away.',
  )
  assert.ok(!say(false, null).includes('Reference'))
  assert.match(say(true), /To:\nRosa <rosa@zorg\.example>\nsam@zorg\.example\n/)
  assert.ok(say(true).includes(`${PORTAL}/transfers/${transfer.id}\n`))
  for (const isCopy of [true, false]) assert.ok(!/\/o\/|#/.test(say(isCopy)))
})

test('four weeks more is counted from when it ends, within what the policy allows', () => {
  const now = new Date('2026-11-23T12:00:00Z')
  const days = (endsIn: number, longest = 365): number | undefined =>
    daysForFourWeeksMore(new Date(now.getTime() + endsIn * 86_400_000).toISOString(), now, longest)
  assert.equal(days(28), 56)
  assert.equal(days(27.5), 55)
  assert.equal(days(-3), 28)
  assert.equal(days(28, 40), 40)
  assert.equal(days(40, 40), undefined)
})

test('the report names each document beside each person', () => {
  const report = {
    recipients: [],
    documents: [{ number: 1, name: 'besluit.pdf' }, { number: 2, name: null }],
    fetched: [{ recipient_number: 2, document_number: 1, first: { utc: '2026-11-23T12:00:00Z' }, count: 3 }],
  }
  const moments = new Intl.DateTimeFormat('en-GB', { dateStyle: 'medium', timeZone: 'UTC' })
  assert.deepEqual(fetchedBy(2, report, LANGUAGES.en, moments), ['besluit.pdf: fetched, 23 Nov 2026', 'document 2: not fetched yet'])
  assert.deepEqual(fetchedBy(1, report, LANGUAGES.en, moments), ['besluit.pdf: not fetched yet', 'document 2: not fetched yet'])
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

test('who it is is asked with the Outlook that it is asked in, and nothing else is', async () => {
  const told: (string | undefined)[] = []
  const server: typeof fetch = (_, options) => {
    told.push((options?.headers as Record<string, string>)['Zegelpost-Outlook'])
    return Promise.resolve(Response.json({ access_token: 't' }))
  }
  const client = new Client('https://x', () => Promise.resolve('c'), 'nl', server, undefined, '1.0.0.0 Outlook PC 16.0.1')
  await client.me()
  await client.policy()
  assert.deepEqual(told, [undefined, '1.0.0.0 Outlook PC 16.0.1', undefined])
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
  const told = (state: string, opened_at: string | null = null, fetched_at: string | null = null, name = 'Rosa', code = 'delivered'): string =>
    progressOf({ name, email: 'rosa@zorg.example', state, opened_at, fetched_at, code: { state: code } }, LANGUAGES.en, moments)
  assert.equal(told('waiting'), 'Rosa: not opened yet')
  assert.equal(told('undelivered', null, null, ''), 'rosa@zorg.example: e-mail not delivered, check the address')
  assert.equal(told('delayed'), 'Rosa: e-mail delayed, not there yet')
  assert.equal(told('a state of later'), 'Rosa: not opened yet')
  assert.equal(told('opened', at), 'Rosa: opened, 23 Nov 2026')
  assert.equal(told('fetched', at, at), 'Rosa: fetched, 23 Nov 2026')
  assert.equal(told('parked'), 'Rosa: not sent yet, the mobile number is missing')
  assert.equal(told('locked', at), 'Rosa: locked after too many wrong codes')
  assert.equal(told('blocked', at, at), 'Rosa: access ended')
  for (const code of ['undelivered', 'failed']) {
    assert.equal(told('waiting', null, null, 'Rosa', code), 'Rosa: the code did not arrive, check the number')
    assert.equal(told('opened', at, null, 'Rosa', code), 'Rosa: opened, 23 Nov 2026')
  }
})

test('of many addresses the address book is asked in pieces that the server takes', async () => {
  const asked: number[] = []
  const client = new Client('https://x', () => Promise.resolve('c'), 'nl', (url, options) => {
    if (String(url).endsWith('/code')) return Promise.resolve(Response.json({ access_token: 't' }))
    const { emails } = JSON.parse(String(options?.body)) as { emails: string[] }
    asked.push(emails.length)
    return Promise.resolve(Response.json({ contacts: emails.map((email) => ({ email })) }))
  })
  const emails = Array.from({ length: 201 }, (_, number) => `${number}@zorg.example`)
  assert.deepEqual((await client.lookUp(emails)).map((each) => each.email), emails)
  assert.deepEqual(asked, [100, 100, 1])
  assert.deepEqual(await client.lookUp([]), [])
})
