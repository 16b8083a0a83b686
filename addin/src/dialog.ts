/** The last page of the sign-in dialog: hands its one-time code to the pane. */
import { handOver } from './office/outlook'

const code = document.querySelector<HTMLElement>('[data-code]')?.dataset.code
if (code) void handOver(JSON.stringify({ code }))
