/** The format language of the ROM's `ets_printf`, as far as boot code can use it. Source: spec chapter 07 §5.1. */

/** Widths beyond this are cut: no line of the ROM is longer. */
const WIDTH_LIMIT = 64;

/**
 * @param argument the next argument word, unsigned
 * @param textAt the zero-terminated text at a CPU address
 */
export function formatRom(format: string, argument: () => number, textAt: (address: number) => string): string {
  return format.replace(
    /%(%|(0?)(\d*)l*([cdiupsxX]))/g,
    (_, whole: string, zero: string, width: string, kind: string) => {
      if (whole === '%') return '%';
      const text = convert(kind, argument(), textAt);
      const wide = Math.min(Number(width || 0), WIDTH_LIMIT);
      if (zero !== '0') return text.padStart(wide, ' ');
      const sign = text.startsWith('-') ? '-' : '';
      return sign + text.slice(sign.length).padStart(wide - sign.length, '0');
    },
  );
}

function convert(kind: string, value: number, textAt: (address: number) => string): string {
  switch (kind) {
    case 'c':
      return String.fromCharCode(value & 0xff);
    case 's':
      return textAt(value);
    case 'd':
    case 'i':
      return String(value | 0);
    case 'u':
      return String(value >>> 0);
    case 'X':
      return (value >>> 0).toString(16).toUpperCase();
    default:
      return (value >>> 0).toString(16);
  }
}
