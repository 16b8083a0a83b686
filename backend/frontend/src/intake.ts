/**
 * The public page: solves a small puzzle while someone fills in the form, so that a program that starts a thousand times has to
 * work a thousand times. Nobody sees it or has to do anything; without script or Web Crypto the form works as well, for fewer.
 */
import { solveChallenge } from 'altcha-lib'
import { deriveKey } from 'altcha-lib/algorithms/web/pbkdf2'
import type { Challenge } from 'altcha-lib/types'
import { part } from './islands/element'

const LONGEST_MS = 60_000

async function solve(puzzle: string): Promise<string> {
  const challenge = JSON.parse(puzzle) as Challenge
  const solution = await solveChallenge({ challenge, deriveKey, timeout: LONGEST_MS })
  return solution ? btoa(JSON.stringify({ challenge, solution })) : ''
}

function prove(form: HTMLFormElement): void {
  const field = part(form, 'input[name="proof"]', HTMLInputElement)
  const status = part(form, '[data-proof-status]', HTMLElement)
  const solving = solve(form.dataset.puzzle ?? '').catch(() => '')
  let isSolved = false
  void solving.then((proof) => {
    field.value = proof
    isSolved = true
  })
  form.addEventListener('submit', (event) => {
    if (isSolved) return
    // Only who fills in a form within a second or two waits, and then until the puzzle is solved or given up.
    event.preventDefault()
    status.hidden = false
    void solving.then(() => form.submit())
  })
}

document.querySelectorAll<HTMLFormElement>('form[data-island="proof"]').forEach(prove)
document.querySelector<HTMLElement>('[data-focus]')?.focus()
