/** The add-in's wall to Outlook, against the stand-in that behaves as badly as the real one. */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { Calls, OfficeProblem } from '../../../addin/src/office/calls'
import { attachment, draftOf, mailbox, outlookOver } from './mailbox'

const ID = 'a'.repeat(26)

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
  assert.deepEqual(found[3]?.map((each) => [each.name, each.kind]), [['1.pdf', 'file'], ['beeld.pdf', 'picture'], ['2.pdf', 'file']])
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

for (const client of ['classic', 'onprem']) {
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

for (const client of ['web', 'new', 'classic', 'mac', 'onprem']) {
  test(`in ${client} an empty draft becomes a copy that goes to its sender alone`, async () => {
    const box = mailbox(client)
    const draft = await draftOf(box)
    await draft.mark(ID)
    await draft.empty('Verstuurd.')
    await draft.makeCopy('anna@zegelpost.example')
    assert.deepEqual(box.to.map((each) => each.emailAddress), ['anna@zegelpost.example'])
    assert.deepEqual([box.cc, box.bcc, box.body, box.isClosed], [[], [], 'Verstuurd.', false])
    const marks = client === 'onprem' ? {} : { 'x-zegelpost-transfer': ID, 'x-zegelpost-copy': '1' }
    assert.deepEqual(box.headers, marks)
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

test('a mail that is attached becomes a file, and a link to the cloud gives none', async () => {
  const mail = { ...attachment('1'), name: 'Vraag', attachmentType: 'item', content: 'From: rosa' }
  const draft = await draftOf(mailbox('web', { attachments: [mail, { ...attachment('2'), attachmentType: 'cloud' }] }))
  const [first, second] = (await draft.attachments()) ?? []
  assert.ok(first && second)
  const file = await draft.read(first)
  assert.deepEqual([file.name, await file.text(), second.kind], ['Vraag.eml', 'From: rosa', 'cloud'])
  await assert.rejects(draft.read(second), OfficeProblem)
})

test('an attachment that stays is told, not passed over', async () => {
  const box = mailbox('web', { failing: new Set(['removeAttachmentAsync']) })
  await assert.rejects((await draftOf(box)).empty('Verstuurd.'), OfficeProblem)
})

test('a shared mailbox says its own address, and a client that keeps it to itself says nothing', async () => {
  const team = { displayName: 'Team', emailAddress: 'Team@zegelpost.example' }
  assert.equal(await (await draftOf(mailbox('web', { from: team }))).from(), 'Team@zegelpost.example')
  assert.equal(await (await draftOf(mailbox('web', { from: team, failing: new Set(['from']) }))).from(), '')
  assert.equal(await (await draftOf(mailbox('onprem', { from: team }))).from(), '')
})

test('what changes in a draft is told where the client tells it, and nowhere is that an error', async () => {
  for (const [client, told] of [['web', 2], ['classic', 2], ['onprem', 0]] as const) {
    const box = mailbox(client)
    let count = 0
    ;(await draftOf(box)).onChange(() => (count += 1))
    for (const event of ['RecipientsChanged', 'AttachmentsChanged']) box.handlers[event]?.forEach((listener) => listener({}))
    assert.equal(count, told, client)
  }
})

test('what people drag from Outlook itself arrives as files, where Outlook hands it over', async () => {
  const drop = { type: 'drop', dataTransfer: { files: [{ name: 'Vraag.eml', type: 'message/rfc822', fileContent: new Blob(['From: rosa']) }] } }
  for (const client of ['web', 'new', 'classic', 'mac', 'onprem']) {
    const box = mailbox(client)
    const found: File[] = []
    ;(await outlookOver(box)).onDrop((files) => found.push(...files))
    for (const data of [{ type: 'dragover', pageX: 1 }, drop]) {
      box.handlers.DragAndDropEvent?.forEach((listener) => listener({ dragAndDropEventData: data }))
    }
    const texts = await Promise.all(found.map(async (each) => [each.name, await each.text()]))
    assert.deepEqual(texts, ['web', 'new'].includes(client) ? [['Vraag.eml', 'From: rosa']] : [], client)
  }
})

test('Outlook’s own theme is followed where it tells, also when it changes', async () => {
  for (const [client, expected] of [['web', [false, true]], ['mac', []], ['classic', []], ['onprem', []]] as const) {
    const box = mailbox(client)
    const found: boolean[] = []
    ;(await outlookOver(box)).onTheme((isDark) => found.push(isDark))
    box.isDark = true
    box.handlers.OfficeThemeChanged?.forEach((listener) => listener({}))
    assert.deepEqual(found, expected, client)
  }
})

test('a choice is kept in the mailbox, and a mailbox that refuses says so', async () => {
  const box = mailbox('onprem')
  const { choices } = await outlookOver(box)
  assert.equal(choices.get('keepsCopy'), '')
  await choices.keep('keepsCopy', 'yes')
  assert.deepEqual([choices.get('keepsCopy'), box.settings], ['yes', { keepsCopy: 'yes' }])
  box.failing.add('settings')
  await assert.rejects(choices.keep('keepsCopy', ''), OfficeProblem)
})
