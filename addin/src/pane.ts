/** The add-in's pane: finds out where it stands, signs in, and shows the part that belongs there. */
import { Client, type NestedFacts, type NestedToken } from './api/client'
import { ComposePane } from './compose/pane'
import { button, element } from './element'
import { type Words, wordsOf } from './i18n/words'
import { connect, type Outlook } from './office/outlook'
import { showRead } from './read/pane'
import { statusPart } from './status'

interface Facts {
  readonly api_url: string
  readonly portal_url: string
  readonly sign_in_url: string
  readonly nested: NestedFacts | null
}

const QUIET_PATIENCE_MS = 10_000

async function start(root: HTMLElement): Promise<void> {
  const facts = JSON.parse(root.dataset.facts ?? '{}') as Facts
  const outlook = await connect()
  const { tag, words } = wordsOf(outlook.language)
  document.documentElement.lang = tag
  document.title = words.title
  const client = new Client(
    facts.api_url,
    async () => (JSON.parse(await outlook.openDialog(`${facts.sign_in_url}?language=${tag}`)) as { code: string }).code,
    tag,
    undefined,
    facts.nested && outlook.hasNestedSignIn ? nestedBy(root.dataset.nested ?? '', facts.nested) : undefined,
  )
  const main = element('section')
  root.replaceChildren(main)
  if (outlook.mail) {
    await showRead(main, outlook.mail, outlook, facts.portal_url, words)
    root.append(statusPart(client, outlook, facts.portal_url, words, tag))
    return
  }
  if (await client.signedInQuietly()) await compose(root, main, client, outlook, facts, words, tag)
  else askToSignIn(root, main, client, outlook, facts, words, tag)
}

/** Fetches the script only when somebody is to be signed in by it. */
function nestedBy(script: string, facts: NestedFacts): NestedToken {
  let loading: Promise<NestedToken> | undefined
  return async (isQuiet) => {
    const token = (async () => {
      loading ??= import(script).then(({ nestedTokens }: typeof import('./nested')) => nestedTokens(facts))
      return (await loading)(isQuiet)
    })()
    if (!isQuiet) return token
    // A host that says it can and then keeps silent must not keep people waiting: they have a button.
    return Promise.race([
      token,
      new Promise<string>((_, reject) => setTimeout(() => reject(new Error('late')), QUIET_PATIENCE_MS)),
    ])
  }
}

async function compose(
  root: HTMLElement,
  main: HTMLElement,
  client: Client,
  outlook: Outlook,
  facts: Facts,
  words: Words,
  tag: 'nl' | 'en',
): Promise<void> {
  const [me, policy, templates] = await Promise.all([client.me(), client.policy(), client.templates()])
  if (!outlook.draft) return
  const pane = new ComposePane(main, outlook.draft, client, words, tag, policy, me, templates)
  await pane.start()
  root.append(statusPart(client, outlook, facts.portal_url, words, tag))
}

/** A dialog may only open by a click: browsers stop windows that nobody asked for. */
function askToSignIn(
  root: HTMLElement,
  main: HTMLElement,
  client: Client,
  outlook: Outlook,
  facts: Facts,
  words: Words,
  tag: 'nl' | 'en',
): void {
  const problem = element('p', { class: 'zp-problem', role: 'alert', hidden: true })
  const go = button(words.signIn, () => void signIn(), { class: 'zp-primary', id: 'sign-in' })
  main.replaceChildren(element('h1', {}, words.title), element('p', {}, words.signInWhy), problem, go)

  async function signIn(): Promise<void> {
    go.disabled = true
    try {
      await client.signedIn()
      await compose(root, main, client, outlook, facts, words, tag)
    } catch {
      go.disabled = false
      problem.hidden = false
      problem.textContent = words.signInAgain
    }
  }
}

const root = document.getElementById('pane')
if (root) void start(root)
