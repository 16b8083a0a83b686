/**
 * Staying signed in. Who types asks nothing of the server, which ends what lies idle: so typing is told there. Before the end
 * people are asked whether they are still there (WCAG 2.2, 2.2.1), and after it what they typed stays until they are in again.
 */
import { part } from './islands/element'

type Standing = 'in' | 'out' | 'other'
type Said = 'soon' | Exclude<Standing, 'in'>

const SECOND = 1_000
const LOOK_EVERY = 10 * SECOND
/** Of somebody at work, how long the server may know nothing; also before a form leaves. */
const TELL_AFTER = 60 * SECOND
const ASK_BEFORE = 120 * SECOND
/** The server writes down no more often than this that somebody was there. */
const INEXACT = 60 * SECOND

/** What pages of one account tell each other: when one of them last heard from the server, and the token of its forms. */
interface Heard {
  readonly at: number
  readonly csrf: string
}

let contact = Date.now()
let told: BroadcastChannel | undefined

/** To be called when something else of the page heard from the server. */
export function contacted(): void {
  contact = Date.now()
  const csrf = document.querySelector<HTMLInputElement>('input[name="csrf"]')?.value ?? ''
  told?.postMessage({ at: contact, csrf } satisfies Heard)
}

export function staying(): void {
  const dialog = document.querySelector<HTMLDialogElement>('dialog[data-staying]')
  if (dialog) new Staying(dialog)
}

class Staying {
  private readonly address: string
  private readonly idle: number
  private isActive = false
  private asking: Promise<Standing> | undefined
  private readonly letGo = new WeakSet<HTMLFormElement>()

  constructor(private readonly dialog: HTMLDialogElement) {
    this.address = dialog.dataset.staying ?? ''
    this.idle = Number(dialog.dataset.seconds) * SECOND - INEXACT
    told = new BroadcastChannel(`zegelpost ${this.address} ${dialog.dataset.account ?? ''}`)
    // Other pages of the same person keep this one alive too, also when they have signed in anew since.
    told.addEventListener('message', ({ data }: MessageEvent<Heard>) => {
      contact = Math.max(contact, data.at)
      this.adopt(data.csrf)
      if (this.said === 'soon') this.dialog.close()
    })
    contacted()
    for (const name of ['input', 'keydown', 'pointerdown']) {
      document.addEventListener(name, () => (this.isActive = true), { capture: true, passive: true })
    }
    // A computer that slept has missed its turns.
    document.addEventListener('visibilitychange', () => void this.look())
    window.addEventListener('pageshow', () => void this.look())
    setInterval(() => void this.look(), LOOK_EVERY)
    document.addEventListener('submit', (event) => this.hold(event))
    for (const button of dialog.querySelectorAll('button')) button.addEventListener('click', () => void this.goOn())
    // Who presses Escape is there.
    dialog.addEventListener('cancel', (event) => {
      event.preventDefault()
      void this.goOn()
    })
  }

  private get said(): Said | undefined {
    return this.dialog.open ? (this.dialog.dataset.said as Said) : undefined
  }

  private async look(): Promise<void> {
    if (document.visibilityState === 'hidden') return
    const silence = Date.now() - contact
    if (this.said === 'out' || this.said === 'other') await this.settle()
    else if (silence >= this.idle) await this.settle()
    else if (this.isActive && this.said === undefined && silence >= TELL_AFTER) await this.settle()
    else if (silence >= this.idle - ASK_BEFORE) this.say('soon')
  }

  private async goOn(): Promise<void> {
    const before = this.said
    const standing = await this.settle()
    if (before === 'soon' || standing === 'in') return
    const still = part(this.dialog, `[data-when="${standing}"] [role="status"]`, HTMLElement)
    still.textContent = still.dataset.text ?? ''
  }

  /** A form goes when whoever sends it is still in; else it stays, with all that is in it. */
  private hold(event: SubmitEvent): void {
    const form = event.target
    if (event.defaultPrevented || !(form instanceof HTMLFormElement) || form.getAttribute('method') !== 'post') return
    if (this.letGo.delete(form) || form.hasAttribute('data-leaves')) return
    if (Date.now() - contact < TELL_AFTER && !this.dialog.open) return
    event.preventDefault()
    const { submitter } = event
    void this.settle().then((standing) => {
      if (standing !== 'in') return
      this.letGo.add(form)
      form.requestSubmit(submitter)
    })
  }

  /** Ask the server, which counts as being there, and show what it comes to. */
  private settle(): Promise<Standing> {
    this.asking ??= this.find().finally(() => (this.asking = undefined))
    return this.asking
  }

  private async find(): Promise<Standing> {
    const standing = await this.ask().catch(() => undefined)
    // No answer says nothing: what people do next tells them what is the matter.
    if (standing === undefined) return this.said === 'other' ? 'other' : this.said === 'out' ? 'out' : 'in'
    if (standing !== 'in') this.say(standing)
    else if (this.dialog.open) this.dialog.close()
    return standing
  }

  private async ask(): Promise<Standing> {
    const answer = await fetch(this.address, { method: 'POST', credentials: 'same-origin' })
    if (answer.status === 401) return 'out'
    if (!answer.ok) return 'in'
    if (answer.status !== 204) {
      const { account, csrf } = (await answer.json()) as { account: string; csrf: string }
      if (account !== this.dialog.dataset.account) return 'other'
      this.adopt(csrf)
    }
    contacted()
    this.isActive = false
    return 'in'
  }

  /** Signed in anew, in another tab: the forms of this page go with that. */
  private adopt(csrf: string): void {
    if (csrf === '') return
    for (const field of document.querySelectorAll<HTMLInputElement>('input[name="csrf"]')) field.value = csrf
    for (const each of document.querySelectorAll<HTMLElement>('[data-csrf]')) each.dataset.csrf = csrf
  }

  private say(said: Said): void {
    if (this.said === said) return
    for (const each of this.dialog.querySelectorAll<HTMLElement>('[data-when]')) each.hidden = each.dataset.when !== said
    this.dialog.dataset.said = said
    const title = part(this.dialog, `[data-when="${said}"] h2`, HTMLElement)
    this.dialog.setAttribute('aria-labelledby', title.id)
    if (!this.dialog.open) this.dialog.showModal()
    part(this.dialog, `[data-when="${said}"] :is(a, button)`, HTMLElement).focus()
  }
}
