/** The public API, listed by name. What the command line does, a program can do with it. Contract: design.md §3. */
export { type BootOnceOptions, type BootOnceResult, bootOnce } from '../eboot/boot-once.ts';
export type { EbootCommand } from '../eboot/command.ts';
export type { ResetCause } from '../eboot/reset-cause.ts';
export { type Board, boardById, boards } from '../flash/boards.ts';
export { type BuildOptions, buildImage } from '../flash/image-build.ts';
export { type ImageReport, parseImage } from '../flash/image-format.ts';
export { type ImageInfo, imageInfo } from '../flash/image-info.ts';
export { type FlashLayout, layoutByName, layouts } from '../flash/layouts.ts';
export { type Manifest, readManifest } from '../flash/manifest.ts';
export { Interruption, PowerLost } from '../flash/ports.ts';
export type { Alterations } from './alterations.ts';
export { createDevice, type Device, type DeviceSnapshot } from './device.ts';
export { DeviceReset } from './device-reset.ts';
export { decodeEbootCommand, encodeEbootCommand } from './eboot-command.ts';
export type {
  Addresses,
  DeviceEvent,
  DeviceEventType,
  EventLog,
  EventOf,
  HostPort,
  Stamped,
  WaitOptions,
} from './events.ts';
export { type Fault, type FaultAt, type FaultKind, FaultSpecError, formatFault, parseFaults } from './faults/spec.ts';
export { FlashFileError } from './flash-file.ts';
export { ListenError } from './network/device-network.ts';
export { type BootedImage, DeviceOptionError, type DeviceOptions, type SerialOptions } from './options.ts';
export type { PowerState } from './power.ts';
export type { SerialConnection, SerialHost } from './serial/serial-port.ts';
export { parseSerial } from './serial/transport.ts';
export { KeyError, rsaVerifier, signImage, verifyImage } from './signing.ts';
export { SKETCH_NAMES } from './sketches/index.ts';
export type { Core, Esp, Sketch, SketchFactory } from './sketches/sketch.ts';
export { soundDesign } from './sweep/defects.ts';
export {
  type DriveOptions,
  type DriveResult,
  deviceOptionsFor,
  driveUpdate,
  settle,
  sketchFor,
  type UpdatePath,
  type UpdateTarget,
} from './sweep/drive/index.ts';
export { SweepInputError } from './sweep/errors.ts';
export { gatherEvidence, type SweepEvidence } from './sweep/evidence.ts';
export { mergeReports } from './sweep/merge.ts';
export type { SweepOptions, SweepProgress } from './sweep/prepare.ts';
export type { Judgement, Verdict } from './sweep/reasons.ts';
export { type Replay, type ReplayOptions, replay } from './sweep/replay.ts';
export { isViolated, type SweepDefinition, type SweepReport, type SweepResult } from './sweep/report.ts';
export { reportHtml } from './sweep/report-html.ts';
export { formatJunit } from './sweep/report-junit.ts';
export { formatReport } from './sweep/report-text.ts';
export { powerCutSweep } from './sweep/sweep.ts';
export {
  createUpdateServer,
  type OfferChange,
  type OfferedImage,
  type ServedRequest,
  type UpdateServer,
  UpdateServerOptionError,
  type UpdateServerOptions,
} from './update-server.ts';
export { type UploadOptions, type UploadResult, uploadOverOta } from './uploader.ts';
