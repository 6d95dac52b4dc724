// The console in a real browser, as somebody with a pager uses it; each behaviour an `ok`.
//
// Usage: HTTP_URL=http://127.0.0.1:15672 AMQP_URL=… KAFKA_BOOTSTRAP=… node client.js SCENARIO
// A scenario fails on any error in the browser's console, any violation of the page's policy and
// any request to another origin, whatever else it looks at.

import process from 'node:process'
import { close as closeBrowser } from './shared/browser.js'
import { close as closeClients } from './shared/clients.js'

const name = process.argv[2]
if (!/^[a-z_]+$/.test(name ?? '')) throw new Error(`which scenario? ${name}`)
const { run } = await import(`./scenarios/${name}.js`)
try {
  await run()
} finally {
  await closeBrowser()
  await closeClients()
}
process.exit(0)
