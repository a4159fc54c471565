/** Style and script of the HTML report. Nothing in here comes from outside. */

const LIGHT = `
  --page: #ffffff; --card: #f6f8fa; --line: #cdd8e1; --text: #14212d; --muted: #52636f; --link: #0b639b;
  --old: #bfd0de; --new: #3f9d6c; --brick: #b3241a; --corrupt: #8d1f7c; --fs-lost: #d9822b; --stuck: #d8b100;
  --s-empty: #eef2f5; --s-kept: #c9d3db; --s-old: #8fb3d4; --s-new: #5cb585; --s-staged: #b79bdc; --s-erased: #f2c14b; --s-mixed: #d2382b;
  --r0: #2674c9; --r1: #158a6d; --r2: #8a4fce; --r3: #b06a00; --r4: #cf4c80; --r5: #a4622f; --r6: #727d14; --mark: #fbd9d5;`;

export const STYLE = `
:root { color-scheme: light dark; ${LIGHT} }
@media (prefers-color-scheme: dark) { @media screen { :root {
  --page: #11181f; --card: #1a242d; --line: #33424f; --text: #e4ebf1; --muted: #9fb0be; --link: #6dbcf0;
  --old: #48647c; --new: #37a86f; --brick: #ff5b4c; --corrupt: #d86cc6; --fs-lost: #f0a050; --stuck: #e6c84a;
  --s-empty: #1d2832; --s-kept: #3b4a57; --s-old: #4b7ba6; --s-new: #37a86f; --s-staged: #7d5fb0; --s-erased: #d9ab3d; --s-mixed: #ff5b4c;
  --r0: #5aa3f0; --r1: #3fb99a; --r2: #b581ec; --r3: #e0a13a; --r4: #ef7fa8; --r5: #c9875a; --r6: #9aa63a; --mark: #5c2420;
} } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1.25rem 3rem; max-width: 74rem; background: var(--page); color: var(--text);
  font: 15px/1.5 system-ui, "Segoe UI", "DejaVu Sans", Roboto, sans-serif; print-color-adjust: exact; -webkit-print-color-adjust: exact; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1rem 0 .25rem; }
p { margin: .4rem 0; max-width: 52rem; }
code, .diff, pre { font-family: ui-monospace, "Cascadia Code", "DejaVu Sans Mono", Menlo, Consolas, monospace; font-size: .86em; }
.muted, small { color: var(--muted); }
.note { border-left: 4px solid var(--stuck); padding: .4rem .8rem; background: var(--card); }
.total { display: flex; height: 30px; border-radius: 4px; overflow: hidden; margin: 1rem 0 .4rem; }
.total i { display: block; min-width: 3px; }
.legend { list-style: none; display: flex; flex-wrap: wrap; gap: .25rem 1.1rem; margin: .4rem 0; padding: 0; font-size: .9rem; }
.legend i { display: inline-block; width: 14px; height: 14px; margin-right: .4em; vertical-align: -2px; border-radius: 2px; }
.legend i.bar { height: 5px; vertical-align: 3px; }
.phase { display: grid; grid-template-columns: 8rem 3.6rem 1fr; align-items: center; gap: .5rem; margin: .35rem 0; break-inside: avoid; }
.phase .name { line-height: 1.15; } .phase small { display: block; font-size: .78rem; }
.points span { display: block; height: 12px; line-height: 12px; font-size: 10.5px; text-align: right; color: var(--muted); }
.strip { width: 100%; display: block; }
.strip rect { cursor: pointer; } .strip rect:hover { opacity: .75; }
.picked { min-height: 2.2rem; margin: .6rem 0; }
.class { border: 1px solid var(--line); border-radius: 8px; padding: .25rem 1rem 1rem; margin: 1rem 0; }
.class > h3 { font-size: 1.05rem; }
.badge { display: inline-block; color: #fff; border-radius: 4px; padding: 0 .5em; margin-right: .4em; }
.ids { list-style: none; padding: 0; margin: .4rem 0; }
.ids li { margin: .2rem 0; } .ids code { overflow-wrap: anywhere; }
button { font: inherit; font-size: .8rem; color: var(--text); background: var(--card); border: 1px solid var(--line); border-radius: 4px;
  padding: 0 .6em; margin-left: .6em; cursor: pointer; }
button:hover { border-color: var(--link); }
.map { width: 100%; display: block; margin: .4rem 0; }
.map .address, .map .fold { font: 11px ui-monospace, "DejaVu Sans Mono", monospace; fill: var(--muted); }
.map .address { text-anchor: end; }
.map .cut { fill: none; stroke: var(--text); stroke-width: 2.5; }
.grid { stroke: var(--page); stroke-width: 1; }
.wide { overflow-x: auto; }
.diff { border-collapse: collapse; white-space: nowrap; font-size: 11px; }
.diff th { font-weight: 400; color: var(--muted); text-align: left; padding: 0 1em 0 0; }
.diff td { padding: 0 1em 0 0; } .diff b { background: var(--mark); font-weight: 600; }
.facts { border-collapse: collapse; } .facts th { text-align: left; font-weight: 400; color: var(--muted); padding: .1rem 1.5rem .1rem 0; vertical-align: top; white-space: nowrap; }
.facts td { overflow-wrap: anywhere; } pre { white-space: pre-wrap; overflow-wrap: anywhere; background: var(--card); padding: .8rem; border-radius: 6px; }
.holds { color: var(--new); } .broken { color: var(--brick); font-weight: 600; }
${['old', 'new', 'brick', 'corrupt', 'fs-lost', 'stuck'].map((name) => `.${name} { background: var(--${name}); fill: var(--${name}); }`).join('\n')}
${['empty', 'kept', 'old', 'staged', 'new', 'erased', 'mixed'].map((name) => `.s-${name} { background: var(--s-${name}); fill: var(--s-${name}); }`).join('\n')}
${[0, 1, 2, 3, 4, 5, 6].map((i) => `.r-${i} { background: var(--r${i}); fill: var(--r${i}); }`).join('\n')}
@media print {
  :root { color-scheme: light; }
  body { max-width: none; padding: 0; font-size: 10.5pt; } button, .screen { display: none; }
  .class { break-inside: avoid-page; } .diff { font-size: 5.5pt; } .wide { overflow: visible; }
}`;

/** Copies an id; shows the id of a place in the chart. Without it the page can still be read. */
export const SCRIPT = `
const picked = document.getElementById('picked');
async function copy(text) {
  try { await navigator.clipboard.writeText(text); return true; } catch {}
  const area = document.createElement('textarea');
  area.value = text; document.body.append(area); area.select();
  const done = document.execCommand('copy'); area.remove(); return done;
}
document.addEventListener('click', async (event) => {
  const place = event.target.closest('[data-id]');
  if (place && picked) {
    const code = document.createElement('code'); code.textContent = place.dataset.id;
    const button = document.createElement('button'); button.type = 'button'; button.dataset.copy = place.dataset.id; button.textContent = 'copy id';
    picked.replaceChildren(code, button, document.createElement('br'), place.dataset.says);
  }
  const button = event.target.closest('[data-copy]');
  if (!button) return;
  const word = button.textContent;
  button.textContent = (await copy(button.dataset.copy)) ? 'copied' : 'press Ctrl-C';
  setTimeout(() => { button.textContent = word; }, 1500);
});`;
