/**
 * The page behind a secret link. Reads the secret from the address, puts it into the form and takes it out of the address
 * bar. It never submits: mail scanners run scripts too, and opening has to be a person's act.
 */
import { recoverSecret } from './link-secret'

function fillIn(form: HTMLFormElement): void {
  const { location } = window
  const found = recoverSecret(location.pathname + location.search + location.hash)
  const field = form.elements.namedItem('link_secret')
  if (!found || !(field instanceof HTMLInputElement)) return
  field.value = found.secret
  const paste = form.querySelector<HTMLElement>('[data-paste]')
  if (paste) paste.hidden = true
  const press = document.querySelector<HTMLElement>('[data-press]')
  if (press) press.hidden = false
  window.history.replaceState(null, '', found.address)
  // Choosing another language loads the page anew, which would lose the secret.
  document.querySelectorAll<HTMLAnchorElement>('a[data-language-switch]').forEach((link) => {
    link.hash = found.secret
  })
}

document.querySelectorAll<HTMLFormElement>('form[data-island="open"]').forEach((form) => {
  fillIn(form)
  // Pasting another link into the address bar of this page does not load it again.
  window.addEventListener('hashchange', () => fillIn(form))
})
