import { readFileSync } from 'node:fs';
import { test } from 'vitest';
import { formatImageInfo, imageInfo } from '../../flash/image-info.ts';
import { gunzip } from '../../emulator/gzip.ts';
test('x', async () => {
  for (const f of ['/tmp/scr/a.bin','/work/scratch/images/sonoffmini.bin','/work/scratch/images/victor-tasmota.bin.gz','/work/scratch/images/sta-webserver.bin']) console.log(formatImageInfo(f, imageInfo(readFileSync(f),{inflate:gunzip})));
});
