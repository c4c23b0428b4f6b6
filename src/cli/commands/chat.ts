/** @file */
export function configure(): void {}
