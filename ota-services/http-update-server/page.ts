/**
 * The form of the update server, and its answer to a good upload. The form's text is ours; clients depend on the names of
 * the inputs and on `multipart/form-data`. The answer is exact. Source: spec chapter 04 §9, §11, §27.
 */

/** What the two file inputs offer to choose from. */
const ACCEPT = '.bin,.bin.gz';

function form(label: string, field: string, button: string): string {
  return `<form method="POST" action="" enctype="multipart/form-data">
<label>${label} <input type="file" name="${field}" accept="${ACCEPT}"></label>
<input type="submit" value="${button}">
</form>`;
}

export const UPDATE_PAGE = `<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<title>Update</title>
</head>
<body>
${form('Firmware:', 'firmware', 'Update Firmware')}
${form('FileSystem:', 'filesystem', 'Update FileSystem')}
</body>
</html>
`;

/** The browser goes to `/` when the device should be up again. */
export const SUCCESS_PAGE = '<META http-equiv="refresh" content="15;URL=/">Update Success! Rebooting...';
