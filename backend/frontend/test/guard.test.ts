/** The guard's whole truth table, on the file as Outlook gets it; and what that file may not hold. */
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { test } from 'node:test'
import vm from 'node:vm'
import { type Node, parse } from 'acorn'

const repository = path.resolve(process.cwd(), '../..')
const source = readFileSync(path.join(repository, 'addin/src/launchevent/launchevent.js'), 'utf8')
const table = JSON.parse(readFileSync(path.join(repository, 'tests/addin/guard.json'), 'utf8')) as {
  staff_domains: string[]
  cases: Case[]
}

interface Case {
  says: string
  verdict: string
  to?: string[]
  cc?: string[]
  bcc?: string[]
  list?: string[]
  attachments?: string[]
  subject?: string
  text?: string
  header?: string
  copy?: boolean
  failing?: string
  missing?: string
  silent?: string
}

interface Answer {
  allowEvent: boolean
  errorMessage?: string
  sendModeOverride?: string
  commandId?: string
}

function ask(facts: Case, language = 'nl-NL', guardMode = 'soft_block'): Promise<Answer> {
  type Callback = (result: unknown) => void
  const answer = (name: string, value: unknown, callback: Callback): void => {
    if (facts.silent === name) return
    setTimeout(() => callback(facts.failing === name ? { status: 'failed' } : { status: 'succeeded', value }), 0)
  }
  const people = (list: string[] = [], recipientType = 'other'): unknown[] =>
    list.map((emailAddress) => ({ emailAddress, recipientType }))
  const item: Record<string, unknown> = {
    to: {
      getAsync: (callback: Callback) =>
        answer('to', [...people(facts.to), ...people(facts.list, 'distributionList')], callback),
    },
    cc: { getAsync: (callback: Callback) => answer('cc', people(facts.cc), callback) },
    bcc: { getAsync: (callback: Callback) => answer('bcc', people(facts.bcc), callback) },
    subject: { getAsync: (callback: Callback) => answer('subject', facts.subject ?? '', callback) },
    body: { getAsync: (_: string, callback: Callback) => answer('body', facts.text ?? '', callback) },
    getAttachmentsAsync: (callback: Callback) =>
      answer('attachments', (facts.attachments ?? []).map((kind) => ({ isInline: kind === 'inline' })), callback),
    internetHeaders: {
      getAsync: (_: string[], callback: Callback) =>
        answer(
          'header',
          { ...(facts.header && { 'x-zegelpost-transfer': facts.header }), ...(facts.copy && { 'x-zegelpost-copy': '1' }) },
          callback,
        ),
    },
  }
  if (facts.missing) delete item[facts.missing]
  return new Promise((resolve) => {
    const office = {
      AsyncResultStatus: { Succeeded: 'succeeded' },
      context: { displayLanguage: language, mailbox: { item: facts.missing === 'item' ? null : item } },
      actions: {
        associate: (_: string, handler: (event: unknown) => void) =>
          handler({ completed: (options: Answer) => resolve({ ...options }) }),
      },
    }
    const filled = JSON.stringify({ staff_domains: table.staff_domains, guard_mode: guardMode, command_id: 'zpCompose' })
    vm.runInNewContext(source.replace('"__ZEGELPOST_FACTS__"', filled), { Office: office, setTimeout, clearTimeout })
  })
}

const WORDS: Readonly<Record<string, RegExp>> = {
  attachment: /heeft een bijlage/,
  bsn: /burgerservicenummer/,
  sent: /al veilig verstuurd/,
  doubt: /kon deze e-mail niet controleren/,
}

for (const facts of table.cases) {
  test(`the guard says ${facts.says}`, async () => {
    const started = performance.now()
    const answer = await ask(facts)
    assert.ok(performance.now() - started < 2000)
    assert.equal(answer.allowEvent, facts.verdict === 'ok')
    if (facts.verdict === 'ok') return
    assert.match(answer.errorMessage ?? '', WORDS[facts.verdict] ?? /^$/)
    // Outlook cuts longer sentences off.
    assert.ok((answer.errorMessage ?? '').length <= 500)
    assert.equal(answer.commandId, facts.verdict === 'sent' ? undefined : 'zpCompose')
    assert.equal(answer.sendModeOverride, undefined)
  })
}

test('where the policy asks, only attachments and numbers are a question', async () => {
  for (const facts of table.cases) {
    const { sendModeOverride } = await ask(facts, 'en-GB', 'prompt_user')
    const isQuestion = facts.verdict === 'attachment' || facts.verdict === 'bsn'
    assert.equal(sendModeOverride, isQuestion ? 'promptUser' : undefined, facts.says)
  }
})

test('it speaks Outlook’s language', async () => {
  const facts = table.cases.find((each) => each.verdict === 'attachment') as Case
  assert.match((await ask(facts, 'nl-BE')).errorMessage ?? '', /bijlage/)
  assert.match((await ask(facts, 'de-DE')).errorMessage ?? '', /attachment/)
})

test('classic Outlook can run it: ES2016, no async, no conditional operator, no DOM, no import', () => {
  const tree = parse(source, { ecmaVersion: 2016, sourceType: 'script' })
  const kinds = new Set<string>()
  const names = new Set<string>()
  const walk = (node: unknown): void => {
    if (Array.isArray(node)) node.forEach(walk)
    else if (node !== null && typeof node === 'object') {
      const { type, name } = node as Node & { name?: string }
      if (typeof type === 'string') kinds.add(type)
      if (type === 'Identifier' && name) names.add(name)
      Object.values(node).forEach(walk)
    }
  }
  walk(tree)
  for (const kind of ['ConditionalExpression', 'AwaitExpression', 'ImportDeclaration', 'ArrowFunctionExpression', 'TemplateLiteral']) {
    assert.ok(!kinds.has(kind), kind)
  }
  for (const name of ['window', 'document', 'localStorage', 'fetch', 'XMLHttpRequest', 'Promise']) assert.ok(!names.has(name), name)
})
