// What the service told this terminal last, and how it is spoken to.
const TIMEOUT_MS = 3000;

// offset: this clock less the service's, in ms. heardAt, brokenAt: when it last answered, and did not.
// zone: minutes by which the lot's walls are ahead of UTC.
export const known = {
  terminal: null, sequence: 1, offset: 0, freeSpaces: null, direction: "entry", zone: 0, heardAt: null, brokenAt: null,
};

export const isConnected = () => known.brokenAt === null;

export const serviceNow = () => new Date(Date.now() - known.offset);

// Any answer shows that the service is there; a 5xx is none.
export async function call(path, options = {}) {
  try {
    const answer = await fetch(path, { cache: "no-store", signal: AbortSignal.timeout(TIMEOUT_MS), ...options });
    if (answer.status >= 500) throw new Error(answer.status);
    const said = await answer.json();
    known.heardAt = performance.now();
    known.brokenAt = null;
    return { status: answer.status, said };
  } catch (error) {
    known.brokenAt ??= performance.now();
    throw error;
  }
}

export const post = (path, body) => call(path, {
  method: "POST", body: JSON.stringify(body), headers: { "Content-Type": "application/json" },
});

// The status of the answer; 0: there was none.
export async function hello() {
  const started = Date.now();
  try {
    const { status, said } = await call("/v1/terminal");
    if (status !== 200) return status;
    known.sequence = Math.max(known.sequence, said.next_sequence);
    known.offset = Math.round((started + Date.now()) / 2 - Date.parse(said.server_time));
    known.terminal = said.terminal_id;
    known.freeSpaces = said.lot.free_spaces;
    known.direction = said.gate.direction;
    const [, sign, hours, minutes] = /([+-])(\d\d):(\d\d)$/.exec(said.server_time) ?? [0, "+", 0, 0];
    known.zone = Number(`${sign}1`) * (hours * 60 + Number(minutes));
    return status;
  } catch {
    return 0;
  }
}
