/**
 * Reads the event stream away from the page's own thread: a fast update makes ten thousand events within a second, and the
 * page shall draw meanwhile. What arrived is handed over in batches, at most one every frame.
 */
const BATCH_MS = 16;
const RETRY_MS = 1000;

let after = -1;
let run = '';
/** @type {any[]} */
let batch = [];
/** @type {ReturnType<typeof setTimeout> | undefined} */
let timer;

const flush = () => {
  timer = undefined;
  if (batch.length === 0) return;
  postMessage({ batch });
  batch = [];
};

self.onmessage = ({ data }) => {
  after = data.after;
  run = data.run;
  void follow();
};

async function follow() {
  for (;;) {
    try {
      const response = await fetch(`/api/events?after=${after}&run=${run}`, { cache: 'no-store' });
      if (!response.ok || !response.body) throw new Error(`status ${response.status}`);
      postMessage({ online: true });
      await read(response.body);
    } catch {
      // The program was stopped or started again; the page says so.
    }
    flush();
    postMessage({ online: false });
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** @param {ReadableStream<Uint8Array>} body */
async function read(body) {
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    let start = 0;
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n', start)) {
      take(text.slice(start, end));
      start = end + 2;
    }
    text = text.slice(start);
    if (timer === undefined) timer = setTimeout(flush, BATCH_MS);
  }
}

/** @param {string} message */
function take(message) {
  const at = message.indexOf('data: ');
  if (at < 0) return;
  const end = message.indexOf('\n', at);
  const data = JSON.parse(message.slice(at + 6, end < 0 ? undefined : end));
  const name = /^event: (\w+)$/m.exec(message.slice(0, at))?.[1];
  if (name === undefined) {
    after = data.seq;
    batch.push(data);
  } else if (name === 'hello') {
    run = data.run;
    postMessage({ hello: data });
  } else if (name === 'gap') {
    if (data.restarted) after = -1;
    batch.push({ type: 'gap', ...data });
  }
}
