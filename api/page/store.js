// Recordings that the server has not got yet, in IndexedDB. Where a private window refuses that, they live as long as the page.

const NAME = "earshot.outbox";
const STORE = "recordings";
const unkept = new Map();

/** All of them, oldest first. What could not be kept is newer than what is kept of the same recording. */
export async function all() {
  const kept = await run("readonly", (store) => store.getAll()).catch(() => []);
  const items = new Map([...kept.map((item) => [item.id, item]), ...unkept]);
  return [...items.values()].sort((one, other) => one.at - other.at);
}

export async function put(item) {
  await run("readwrite", (store) => store.put(item)).catch(() => unkept.set(item.id, item));
}

/** Changes fields of one that is still there, and tells whether it was: what was sent or thrown away in another tab must not
 * come back. `isMeant(item)` may leave one as it is. A disk that is full takes no change, but what was written before can
 * still be read. */
export async function change(id, fields, isMeant = () => true) {
  if (unkept.has(id)) return isMeant(unkept.get(id)) && Boolean(Object.assign(unkept.get(id), fields));
  return Boolean(await write(id, fields, isMeant).catch(() => hold(id, fields, isMeant)));
}

/** Only as long as nobody sends it: what is on its way must stay what it is. */
export function grow(id, fields) {
  return change(id, fields, ({ draft }) => draft);
}

/** Also what was kept before it could not be any more, or it would come back. */
export async function drop(id) {
  const wasUnkept = unkept.delete(id);
  await run("readwrite", (store) => store.delete(id)).catch((error) => {
    if (!wasUnkept) throw error;
  });
}

function write(id, fields, isMeant) {
  const written = {};
  return run("readwrite", (store) => {
    store.get(id).onsuccess = ({ target: { result: kept } }) => {
      if (kept && isMeant(kept)) written.result = store.put({ ...kept, ...fields });
    };
    return written;
  });
}

async function hold(id, fields, isMeant) {
  const kept = await run("readonly", (store) => store.get(id));
  if (!kept || !isMeant(kept)) return false;
  return Boolean(unkept.set(id, { ...kept, ...fields }));
}

async function run(mode, act) {
  const database = await opened();
  try {
    const transaction = database.transaction(STORE, mode);
    const request = act(transaction.objectStore(STORE));
    await new Promise((resolve, reject) => {
      transaction.oncomplete = resolve;
      transaction.onerror = transaction.onabort = () => reject(transaction.error);
    });
    return request?.result;
  } finally {
    database.close();
  }
}

function opened() {
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(NAME, 1);
    request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "id" });
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });
}
