/**
 * Fills in what the add-in already knows of a mail: whom to answer and about what. It stands behind the `#` of the address, which no
 * server and no log sees, and is taken out of the address at once. Only empty fields are filled.
 */

/** Which fields of the two forms a name fills. */
const FIELDS: Readonly<Record<string, readonly string[]>> = {
  name: ['#recipient-0-name', '#name'],
  email: ['#recipient-0-email', '#email'],
  subject: ['#subject'],
}
const PAGES = ['/transfers/new', '/requests/new']
const LONGEST = 254

export function prefill(): void {
  const { location } = window
  if (!PAGES.includes(location.pathname) || location.hash.length < 2) return
  const values = new URLSearchParams(location.hash.slice(1))
  for (const [name, selectors] of Object.entries(FIELDS)) {
    const value = values.get(name)?.slice(0, LONGEST) ?? ''
    const field = document.querySelector<HTMLInputElement>(selectors.join(', '))
    if (value === '' || !field || field.value !== '') continue
    field.value = value
    field.dispatchEvent(new Event('input', { bubbles: true }))
  }
  window.history.replaceState(null, '', location.pathname + location.search)
}
