/** One row of the scenario table, spec chapter 02 §13. */
export interface Row {
  row: number;
  name: string;
  run: () => Promise<void>;
}
