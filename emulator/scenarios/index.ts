/** The catalogue. Source: spec chapter 06. */
import { lostCommand, powerLostInCopy, resetInCopy } from './copy.ts';
import type { Scenario } from './scenario.ts';

export {
  type Act,
  playScenario,
  type Scenario,
  ScenarioFailed,
  type ScenarioResult,
  type StageOptions,
} from './scenario.ts';

/** In the order of the catalogue's rows. */
export const scenarios: readonly Scenario[] = [powerLostInCopy, resetInCopy, lostCommand];
