/** Planning a fault: at an operation of the timeline (*pull the plug here*), or at a sector of the map. */
import { api } from './api.js';
import { byId, make, toast } from './dom.js';
import { faultAt, PHASES, RTC_WORD, SECTOR_BYTES } from './model.js';
import { sentence } from './timeline.js';
import { faultWords, hex } from './words.js';

const POWER = [
  ['power-cut', 'pull the plug'],
  ['reset', 'press reset'],
  ['brown-out', 'brown-out'],
];
const CHIP = [
  ['erase-fail', 'the erase fails'],
  ['program-fail', 'the program fails'],
  ['write-drop', 'the write is lost silently'],
  ['stuck-bits', 'bits stick'],
  ['worn-sector', 'worn out: erased bits stay 0'],
];

export class FaultSheet {
  /**
   * @param {{ lastFile: () => { name: string } | undefined, again: () => Promise<void>, hasSnapshot: (id: string) => boolean,
   *   restore: (id: string) => Promise<void> }} actions
   */
  constructor(actions) {
    this.actions = actions;
    this.dialog = byId('fault-dialog');
  }

  /** @param {import('./model.js').Operation} operation */
  atOperation(operation) {
    const phase = PHASES[operation.phase] ?? '';
    const { actions } = this;
    const inCopy = phase === 'copy' || phase === 'clear';
    const ways = [];
    if (inCopy && actions.hasSnapshot('before-copy')) {
      ways.push(['Go back to before the copy and strike', () => actions.restore('before-copy')]);
    }
    const file = actions.lastFile();
    if (file) ways.push([`Upload ${file.name} again and strike`, () => actions.again()]);
    this.show({
      title: 'Pull the plug here',
      text: `Selected: ${sentence(operation)}. The same happens again in the next update, and there the fault strikes.`,
      kinds: operation.kind === RTC_WORD ? POWER : [...POWER, ...CHIP],
      spec: (kind, point, fraction) =>
        this.chipSpec(kind, operation) ??
        faultAt(operation, kind, kind === 'power-cut' ? point : point === 'inside' ? 'before' : point, fraction),
      inside: operation.kind !== RTC_WORD,
      ways,
    });
  }

  /** Chip faults count operations of their own kind only; an address says it plainly. */
  chipSpec(kind, operation) {
    return CHIP.some(([name]) => name === kind)
      ? `${kind}@${hex(operation.address - (operation.address % SECTOR_BYTES)).toLowerCase()}`
      : undefined;
  }

  /** @param {number} address */
  atSector(address) {
    const at = hex(address).toLowerCase();
    this.show({
      title: `A fault at sector ${address / SECTOR_BYTES}`,
      text: `It strikes at the next operation on ${hex(address, 6)} to ${hex(address + SECTOR_BYTES - 1, 6)}.`,
      kinds: [...POWER, ...CHIP],
      spec: (kind, point, fraction) => {
        if (CHIP.some(([name]) => name === kind)) return `${kind}@${at}`;
        const where = kind === 'power-cut' ? point : point === 'inside' ? 'before' : point;
        const inside = where === 'inside' && fraction !== undefined ? `:${fraction}` : '';
        return `${kind}@${at}${where === 'before' ? '' : `:${where}${inside}`}`;
      },
      inside: true,
      ways: [],
    });
  }

  show({ title, text, kinds, spec, inside, ways }) {
    const kind = make(
      'select',
      { id: 'fault-kind' },
      ...kinds.map(([value, words]) => make('option', { value }, words)),
    );
    const points = ['before', ...(inside ? ['inside'] : []), 'after'].map((value) =>
      make(
        'label',
        {},
        make('input', { type: 'radio', name: 'point', value, checked: value === (inside ? 'inside' : 'before') }),
        { before: 'before it', inside: 'in the middle', after: 'after it' }[value],
      ),
    );
    const share = make('input', {
      type: 'range',
      min: '0',
      max: '1',
      step: '0.05',
      value: '0.5',
      'aria-label': 'How much of the operation happens',
    });
    const preview = make('code', { id: 'fault-spec' });
    const sentenceLine = make('p');
    const form = make('form', { class: 'form', method: 'dialog' });
    const read = () => {
      const point = form.querySelector('input[name="point"]:checked')?.value ?? 'before';
      return spec(kind.value, point, Number(share.value));
    };
    const update = () => {
      const text_ = read();
      preview.textContent = text_;
      const words = faultWords(text_);
      sentenceLine.textContent = `${words.charAt(0).toUpperCase()}${words.slice(1)}.`;
    };
    const arm = async (then) => {
      try {
        await api.arm(read());
        this.dialog.close();
        await then?.();
      } catch (error) {
        toast(/** @type {Error} */ (error).message, 'bad');
      }
    };
    form.append(
      make('label', {}, 'What happens', kind),
      make('fieldset', {}, make('legend', {}, 'When'), ...points, make('label', {}, share)),
      make('p', {}, 'In the fault grammar: ', preview),
      sentenceLine,
      make(
        'div',
        { class: 'row' },
        ...ways.map(([words, then]) =>
          make('button', { class: 'button primary', type: 'button', onclick: () => arm(then) }, words),
        ),
        make(
          'button',
          { class: ways.length ? 'button' : 'button primary', type: 'button', id: 'fault-arm', onclick: () => arm() },
          'Arm it',
        ),
        make('button', { class: 'button', type: 'button', onclick: () => this.dialog.close() }, 'Cancel'),
      ),
    );
    form.addEventListener('input', update);
    this.dialog.replaceChildren(
      make(
        'div',
        { class: 'body' },
        make('h2', { id: 'fault-title' }, title),
        make('p', { class: 'muted' }, text),
        form,
      ),
    );
    update();
    this.dialog.showModal();
  }
}
