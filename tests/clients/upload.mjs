// One upload with tus-js-client, told as JSON: node upload.mjs '{"endpoint", "headers", "metadata", "file", "options", "abortAfter"}'
// With `abortAfter` (bytes) it is aborted there once and resumed from its URL by a new client.
import { readFileSync } from 'node:fs'
import { Upload } from 'tus-js-client'

const { endpoint, headers, metadata, file, options, abortAfter } = JSON.parse(process.argv[2])
const body = readFileSync(file)
let messageId = null

function send(more, stopAt) {
  return new Promise((resolve, reject) => {
    const upload = new Upload(body, {
      endpoint,
      headers,
      metadata,
      retryDelays: [0, 200, 500],
      ...options,
      ...more,
      onAfterResponse: (request, response) => {
        messageId = response.getHeader('Earshot-Message-Id') ?? messageId
      },
      onChunkComplete: (size, accepted) => {
        if (stopAt !== undefined && accepted >= stopAt) {
          upload.abort()
          resolve(upload.url)
        }
      },
      onError: reject,
      onSuccess: () => resolve(upload.url)
    })
    upload.start()
  })
}

let url = await send({}, abortAfter)
if (abortAfter !== undefined) url = await send({ uploadUrl: url })
process.stdout.write(JSON.stringify({ url, messageId }))
