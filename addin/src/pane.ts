/** The add-in's pane: finds out where it stands, signs in, and shows the part that belongs there. */
import { Client } from './api/client'
import { sentenceOf } from './compose/explaining'
import { ComposePane } from './compose/pane'
import { button, element } from './element'
import type { Facts } from './facts'
import { type Words, wordsOf } from './i18n/words'
import type { Draft } from './office/draft'
import { connect, type Outlook } from './office/outlook'
import { showRead } from './read/pane'
import { nestedBy } from './signing-in'
import { statusPart } from './status/part'

/** What every part of the pane stands on. */
interface Ground {
  readonly root: HTMLElement
  readonly main: HTMLElement
  readonly outlook: Outlook
  readonly client: Client
  readonly facts: Facts
  readonly words: Words
  readonly language: 'nl' | 'en'
}

async function start(root: HTMLElement): Promise<void> {
  // Office's script changes the address later on.
  const manifest = new URLSearchParams(location.search).get('manifest') ?? '-'
  const facts = JSON.parse(root.dataset.facts ?? '{}') as Facts
  const outlook = await connect()
  const { tag, words } = wordsOf(outlook.language)
  document.documentElement.lang = tag
  document.title = words.title
  outlook.onTheme((isDark) => (document.documentElement.dataset.theme = isDark ? 'dark' : 'light'))
  const client = new Client(
    facts.api_url,
    async () => (JSON.parse(await outlook.openDialog(`${facts.sign_in_url}?language=${tag}`)) as { code: string }).code,
    tag,
    undefined,
    facts.nested && outlook.hasNestedSignIn ? nestedBy(root.dataset.nested ?? '', facts.nested) : undefined,
    // A header takes no other characters.
    `${manifest} ${outlook.diagnosis}`.replace(/[^ -~]/g, ''),
  )
  const main = element('section')
  root.replaceChildren(main)
  const ground = { root, main, outlook, client, facts, words, language: tag }
  if (outlook.mail) {
    await showRead(main, outlook.mail, outlook, facts.portal_url, words)
    root.append(statusPart(client, outlook, facts, words, tag))
  } else if (outlook.draft) {
    await begin(outlook.draft, ground)
  }
}

/** Without a question where Outlook itself knows who it is. */
async function begin(draft: Draft, ground: Ground): Promise<void> {
  if (!(await ground.client.signedInQuietly())) {
    askToSignIn(draft, ground)
    return
  }
  try {
    await compose(draft, ground)
  } catch (error) {
    askToSignIn(draft, ground, sentenceOf(error, ground.words))
  }
}

/** By a window: where that may open unasked, and somebody signed in there before, it closes by itself, and nothing is to be pressed. */
function askToSignIn(draft: Draft, ground: Ground, said = ''): void {
  const { main, client, words, outlook } = ground
  const problem = element('p', { class: 'zp-problem', role: 'alert', hidden: said === '' }, said)
  const go = button(words.signIn, () => void signIn(), { class: 'zp-primary', id: 'sign-in' })
  main.replaceChildren(element('h1', {}, words.title), element('p', {}, words.signInWhy), problem, go)
  if (outlook.mayOpenUnasked && said === '') void signIn()

  async function signIn(): Promise<void> {
    go.disabled = true
    problem.hidden = true
    try {
      await client.signedIn()
      await compose(draft, ground)
    } catch (error) {
      go.disabled = false
      problem.hidden = false
      problem.textContent = sentenceOf(error, words)
    }
  }
}

/** Everything that the pane beside a draft needs of the server comes before it is shown. */
async function compose(draft: Draft, { root, main, outlook, client, facts, words, language }: Ground): Promise<void> {
  const [me, policy, templates] = await Promise.all([client.me(), client.policy(), client.templates()])
  const status = statusPart(client, outlook, facts, words, language, (transfers) => pane.follow(transfers))
  const pane = new ComposePane({
    root: main,
    outlook,
    draft,
    client,
    facts,
    words,
    language,
    policy,
    me,
    templates,
    // Who waits for a number is completed there.
    sent: (transfer) => (status.open = transfer.recipients.some((each) => each.state === 'parked')),
  })
  root.append(status)
  await pane.start()
}

const root = document.getElementById('pane')
if (root) void start(root)
