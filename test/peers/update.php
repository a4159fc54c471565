<?php
/*
 * The server side of ESPhttpUpdate as a PHP script, in the manner of the core's documentation. Source: spec chapter 04 §25.
 * Beside the served files lies table.json: for each MAC the version on offer and its file.
 *
 *   /          what the device with this MAC shall have
 *   /moved     the same elsewhere: a redirect
 *   others     403, like everything that is no ESP8266 asking for an update
 */

const DEVICE_HEADERS = [
    'sta-mac', 'ap-mac', 'free-space', 'sketch-size', 'sketch-md5', 'chip-size', 'sdk-version', 'mode',
];

function device_header(string $name): ?string
{
    return $_SERVER['HTTP_X_ESP8266_' . strtoupper(strtr($name, '-', '_'))] ?? null;
}

function refuse(int $status, string $why): never
{
    http_response_code($status);
    header('Content-Type: text/plain');
    exit("$why\n");
}

$path = parse_url($_SERVER['REQUEST_URI'], PHP_URL_PATH);
if ($path === '/moved') {
    header('Location: /', true, 302);
    exit;
}
if ($path !== '/') {
    refuse(403, 'nothing else is served here');
}
if (($_SERVER['HTTP_USER_AGENT'] ?? '') !== 'ESP8266-http-Update') {
    refuse(403, 'only for the ESP8266 updater');
}
foreach (DEVICE_HEADERS as $name) {
    if (device_header($name) === null) {
        refuse(403, "x-ESP8266-$name is missing");
    }
}

$table = json_decode(file_get_contents($_SERVER['DOCUMENT_ROOT'] . '/table.json'), true);
$offer = $table[device_header('sta-mac')] ?? null;
if ($offer === null || device_header('mode') !== 'sketch') {
    refuse(404, 'nothing for this device');
}
$file = $_SERVER['DOCUMENT_ROOT'] . '/' . basename($offer['file']);
$md5 = md5_file($file);
if (device_header('version') === $offer['version'] || device_header('sketch-md5') === $md5) {
    http_response_code(304);
    exit;
}

header('Content-Type: application/octet-stream');
header('Content-Disposition: attachment; filename=' . basename($file));
header('Content-Length: ' . filesize($file));
header("x-MD5: $md5");
readfile($file);
