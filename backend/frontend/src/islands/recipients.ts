/** Adding and removing recipients on the send form, and telling that a colleague needs no mobile number. */
import { Suggestions } from './contacts'
import { copy, part } from './element'

const NUMBERED = ['name', 'id', 'for', 'aria-describedby', 'aria-labelledby']

export function recipients(root: HTMLElement): void {
  const rows = part(root, '[data-rows]', HTMLElement)
  const template = part(root, 'template[data-row]', HTMLTemplateElement)
  const add = part(root, 'button[name="add_recipient"]', HTMLButtonElement)
  const domains = (root.dataset.staffDomains ?? '').split(',').filter(Boolean)
  const limit = Number(root.dataset.limit)

  const source = {
    url: root.dataset.suggestions ?? '',
    get csrf() {
      return root.dataset.csrf ?? ''
    },
    words: {
      list: root.dataset.list ?? '',
      one: root.dataset.one ?? '',
      many: root.dataset.many ?? '',
      filled: root.dataset.filled ?? '',
    },
  }
  const live = document.createElement('p')
  live.className = 'zp-hidden'
  live.setAttribute('aria-live', 'polite')
  root.append(live)

  const all = (): HTMLElement[] => Array.from(rows.querySelectorAll<HTMLElement>('[data-recipient]'))

  /** Rows are numbered from 0 without gaps, as the server sends and expects them. */
  function renumber(): void {
    const present = all()
    present.forEach((row, index) => {
      for (const element of row.querySelectorAll<HTMLElement>(NUMBERED.map((name) => `[${name}]`).join())) {
        for (const name of NUMBERED) {
          const value = element.getAttribute(name)
          if (value !== null) element.setAttribute(name, value.replace(/recipient-(?:\d+|__INDEX__)-/g, `recipient-${index}-`))
        }
      }
      part(row, '[data-number]', HTMLElement).textContent = String(index + 1)
      part(row, '[data-remove]', HTMLElement).hidden = present.length === 1
    })
    add.hidden = present.length >= limit
  }

  function wire(row: HTMLElement): void {
    const email = part(row, 'input[type="email"]', HTMLInputElement)
    const remove = part(row, '[data-remove] button', HTMLButtonElement)
    const about = part(remove, '.zp-hidden', HTMLElement)
    const unnamed = about.dataset.unnamed ?? ''
    const hint = part(row, '[data-colleague]', HTMLElement)
    const mobile = part(row, 'input[type="tel"]', HTMLInputElement)

    function look(): void {
      const address = email.value.trim().toLowerCase()
      const domain = address.includes('@') ? address.slice(address.lastIndexOf('@') + 1) : ''
      hint.hidden = !(domains.includes(domain) && mobile.value === '')
      about.textContent = ` ${address || unnamed}`
    }
    const name = part(row, 'input[name$="-name"]', HTMLInputElement)
    for (const input of root.dataset.suggestions === undefined ? [] : [name, email]) {
      new Suggestions(input, source, live, (contact) => {
        name.value = contact.name
        email.value = contact.email
        mobile.value = contact.mobile
        look()
        mobile.focus()
      })
    }
    email.addEventListener('input', look)
    mobile.addEventListener('input', look)
    look()

    remove.type = 'button'
    remove.addEventListener('click', () => {
      const index = all().indexOf(row)
      row.remove()
      renumber()
      const next = all()[Math.min(index, all().length - 1)]
      if (next) part(next, 'input', HTMLInputElement).focus()
    })
  }

  add.type = 'button'
  add.addEventListener('click', () => {
    const row = copy(template)
    rows.append(row)
    wire(row)
    renumber()
    part(row, 'input', HTMLInputElement).focus()
  })
  all().forEach(wire)
  renumber()
}
