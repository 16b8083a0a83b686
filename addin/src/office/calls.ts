/**
 * One call to Outlook at a time, each with a time-out. Some clients take three calls at once and no more, some answer late, and
 * some never do (see QUIRKS.md).
 */

/** Outlook did not do what was asked. `missing`: this client can't; `failed`: it said no; `late`: it said nothing. */
export class OfficeProblem extends Error {
  constructor(
    readonly call: string,
    readonly kind: 'missing' | 'failed' | 'late',
  ) {
    super(`${call}: ${kind}`)
  }
}

interface Result<T> {
  readonly status: unknown
  readonly value: T
}

const PATIENCE_MS = 15_000

export class Calls {
  private last: Promise<unknown> = Promise.resolve()

  constructor(
    private readonly succeeded: unknown,
    private readonly patienceMs = PATIENCE_MS,
  ) {}

  /** Make a call when all earlier ones have ended, in whatever way; `extraMs` of patience more. Rejects with `OfficeProblem`. */
  run<T>(name: string, call: (done: (result: Result<T>) => void) => void, extraMs = 0): Promise<T> {
    const mine = this.last.then(() => this.make<T>(name, call, this.patienceMs + extraMs))
    this.last = mine.catch(() => undefined)
    return mine
  }

  private make<T>(name: string, call: (done: (result: Result<T>) => void) => void, patienceMs: number): Promise<T> {
    return new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new OfficeProblem(name, 'late')), patienceMs)
      const end = (act: () => void): void => {
        clearTimeout(timer)
        act()
      }
      try {
        call((result) =>
          end(() => {
            if (result.status === this.succeeded) resolve(result.value)
            else reject(new OfficeProblem(name, 'failed'))
          }),
        )
      } catch {
        // The method is not there: a requirement set says yes and the client still lacks it (office-js #6076).
        end(() => reject(new OfficeProblem(name, 'missing')))
      }
    })
  }
}

/** Told of events where the client has them; elsewhere, nothing happens. */
export function listen<T>(
  source: Pick<Office.MessageCompose, 'addHandlerAsync'>,
  event: Office.EventType,
  listener: (event: T) => void,
): void {
  attempt(() => source.addHandlerAsync(event, listener))
}

/** Older clients lack much of this, and throw. */
export function attempt<T>(act: () => T): T | undefined {
  try {
    return act()
  } catch {
    return undefined
  }
}
