"""A host on a serial port, by pyserial (Debian package python3-serial): esptool's protocol by hand.

python3 serial_peer.py URL ACTION [ARGUMENT]; prints one line of JSON. Actions:
  identify     resets into the loader (where the port has the lines), SYNC, reads the ROM's magic word
  reset        a pulse of RTS, and what the device prints after it
  type TEXT    types TEXT and a line feed, and what the device prints then
  session      identify, then reset, on one opened port
"""
import json
import struct
import sys
import time

import serial

END = 0xC0


def slip(payload):
    return b"\xc0" + payload.replace(b"\xdb", b"\xdb\xdd").replace(b"\xc0", b"\xdb\xdc") + b"\xc0"


def frame(port, deadline):
    """One frame without its delimiters, or None."""
    raw = bytearray()
    inside = False
    while time.monotonic() < deadline:
        byte = port.read(1)
        if not byte:
            continue
        if byte[0] != END:
            if inside:
                raw += byte
        elif inside and raw:
            return bytes(raw.replace(b"\xdb\xdc", b"\xc0").replace(b"\xdb\xdd", b"\xdb"))
        else:
            inside = True
    return None


def request(port, command, data):
    port.write(slip(struct.pack("<BBHI", 0, command, len(data), 0) + data))
    while True:
        answer = frame(port, time.monotonic() + 3)
        if answer is None or answer[1] == command:
            return answer


def classic_reset(port):
    """As esptool does on Windows and over RFC 2217."""
    port.dtr = False
    port.rts = True
    port.dtr = port.dtr
    time.sleep(0.1)
    port.dtr = True
    port.rts = False
    port.dtr = port.dtr
    time.sleep(0.05)
    port.dtr = False


def identify(port, lines):
    if lines:
        classic_reset(port)
    values = []
    for _ in range(10):
        port.reset_input_buffer()
        port.write(slip(struct.pack("<BBHI", 0, 8, 36, 0) + b"\x07\x07\x12\x20" + b"\x55" * 32))
        deadline = time.monotonic() + 1
        while len(values) < 8:
            answer = frame(port, deadline)
            if answer is None:
                break
            if answer[1] == 8:
                values.append(struct.unpack("<I", answer[4:8])[0])
        if len(values) == 8:
            break
        values = []
    magic = request(port, 0x0A, struct.pack("<I", 0x40001000))
    return {"sync": values, "magic": struct.unpack("<I", magic[4:8])[0] if magic else None}


def listen(port, until, seconds=5):
    text = b""
    deadline = time.monotonic() + seconds
    while until not in text and time.monotonic() < deadline:
        text += port.read(1)
    return text.decode("latin1")


def hard_reset(port):
    port.reset_input_buffer()
    port.rts = True
    time.sleep(0.1)
    port.rts = False
    return listen(port, b"Ready\r\n")


def main():
    url, action = sys.argv[1], sys.argv[2]
    lines = url.startswith("rfc2217://")
    port = serial.serial_for_url(url, baudrate=115200, timeout=0.05)
    try:
        if action == "identify":
            result = identify(port, lines)
        elif action == "reset":
            port.dtr = False
            result = {"text": hard_reset(port)}
        elif action == "type":
            port.write(sys.argv[3].encode("latin1") + b"\n")
            result = {"text": listen(port, b"\n")}
        elif action == "session":
            result = identify(port, lines)
            result["text"] = hard_reset(port)
        else:
            raise SystemExit("unknown action " + action)
    finally:
        port.close()
    print(json.dumps(result))


main()
