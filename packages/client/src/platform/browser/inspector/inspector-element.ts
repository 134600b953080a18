import { type InspectedNet, type Row, peerRows, relayRows, roomRows } from './inspected.ts';

const NAME = 'lumamesh-inspector';
const UPDATE_MS = 1000;

/** Colours are those of the system, light or dark as the visitor has it. */
const STYLE = `
:host { display: block; color-scheme: light dark; color: CanvasText; background: Canvas;
  font: 13px/1.4 system-ui, sans-serif; overflow-x: auto; }
:host([hidden]) { display: none; }
p { margin: 0.5em; }
table { border-collapse: collapse; width: 100%; margin-block-end: 0.5em; }
caption { text-align: start; font-weight: bold; padding: 0.3em 0.5em; }
th, td { text-align: start; padding: 0.2em 0.5em; border-block-start: 1px solid GrayText; }
tbody th { font-weight: normal; overflow-wrap: anywhere; }
`;

const COLUMNS = {
  Relays: ['Relay', 'State', 'Connected in', 'Error'],
  Rooms: ['Room', 'State', 'Peers'],
  Peers: ['Peer', 'Room', 'State', 'Path', 'Round trip', 'Sending', 'Receiving', 'Waiting'],
} as const;

/** Servers import this as well, where there is no such class. */
const Base: typeof HTMLElement =
  globalThis.HTMLElement ?? (Object as unknown as typeof HTMLElement);

/** `<lumamesh-inspector>`: relays, rooms and peers of the net that it is given, as they are now. */
export class LumameshInspector extends Base {
  #net: InspectedNet | null = null;
  #timer: ReturnType<typeof setInterval> | null = null;
  #isUpdating = false;
  #summary: HTMLElement | null = null;
  readonly #bodies = new Map<string, HTMLTableSectionElement>();

  /** What is shown; `null` for nothing. */
  get net(): InspectedNet | null {
    return this.#net;
  }

  set net(net: InspectedNet | null) {
    this.#net = net;
    void this.#update();
  }

  /** @internal The browser calls it: the element is in a page. */
  connectedCallback(): void {
    this.#build();
    // It was given its net before it was known what it is.
    if (Object.hasOwn(this, 'net')) {
      const { net } = this;
      Reflect.deleteProperty(this, 'net');
      this.net = net;
    }
    this.#timer ??= setInterval(() => void this.#update(), UPDATE_MS);
    void this.#update();
  }

  /** @internal The browser calls it: the element was taken out. */
  disconnectedCallback(): void {
    if (this.#timer !== null) clearInterval(this.#timer);
    this.#timer = null;
  }

  #build(): void {
    if (this.shadowRoot !== null) return;
    const root = this.attachShadow({ mode: 'open' });
    // A policy that forbids styles in the page forbids none that scripts make.
    const sheet = new CSSStyleSheet();
    sheet.replaceSync(STYLE);
    root.adoptedStyleSheets = [sheet];
    const { ownerDocument: page } = this;
    this.#summary = page.createElement('p');
    root.append(this.#summary);
    for (const [caption, columns] of Object.entries(COLUMNS)) {
      const table = page.createElement('table');
      table.createCaption().textContent = caption;
      const head = table.createTHead().insertRow();
      for (const column of columns) {
        const cell = page.createElement('th');
        cell.scope = 'col';
        cell.textContent = column;
        head.append(cell);
      }
      this.#bodies.set(caption, table.createTBody());
      root.append(table);
    }
  }

  async #update(): Promise<void> {
    if (!this.isConnected || this.#isUpdating) return;
    this.#isUpdating = true;
    const net = this.#net;
    try {
      const peers = net === null ? [] : await peerRows(net);
      // Another one was set meanwhile: what was measured is not of it.
      if (net !== this.#net) return;
      const status = net?.status;
      if (this.#summary !== null)
        setText(
          this.#summary,
          status === undefined ? 'No net' : [status.state, status.text, status.code].join(' · '),
        );
      this.#show('Relays', net === null ? [] : relayRows(net));
      this.#show('Rooms', net === null ? [] : roomRows(net));
      this.#show('Peers', peers);
    } finally {
      this.#isUpdating = false;
      if (net !== this.#net) void this.#update();
    }
  }

  /** Rows stay where they are, so that what a visitor has selected stays so. */
  #show(caption: string, rows: readonly Row[]): void {
    const body = this.#bodies.get(caption);
    if (body === undefined) return;
    const known = new Map([...body.rows].map((row) => [row.dataset['key'], row]));
    for (const [i, [key, ...cells]] of rows.entries()) {
      const row = known.get(key) ?? this.#makeRow(key, cells.length);
      known.delete(key);
      if (body.rows[i] !== row) body.insertBefore(row, body.rows[i] ?? null);
      for (const [j, text] of cells.entries()) {
        const cell = row.cells[j];
        if (cell !== undefined) setText(cell, text);
      }
    }
    for (const row of known.values()) row.remove();
  }

  #makeRow(key: string, cells: number): HTMLTableRowElement {
    const { ownerDocument: page } = this;
    const row = page.createElement('tr');
    row.dataset['key'] = key;
    const name = page.createElement('th');
    name.scope = 'row';
    row.append(name);
    for (let i = 1; i < cells; i++) row.append(page.createElement('td'));
    return row;
  }
}

/** Always as text: most of it are strangers' words. */
function setText(element: HTMLElement, text: string): void {
  if (element.textContent !== text) element.textContent = text;
}

// There is no registry on a server; a page may have loaded this twice.
const registry: CustomElementRegistry | undefined = globalThis.customElements;
if (registry !== undefined && registry.get(NAME) === undefined)
  registry.define(NAME, LumameshInspector);
