// TEMPORARY until eboot/rom.ts is here.
export function romBoot(o: { start: any; secondNumber: number; spi: any; ram: any; transmit: (text: string) => void; emit: any }): { outcome: "boot"; entry: number } | { outcome: "download" } | { outcome: "hang"; why: string } {
  const { start, spi, transmit, emit, secondNumber } = o;
  let t = `\r\n ets Jan  8 2013,rst cause:${start.rstCause}, boot mode:(${start.strap},${secondNumber})\r\n\r\n`;
  const ev = (segments: number, checksumOk: boolean, failure?: string) =>
    emit({ type: 'rom.boot', rstCause: start.rstCause, bootMode: [start.strap, secondNumber], segments, checksumOk, ...(failure ? { failure } : {}) });
  if (start.rstCause === 4) t += 'wdt reset\r\n';
  if (start.rstCause === 3) { transmit(t + 'ets_main.c\r\n'); ev(0, false, 'hang'); return { outcome: 'hang', why: 'not-attached' }; }
  if (start.strap === 1) { transmit(t); ev(0, false); return { outcome: 'download' }; }
  const b = new Uint8Array(4096); spi.read(0, 4096, b);
  if (b[0] !== 0xe9) { transmit(t + 'ets_main.c\r\n'); ev(0, false, 'no image'); return { outcome: 'hang', why: 'no-image' }; }
  const v = new DataView(b.buffer); let at = 8, sum = 0xef;
  for (let i = 0; i < b[1]!; i++) { const a = v.getUint32(at, true), l = v.getUint32(at + 4, true); at += 8; for (let j = 0; j < l; j++) sum ^= b[at + j] ?? 0; at += l;
    t += `load 0x${a.toString(16).padStart(8, '0')}, len ${l}, room ${i ? 8 : 16} \r\ntail 0\r\nchksum 0x${sum.toString(16).padStart(2, '0')}\r\n`; }
  t += `csum 0x${sum.toString(16).padStart(2, '0')}\r\n`;
  const ok = b[at | 15] === sum;
  if (!ok) t += 'csum err\r\nets_main.c\r\n';
  transmit(t); ev(b[1]!, ok, ok ? undefined : 'csum err');
  return ok ? { outcome: 'boot', entry: v.getUint32(4, true) } : { outcome: 'hang', why: 'bad-checksum' };
}
