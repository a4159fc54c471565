/** Why a class of outcomes comes about, in sentences for somebody who does not know the bootloader. */
import type { SweepEvidence } from './evidence.ts';
import type { ReasonClass } from './outcomes.ts';
import { DEATHS, RUNNING } from './reasons.ts';
import type { SweepReport } from './report.ts';

const SECTOR_BYTES = 4096;

const OUTCOMES: Readonly<Record<string, string>> = {
  [DEATHS['no-image']]:
    'The first byte of the chip is not 0xE9. The ROM, which is the first to run, finds no program and stands still.',
  [DEATHS['bad-checksum']]:
    'The bootloader in the first sector is not whole. The ROM adds it up, finds another checksum, and stands still.',
  [DEATHS['no-application']]:
    'The bootloader is whole and starts, but where the application begins there is nothing, or nonsense. It jumps there all the same.',
  [DEATHS['crash-loop']]:
    'The bootloader is whole, and it checks no application before it starts it. This one is part old, part new or missing: it crashes, the chip restarts, and it crashes again.',
  [DEATHS.hang]: 'The chip stands still, and a restart leads to the same place.',
  [RUNNING.corrupt.reason]:
    'The application starts although its bytes are neither those of the old nor of the new version. Images of this kind carry no checksum over those bytes, or one of 8 bits, which fits by chance one time in 256.',
  [RUNNING.fsLost.reason]:
    'The application is not touched. Its file system was being written over when the update was cut off, so it is part old, part new, or erased.',
};

const GIVES_UP =
  'The bootloader gave up, and restarted the chip by software. The ROM cannot start from flash after such a restart, so it hangs until the reset button or the plug.';

/** One paragraph: what is seen, and why at these cuts. */
export function explain(one: ReasonClass, report: SweepReport, evidence: SweepEvidence | undefined): string {
  const outcome = OUTCOMES[one.reason] ?? (/gives? up|gave up/.test(one.reason) ? GIVES_UP : `${one.reason}.`);
  return [outcome, ...causes(one, report, evidence)].join(' ');
}

function causes(
  { results, verdict }: ReasonClass,
  report: SweepReport,
  evidence: SweepEvidence | undefined,
): readonly string[] {
  const phases = new Set(results.map(({ phase }) => phase));
  const kinds = new Set(results.map(({ fault }) => fault));
  const said: string[] = [];
  const copies = phases.has('copy') || phases.has('clear');
  if (phases.has('serial')) said.push('A serial upload writes over the running image from its first operation on.');
  if (phases.has('fs')) said.push('The file system is written in place, while the rest of it is still on its way.');
  if (copies && (kinds.has('power-cut') || kinds.has('brown-out'))) {
    const loses = kinds.has('power-cut') ? 'a loss of power wipes' : 'a brown-out spoils, so that its CRC is wrong';
    said.push(
      `The cut fell into the bootloader’s copy. What is to be copied stands in RTC memory only, which ${loses}. Nobody goes on with the copy, though the new image is whole in the staging area.`,
    );
  }
  if (copies && kinds.has('reset')) said.push(...resetCauses(report, evidence));
  if (verdict !== 'brick') return said;
  return [...said, 'Only a serial upload helps.'];
}

function resetCauses({ operations, definition }: SweepReport, evidence: SweepEvidence | undefined): string[] {
  const phases = Object.keys(operations);
  const cleared = phases.indexOf('clear');
  if (cleared >= 0 && cleared < phases.indexOf('copy')) {
    return ['This bootloader clears its command before it copies, so even a reset makes it forget what it was doing.'];
  }
  const staging = evidence?.ranges.find(({ name }) => name === 'staging area');
  if (staging && evidence && definition.target === 'sketch' && evidence.newLength > staging.start) {
    const at = staging.start.toString(16);
    const over = Math.ceil((evidence.newLength - staging.start) / SECTOR_BYTES);
    return [
      `After a reset the copy begins again. But the new image reaches into its own staging area at 0x${at} by ${over} sectors, and had overwritten part of its source by then.`,
    ];
  }
  return [
    'A reset keeps the command, but here the boot sector itself was being rewritten: the bootloader that would go on does not start.',
  ];
}
