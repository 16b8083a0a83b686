/** The way to the next step while documents travel: leaving would cut them off, so the page waits and then goes by itself. */

/** `onItsWay`: wait a little. `leftOver`: waiting won't help, somebody has to act. */
export type Standing = 'whole' | 'onItsWay' | 'leftOver'

export class Onward {
  private isWaiting = false

  /** `way` is a link to the next step or a form that takes it. `tell` shows why the page stays, or nothing more to say. */
  constructor(
    private readonly way: HTMLAnchorElement | HTMLFormElement,
    private readonly standing: () => Standing,
    private readonly tell: (why: Exclude<Standing, 'whole'> | undefined) => void,
  ) {
    way.addEventListener(way instanceof HTMLFormElement ? 'submit' : 'click', (event) => {
      const standing = this.standing()
      if (standing === 'whole') return
      event.preventDefault()
      this.isWaiting = standing === 'onItsWay'
      this.tell(standing)
    })
  }

  /** To be called after every change. */
  look(): void {
    const standing = this.standing()
    if (!this.isWaiting) {
      if (standing === 'whole') this.tell(undefined)
      return
    }
    if (standing === 'onItsWay') return
    this.isWaiting = false
    if (standing !== 'whole') this.tell(standing)
    else if (this.way instanceof HTMLFormElement) this.way.requestSubmit()
    else location.assign(this.way.href)
  }
}
