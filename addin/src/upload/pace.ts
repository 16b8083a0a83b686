/** How fast an upload goes, smoothed over about ten seconds, to say roughly how long it still takes. */
export class Pace {
  private bytesPerSecond: number | undefined
  private last: { readonly atMs: number; readonly bytes: number } | undefined

  /** Take note that `bytes` had been sent at `atMs`. Going back, as after a cut connection, starts a new measurement. */
  note(bytes: number, atMs: number): void {
    if (this.last === undefined || bytes < this.last.bytes) {
      this.last = { atMs, bytes }
      return
    }
    const seconds = (atMs - this.last.atMs) / 1000
    // Shorter spells say more about buffers than about the line.
    if (seconds < 0.5) return
    const measured = (bytes - this.last.bytes) / seconds
    const weight = 1 - Math.exp(-seconds / 10)
    this.bytesPerSecond =
      this.bytesPerSecond === undefined ? measured : this.bytesPerSecond + weight * (measured - this.bytesPerSecond)
    this.last = { atMs, bytes }
  }

  /** Seconds until `bytesLeft` are sent; unknown at first, and while nothing moves. */
  secondsFor(bytesLeft: number): number | undefined {
    if (this.bytesPerSecond === undefined || this.bytesPerSecond < 1) return undefined
    return bytesLeft / this.bytesPerSecond
  }
}
