// What the phone keeps for its driver: a key and a credential for each choice of vehicle, and a few notes.
//
// credentials: {plate, keys, time, counter} and, once bound, {wire, subject, expiresAt, renewAfter}
// notes: driver, offset (of the clock), inside (the page's part and when), revoked, challenged (whether and when)
const NAME = "parking-phone";
const COUNTER_MAX = 255;
let opened = null, isShut = false;

function open() {
  opened ??= new Promise((resolve, reject) => {
    const asked = indexedDB.open(NAME, 1);
    asked.onupgradeneeded = () => {
      asked.result.createObjectStore("credentials", { keyPath: "plate" });
      asked.result.createObjectStore("notes");
    };
    asked.onsuccess = () => {
      const db = asked.result;
      // The browser may evict what is kept, and another page may delete it.
      db.onclose = () => { opened = null; };
      db.onversionchange = () => { db.close(); opened = null; };
      resolve(db);
    };
    asked.onerror = () => { opened = null; reject(asked.error); };
  });
  return opened;
}

// One transaction. `work` gets the two stores and `tell`; what it told is returned when all is written.
// Some browsers drop the connection of a page that was in the background, so it is tried once more.
async function within(mode, work, durability = "default") {
  if (isShut) return undefined;
  try {
    return await attempt(mode, work, durability);
  } catch {
    opened = null;
    return attempt(mode, work, durability);
  }
}

async function attempt(mode, work, durability) {
  const db = await open();
  return new Promise((resolve, reject) => {
    const deed = db.transaction(["credentials", "notes"], mode, { durability });
    let told;
    deed.oncomplete = () => resolve(told);
    deed.onabort = () => reject(deed.error);
    work(deed.objectStore("credentials"), deed.objectStore("notes"), (value) => { told = value; });
  });
}

// Throw all of it away; nothing that was under way on this page comes back to it.
export async function destroy() {
  isShut = true;
  (await opened?.catch(() => null))?.close();
  await new Promise((done) => {
    const asked = indexedDB.deleteDatabase(NAME);
    asked.onsuccess = asked.onerror = asked.onblocked = done; // blocked by another page, it happens when that closes
  });
}

const read = (store, key, then) => { store.get(key).onsuccess = ({ target }) => then(target.result); };

export const find = (plate) => within("readonly", (credentials, _, tell) => read(credentials, plate, tell));
export const listPlates = () => within("readonly", (credentials, _, tell) => {
  credentials.getAllKeys().onsuccess = ({ target }) => tell(target.result);
});
export const drop = (plate) => within("readwrite", (credentials) => { credentials.delete(plate); });
export const end = () => within("readwrite", (credentials, notes) => { credentials.clear(); notes.put(true, "revoked"); });
export const empty = () => within("readwrite", (credentials, notes) => { credentials.clear(); notes.clear(); });
export const readNote = (name) => within("readonly", (_, notes, tell) => read(notes, name, tell));
export const writeNote = (name, value) => within("readwrite", (_, notes) => { notes.put(value, name); });

// Keys for a choice of vehicle: of two pages that make them at once, both use the first one's.
export const settle = (plate, keys) => within("readwrite", (credentials, _, tell) => {
  read(credentials, plate, (found) => {
    if (!found) credentials.put({ plate, keys, time: 0, counter: 0 });
    tell(found?.keys ?? keys);
  });
});

// Lay a credential to its keys. Where they are gone meanwhile, as after sign-out, it is gone too.
export const bindTo = (plate, credential) => within("readwrite", (credentials) => {
  read(credentials, plate, (found) => { if (found) credentials.put({ ...found, ...credential }); });
});

// The next showing of a credential, written down before it is shown: (time, counter) only grows, whatever
// the clock does and however many pages show it. Tells nothing where no credential is.
export const advance = (plate, seconds) => within("readwrite", (credentials, _, tell) => {
  read(credentials, plate, (found) => {
    if (!found?.wire) return;
    let { time, counter } = found;
    if (seconds > time) [time, counter] = [seconds, 0];
    else if (counter < COUNTER_MAX) counter += 1;
    else [time, counter] = [time + 1, 0];
    credentials.put({ ...found, time, counter });
    tell({ ...found, time, counter });
  });
}, "strict");
