/**
 * Suggestions from the address book while a recipient is typed: an editable combobox with a list
 * (WAI-ARIA Authoring Practices, combobox pattern, list autocomplete with manual selection).
 */

interface Contact {
  readonly name: string
  readonly organisation: string
  readonly email: string
  readonly mobile: string
  /** Whose book it is in, when it is a department's. */
  readonly book: string
  /** That a code reached this number, and when; in words. */
  readonly worked: string
  /** From which address book of others the number is, and of when; in words. Empty for what is kept here. */
  readonly proposed: string
}

/** What the page says. `{count}` and `{name}` stand for what they say. */
export interface Words {
  readonly list: string
  readonly one: string
  readonly many: string
  readonly filled: string
}

const PAUSE_MS = 150
let count = 0

export class Suggestions {
  private readonly list = document.createElement('ul')
  private contacts: readonly Contact[] = []
  private active = -1
  private timer = 0
  private asked = 0

  constructor(
    private readonly input: HTMLInputElement,
    private readonly source: { readonly url: string; readonly csrf: string; readonly words: Words },
    private readonly live: HTMLElement,
    private readonly choose: (contact: Contact) => void,
  ) {
    this.list.id = `suggestions-${String(count++)}`
    this.list.className = 'zp-suggestions'
    this.list.setAttribute('role', 'listbox')
    this.list.setAttribute('aria-label', source.words.list)
    this.list.hidden = true
    input.after(this.list)
    input.parentElement?.classList.add('zp-suggested')
    for (const [name, value] of Object.entries({
      role: 'combobox',
      'aria-autocomplete': 'list',
      'aria-expanded': 'false',
      'aria-controls': this.list.id,
    })) input.setAttribute(name, value)
    input.addEventListener('input', () => this.later())
    input.addEventListener('keydown', (event) => this.onKey(event))
    input.addEventListener('blur', () => this.close())
    // Before blur, which would close the list under the pointer.
    this.list.addEventListener('pointerdown', (event) => event.preventDefault())
    this.list.addEventListener('click', (event) => {
      const option = event.target instanceof Element ? event.target.closest('[role="option"]') : null
      if (option) this.take(Array.from(this.list.children).indexOf(option))
    })
  }

  private later(): void {
    window.clearTimeout(this.timer)
    this.timer = window.setTimeout(() => void this.ask(), PAUSE_MS)
  }

  private async ask(): Promise<void> {
    const letters = this.input.value.trim()
    const number = ++this.asked
    if (letters.length < 2) {
      this.close()
      return
    }
    let contacts: readonly Contact[] = []
    try {
      const answer = await fetch(this.source.url, {
        method: 'POST',
        body: new URLSearchParams({ letters, csrf: this.source.csrf }),
        credentials: 'same-origin',
      })
      if (answer.ok) contacts = ((await answer.json()) as { contacts: Contact[] }).contacts
    } catch {
      // Typing goes on without suggestions.
    }
    // An older answer that comes late is not what stands there now.
    if (number === this.asked && document.activeElement === this.input) this.show(contacts)
  }

  private show(contacts: readonly Contact[]): void {
    this.contacts = contacts
    this.active = -1
    this.list.replaceChildren(...contacts.map((contact, index) => this.option(contact, index)))
    const isOpen = contacts.length > 0
    this.list.hidden = !isOpen
    this.input.setAttribute('aria-expanded', String(isOpen))
    this.input.removeAttribute('aria-activedescendant')
    const words = contacts.length === 1 ? this.source.words.one : this.source.words.many
    this.live.textContent = isOpen ? words.replace('{count}', String(contacts.length)) : ''
  }

  private option(contact: Contact, index: number): HTMLElement {
    const option = document.createElement('li')
    option.id = `${this.list.id}-${String(index)}`
    option.setAttribute('role', 'option')
    option.setAttribute('aria-selected', 'false')
    const name = document.createElement('strong')
    name.textContent = contact.name
    const rest = document.createElement('span')
    rest.textContent = [contact.organisation, contact.email, contact.mobile, contact.book].filter(Boolean).join(', ')
    option.append(name, ' ', rest)
    const known = contact.worked || contact.proposed
    if (known) {
      const about = document.createElement('span')
      about.textContent = known
      option.append(' ', about)
    }
    return option
  }

  private onKey(event: KeyboardEvent): void {
    // Writing systems that compose characters use these keys themselves.
    if (event.isComposing) return
    if (this.list.hidden) {
      if (event.key === 'ArrowDown') {
        event.preventDefault()
        void this.ask()
      }
      return
    }
    if (event.altKey && event.key === 'ArrowUp') {
      event.preventDefault()
      this.close()
    } else if (event.key === 'ArrowDown' || event.key === 'ArrowUp') {
      event.preventDefault()
      const step = event.key === 'ArrowDown' ? 1 : -1
      const all = this.contacts.length
      this.mark(this.active < 0 && step < 0 ? all - 1 : (this.active + step + all) % all)
    } else if (event.key === 'Enter' && this.active >= 0) {
      event.preventDefault()
      this.take(this.active)
    } else if (event.key === 'Escape') {
      event.preventDefault()
      this.close()
    }
  }

  private mark(index: number): void {
    this.active = index
    Array.from(this.list.children).forEach((option, place) => {
      option.setAttribute('aria-selected', String(place === index))
      if (place === index) {
        this.input.setAttribute('aria-activedescendant', option.id)
        option.scrollIntoView({ block: 'nearest' })
      }
    })
  }

  private take(index: number): void {
    const contact = this.contacts[index]
    this.close()
    if (!contact) return
    this.choose(contact)
    this.live.textContent = [this.source.words.filled.replace('{name}', contact.name), contact.proposed].filter(Boolean).join(' ')
  }

  private close(): void {
    window.clearTimeout(this.timer)
    this.asked++
    this.show([])
  }
}
