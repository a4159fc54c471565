/** What the services tell. Contract: design.md §5. `peer` is `ip:port`. */

export type UpdateCommandName = 'sketch' | 'fs';

export type UpdateEvent =
  | { type: 'update.begin'; command: UpdateCommandName; address: number; size: number }
  | { type: 'update.progress'; written: number; size: number }
  | { type: 'update.end'; md5: string; size: number }
  | { type: 'update.error'; code: number; name: string; message: string };

export type OtaEvent =
  | { type: 'ota.invite'; peer: string; command: number; port: number; size: number; md5: string }
  | { type: 'ota.auth'; peer: string; ok: boolean }
  | { type: 'ota.connect'; peer: string; ok: boolean }
  | { type: 'ota.ack'; peer: string; bytes: number; total: number }
  | { type: 'ota.error'; peer: string; code: number; name: string }
  | { type: 'ota.end'; peer: string; ok: boolean; reboot: boolean };

/** `length` of a response: bytes of its body, 0 as long as that is unknown (chunked). `bytes`: of the file so far. */
export type HttpEvent =
  | { type: 'http.request'; peer: string; method: string; path: string }
  | {
      type: 'http.upload';
      peer: string;
      field: string;
      filename: string;
      bytes: number;
      state: 'start' | 'end' | 'aborted';
    }
  | { type: 'http.response'; peer: string; status: number; length: number };

/**
 * The device as a client of an update server. `headers`: as sent or received, repeated ones joined with `,`; of a long head
 * the first few KiB. `status` is 0 when there was no HTTP status line.
 */
export type HttpUpdateEvent =
  | { type: 'httpupdate.request'; url: string; headers: Readonly<Record<string, string>> }
  | { type: 'httpupdate.response'; status: number; headers: Readonly<Record<string, string>> }
  | {
      type: 'httpupdate.end';
      result: 'ok' | 'no-updates' | 'failed';
      /** `getLastError()` and its text; `why` is what the device does not tell: the reason of DNS, TCP or TLS. */
      error?: number;
      message?: string;
      why?: string;
    };

/** First 256 bytes of what crossed a wire, base64. */
export type WireEvent = {
  type: 'wire.in' | 'wire.out';
  channel: 'udp' | 'tcp' | 'http' | 'mdns';
  peer: string;
  length: number;
  data: string;
};

/** One handler holds the device's only thread (spec chapter 03 §7); a reset or the peer's end revives it. */
export type FrozenEvent = { type: 'device.frozen' | 'device.thawed'; where: string; cure: string };

export type ServiceEvent = UpdateEvent | OtaEvent | HttpEvent | HttpUpdateEvent | WireEvent | FrozenEvent;
