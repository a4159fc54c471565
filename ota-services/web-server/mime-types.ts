/** Content types of static files by suffix. Source: spec chapter 04 §8 (detail/mimetable.cpp). */
const TYPES: Readonly<Record<string, string>> = {
  '.html': 'text/html',
  '.htm': 'text/html',
  '.css': 'text/css',
  '.txt': 'text/plain',
  '.js': 'application/javascript',
  '.json': 'application/json',
  '.png': 'image/png',
  '.gif': 'image/gif',
  '.jpg': 'image/jpeg',
  '.jpeg': 'image/jpeg',
  '.ico': 'image/x-icon',
  '.svg': 'image/svg+xml',
  '.ttf': 'application/x-font-ttf',
  '.otf': 'application/x-font-opentype',
  '.woff': 'application/font-woff',
  '.woff2': 'application/font-woff2',
  '.eot': 'application/vnd.ms-fontobject',
  '.sfnt': 'application/font-sfnt',
  '.xml': 'text/xml',
  '.pdf': 'application/pdf',
  '.zip': 'application/zip',
  '.appcache': 'text/cache-manifest',
  '.gz': 'application/x-gzip',
};

export function contentTypeOf(path: string): string {
  const suffix = Object.keys(TYPES).find((name) => path.endsWith(name));
  return suffix === undefined ? 'application/octet-stream' : TYPES[suffix]!;
}
