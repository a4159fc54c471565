/** Limits of the core's web server. Source: spec chapter 04 §1.1 (ESP8266WebServer.h, WiFiServer.h). Times in milliseconds. */

/** Idle wait for the first byte of a request. */
export const HTTP_MAX_DATA_WAIT = 5000;
/** The same when another pending client already has data, or the pending queue is full. */
export const HTTP_MAX_DATA_AVAILABLE_WAIT = 30;
/** Inactivity limit while a non-form body is read. */
export const HTTP_MAX_POST_WAIT = 5000;
/** How long one write may find no room, or no connection, before it gives up. */
export const HTTP_MAX_SEND_WAIT = 5000;
/** The server keeps a connection so long after a response. */
export const HTTP_MAX_CLOSE_WAIT = 2000;
/** `WiFiClient::stop` waits so long for acknowledgements without progress. */
export const CLIENT_STOP_FLUSH_WAIT = 300;
/** Longest wait for one character of a line; the stream's timeout of an accepted client. */
export const CHARACTER_WAIT = 5000;

/** Bytes of a file that one `UPLOAD_FILE_WRITE` callback gets at most. */
export const HTTP_UPLOAD_BUFLEN = 2048;
/** Largest piece of a response that is written at once. */
export const HTTP_DOWNLOAD_UNIT_SIZE = 1460;
/** Items of a multipart form, its query included. */
export const WEBSERVER_MAX_POST_ARGS = 32;
/** Connections that wait to be picked up. */
export const LISTEN_BACKLOG = 5;
/** lwIP's send buffer with its default MSS of 536: a write blocks until what is beyond it has been acknowledged. */
export const TCP_SND_BUF = 1072;
