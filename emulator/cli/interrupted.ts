/** Resolves when the user presses Ctrl-C (or the process is asked to end). Something else must keep the process alive. */
export const interrupted = (): Promise<void> =>
  new Promise((resolve) => {
    process.once('SIGINT', () => resolve());
    process.once('SIGTERM', () => resolve());
  });
