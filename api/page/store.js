// Recordings that the server has not got yet, in IndexedDB. Where a private window refuses that, they live as long as the page.

const NAME = "earshot.outbox";
const STORE = "recordings";
const unkept = new Map();

/** All of them, oldest first. */
export async function all() {
  const kept = await run("readonly", (store) => store.getAll()).catch(() => []);
  return [...kept, ...unkept.values()].sort((one, other) => one.at - other.at);
}

export async function put(item) {
  await run("readwrite", (store) => store.put(item)).catch(() => unkept.set(item.id, item));
}

/** Changes fields of one that is still there, and tells whether it was: what was sent or thrown away in another tab must not
 * come back. */
export async function change(id, fields) {
  if (unkept.has(id)) return Boolean(Object.assign(unkept.get(id), fields));
  const found = await run("readwrite", (store) => {
    const request = store.get(id);
    request.onsuccess = () => request.result && store.put({ ...request.result, ...fields });
    return request;
  });
  return Boolean(found);
}

export async function drop(id) {
  if (!unkept.delete(id)) await run("readwrite", (store) => store.delete(id));
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
