/* SPDX-License-Identifier: MIT */
/* format.c - see format.h */
#include "format.h"

#include <ctype.h>
#include <stdbool.h>
#include <string.h>

#define QEMU_IMG "qemu-img convert -O raw FILE disk.img"
#define PYMEMPOOL "pymempool convert FILE disk.img"

/* Formats that have fixed bytes at a fixed offset. */
static const struct Magic {
    Format format;
    size_t offset, size;
    const char *bytes;
} magics[] = {
    {{"a qcow image", QEMU_IMG}, 0, 4, "QFI\xfb"}, /* qcow2 too */
    {{"a QED image", QEMU_IMG}, 0, 4, "QED"},
    {{"a VMDK image", QEMU_IMG}, 0, 4, "KDMV"},
    {{"a VHDX image", QEMU_IMG}, 0, 8, "vhdxfile"},
    {{"a VHD image", QEMU_IMG}, 0, 8, "conectix"},
    {{"a VDI image", QEMU_IMG}, 64, 4, "\x7f\x10\xda\xbe"},
    {{"an ELF file", PYMEMPOOL},
     0,
     4,
     "\x7f"
     "ELF"},
};

static const Format intel_hex = {"an Intel HEX file", PYMEMPOOL};
static const Format s_records = {"an S-record file", PYMEMPOOL};

/* Whether the first `count` bytes are hexadecimal digits. */
static bool are_hex(const unsigned char *data, size_t size, size_t count)
{
    size_t at = 0;
    while (at < size && at < count && isxdigit(data[at])) {
        at++;
    }
    return at == count;
}

/* Recognises the first record of a text, after a byte order mark and space. */
static const Format *text_format(const unsigned char *data, size_t size)
{
    size_t at = size >= 3 && memcmp(data, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    while (at < size && isspace(data[at])) {
        at++;
    }
    data += at;
    size -= at;
    if (size > 0 && data[0] == ':' && are_hex(data + 1, size - 1, 8)) {
        return &intel_hex;
    }
    if (size > 1 && data[0] == 'S' && isdigit(data[1]) &&
        are_hex(data + 2, size - 2, 4)) {
        return &s_records;
    }
    return NULL;
}

const Format *format_of(const unsigned char *data, size_t size)
{
    for (size_t at = 0; at < sizeof magics / sizeof *magics; at++) {
        const struct Magic *magic = &magics[at];
        if (size >= magic->offset + magic->size &&
            memcmp(data + magic->offset, magic->bytes, magic->size) == 0) {
            return &magic->format;
        }
    }
    return text_format(data, size < FORMAT_BYTES ? size : FORMAT_BYTES);
}
