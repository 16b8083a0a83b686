/** Signing in inside Outlook: the real `msal-browser` against Outlook's side of it, and what the pane does when that fails. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Client, Refused } from '../../../addin/src/api/client'
import { nestedTokens } from '../../../addin/src/nested'
import { connect } from '../../../addin/src/office/outlook'
import { type AskedToken, type Issuer, nestedBridge } from '../../../addin/src/stand-in/nested'
import { type Mailbox, officeOver } from '../../../addin/src/stand-in/outlook'
import { mailbox } from './mailbox'

const FACTS = { client_id: 'aaaaaaaa-bbbb-cccc-dddd-eeeeeeeeeeee', authority: 'https://login.microsoftonline.com/t', scope: 'api://x/access_as_user' }
const part = (content: object): string => Buffer.from(JSON.stringify(content)).toString('base64url')
const jwt = (name: string): string => `${part({ alg: 'RS256' })}.${part({ oid: 'o', tid: 't', sub: 's', preferred_username: name })}.x`

// The library listens for other tabs for as long as its page is there, which would keep this process from ending.
class Unheard extends BroadcastChannel {
  constructor(name: string) {
    super(name)
    ;(this as unknown as { unref(): void }).unref()
  }
}
Object.assign(globalThis, { BroadcastChannel: Unheard })

function asking(answers: (asked: AskedToken) => string): { issuer: Issuer; asked: AskedToken[] } {
  const asked: AskedToken[] = []
  return { asked, issuer: (each) => (asked.push(each), Promise.resolve(answers(each))) }
}

const tokens = (name: string): string => JSON.stringify({ id_token: jwt(name), access_token: jwt(name) })

async function over(issuer: Issuer): ReturnType<typeof nestedTokens> {
  Object.assign(globalThis.window, { crypto, nestedAppAuthBridge: nestedBridge(issuer) })
  return nestedTokens(FACTS)
}

test('Outlook gives a token for our API, and the person is asked nothing', async () => {
  const { issuer, asked } = asking(() => tokens('anna'))
  assert.equal(await (await over(issuer))(true), jwt('anna'))
  assert.deepEqual(asked.map(({ clientId, scope, isQuiet }) => [clientId, scope, isQuiet]), [
    [FACTS.client_id, FACTS.scope, true],
  ])
})

test('the person is asked when Outlook has to, and not when that has to be quiet', async () => {
  const { issuer, asked } = asking(({ isQuiet }) => (isQuiet ? 'USER_INTERACTION_REQUIRED' : tokens('anna')))
  const token = await over(issuer)
  await assert.rejects(token(true))
  assert.deepEqual(asked.map(({ isQuiet }) => isQuiet), [true])
  assert.equal(await token(false), jwt('anna'))
  assert.deepEqual(asked.map(({ isQuiet }) => isQuiet), [true, true, false])
})

test('whatever else goes wrong asks nobody', async () => {
  for (const status of ['USER_CANCEL', 'DISABLED', 'ACCOUNT_UNAVAILABLE', 'PERSISTENT_ERROR', 'NESTED_APP_AUTH_UNAVAILABLE']) {
    const { issuer, asked } = asking(() => status)
    await assert.rejects((await over(issuer))(false), status)
    assert.equal(asked.some(({ isQuiet }) => !isQuiet), false, status)
  }
})

/** A server that takes these access tokens, and any code. */
function server(taken: readonly string[]): { fetching: typeof fetch; calls: string[] } {
  const calls: string[] = []
  const fetching = (url: unknown, init?: RequestInit): Promise<Response> => {
    const path = String(url).replace('https://x', '')
    const body = JSON.parse(String(init?.body ?? '{}')) as { access_token?: string; code?: string }
    calls.push(path)
    const isTaken = path === '/sign-in/code' || taken.includes(body.access_token ?? '')
    const answer = path === '/me' ? { email: 'anna' } : isTaken ? { access_token: 'ours' } : { code: 'identity_unknown' }
    return Promise.resolve(new Response(JSON.stringify(answer), { status: path === '/me' || isTaken ? 200 : 403 }))
  }
  return { fetching: fetching as typeof fetch, calls }
}

const noWindow = (): Promise<string> => Promise.reject(new Error('no window was to open'))

test('with a token of Outlook no window opens', async () => {
  const { fetching, calls } = server(['good'])
  const client = new Client('https://x', noWindow, 'nl', fetching, () => Promise.resolve('good'))
  assert.equal(await client.signedInQuietly(), true)
  await client.me()
  assert.deepEqual(calls, ['/sign-in/provider', '/me'])
  assert.deepEqual(client.headers(), { Authorization: 'Bearer ours' })
})

test('without one, or with one that the server does not take, the window is next; quietly nothing is', async () => {
  for (const nested of [() => Promise.reject(new Error('no')), () => Promise.resolve('unknown')]) {
    const { fetching, calls } = server(['good'])
    let windows = 0
    const client = new Client('https://x', () => Promise.resolve(`code${(windows += 1)}`), 'nl', fetching, nested)
    assert.equal(await client.signedInQuietly(), false)
    assert.equal(windows, 0)
    await client.signedIn()
    assert.equal(windows, 1)
    assert.equal(calls.at(-1), '/sign-in/code')
    assert.equal(client.isSignedIn, true)
  }
})

test('where Outlook cannot, nothing is tried quietly', async () => {
  const { fetching, calls } = server([])
  assert.equal(await new Client('https://x', noWindow, 'nl', fetching).signedInQuietly(), false)
  assert.deepEqual(calls, [])
})

test('a refusal of the code is told, not swallowed', async () => {
  const refusing = (() => Promise.resolve(new Response('{"code":"sign_in_required"}', { status: 401 }))) as typeof fetch
  const client = new Client('https://x', () => Promise.resolve('c'), 'nl', refusing, () => Promise.reject(new Error('no')))
  await assert.rejects(client.signedIn(), Refused)
})

test('only Outlooks that say so are asked', async () => {
  const box = (issuer?: Issuer): Mailbox => mailbox('web', { issuer })
  const has = async (office: object): Promise<boolean> => {
    Object.assign(globalThis, { Office: office })
    return (await connect()).hasNestedSignIn
  }
  const plain = officeOver(box(), {} as Window) as { context: { requirements?: unknown } }
  assert.equal(await has(plain), false)
  delete plain.context.requirements
  assert.equal(await has(plain), false)
  const frame = {} as Window & { nestedAppAuthBridge?: unknown }
  assert.equal(await has(officeOver(box(() => Promise.resolve('DISABLED')), frame) as object), true)
  assert.ok(frame.nestedAppAuthBridge)
})
