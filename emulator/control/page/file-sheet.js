/** A .bin that was dropped or chosen: what it is, and the two ways to bring it to the device. */
import { api } from './api.js';
import { byId, make, toast } from './dom.js';
import { count } from './words.js';

export class FileSheet {
  /** @param {import('./model.js').Model} model */
  constructor(model) {
    this.model = model;
    this.dialog = byId('file-dialog');
    /** What was uploaded last, to do it again. @type {{ file: File, how: any } | undefined} */
    this.last = undefined;
  }

  /** @param {File} file */
  async open(file) {
    const report = make('dl', { class: 'report', id: 'file-report' }, make('dt', {}, 'Looking…'));
    const form = this.form(file);
    this.dialog.replaceChildren(
      make(
        'div',
        { class: 'body' },
        make(
          'div',
          { class: 'row' },
          make('h2', { id: 'file-title' }, file.name),
          make('span', { class: 'muted' }, `${count(file.size)} bytes`),
          make('span', { class: 'spacer' }),
          make('button', { class: 'button small', type: 'button', onclick: () => this.dialog.close() }, 'Close'),
        ),
        report,
        form,
      ),
    );
    if (!this.dialog.open) this.dialog.showModal();
    try {
      report.replaceChildren(...this.rows(await api.inspect(file)));
    } catch (error) {
      report.replaceChildren(
        make('dt', {}, 'Cannot be inspected'),
        make('dd', { class: 'bad' }, /** @type {Error} */ (error).message),
      );
    }
  }

  rows(info) {
    const rows = [];
    const add = (name, text, tone) => rows.push(make('dt', {}, name), make('dd', { class: tone }, text));
    const inner = info.contents ?? info;
    add('What', WHAT[info.kind] ?? info.kind);
    if (inner.manifest) add('Firmware', `${inner.manifest.sketch.join(', ')}, version ${inner.manifest.version}`);
    else if (info.kind === 'firmware') add('Firmware', 'without a manifest: the device runs its own sketch for it');
    if (inner.eboot) add('Bootloader', `eboot of ${inner.eboot.build}`);
    if (info.md5) add('MD5', info.md5);
    if (info.signature) add('Signature', `${info.signature.length ?? ''} bytes at the end`);
    const fit = info.fit?.find(({ layout }) => layout === this.model.device?.layout);
    if (fit) add(`Fits ${fit.layout}`, fitWords(fit), fit.ota.ok && fit.web.ok ? 'good' : 'bad');
    for (const { severity, where, message } of info.problems)
      add(severity === 'error' ? 'Broken' : 'Note', `${where}: ${message}`, severity === 'error' ? 'bad' : undefined);
    if (info.problems.length === 0) add('Problems', 'none', 'good');
    return rows;
  }

  form(file) {
    const isFs = /littlefs|spiffs|\.fs\.|filesystem/i.test(file.name);
    const user = make('input', {
      type: 'text',
      autocomplete: 'off',
      placeholder: 'user',
      'aria-label': 'User',
      size: 10,
    });
    const password = make('input', {
      type: 'password',
      autocomplete: 'off',
      placeholder: "the device's own",
      'aria-label': 'Password',
      size: 14,
    });
    const form = make('form', { class: 'form', method: 'dialog' });
    const radio = (name, value, words, checked) =>
      make('label', {}, make('input', { type: 'radio', name, value, checked }), words);
    const send = async (via) => {
      const target = form.querySelector('input[name="target"]:checked').value;
      await this.upload(file, { via, target, name: file.name, user: user.value, password: password.value });
    };
    form.append(
      make(
        'fieldset',
        {},
        make('legend', {}, 'It is'),
        radio('target', 'sketch', 'a sketch', !isFs),
        radio('target', 'fs', 'a file system', isFs),
      ),
      make('fieldset', {}, make('legend', {}, 'Credentials, if they should be others'), user, password),
      make(
        'div',
        { class: 'row' },
        make(
          'button',
          { class: 'button primary', type: 'button', id: 'upload-ota', onclick: () => send('arduino-ota') },
          'Upload as the Arduino IDE does',
        ),
        make(
          'button',
          { class: 'button primary', type: 'button', id: 'upload-web', onclick: () => send('web') },
          'Upload as a browser does',
        ),
      ),
    );
    return form;
  }

  /** Closes the sheet, so that one can watch, and says at the bottom what came of it. */
  async upload(file, how) {
    this.last = { file, how };
    this.dialog.close();
    toast(`${file.name} is on its way.`);
    try {
      const { answer } = await api.upload(file, how);
      toast(`Upload of ${file.name}: the device answered "${answer}"`, 'good');
    } catch (error) {
      toast(`Upload of ${file.name} failed: ${/** @type {Error} */ (error).message}`, 'bad');
    }
  }

  /** Sends the last file once more, in the same way. */
  async again() {
    if (this.last) await this.upload(this.last.file, this.last.how);
  }
}

const WHAT = {
  firmware: 'ESP8266 firmware: bootloader and application',
  'lone-image': 'one image without an application at 0x1000',
  gzip: 'gzip: eboot unpacks it',
  unknown: 'no ESP8266 firmware',
};

/** Three ways to the device: which of them has room. */
function fitWords({ ota, web, serial }) {
  const ways = [
    ['by ArduinoOTA', ota],
    ['by the web form', web],
    ['by serial', serial],
  ];
  return ways.map(([name, { ok, why }]) => (ok ? `${name}: yes` : `${name}: no, ${why}`)).join('; ');
}
