#include "jobs/text.h"

#include <stdlib.h>
#include <string.h>

static const char replacement[] = "\xEF\xBF\xBD";

/* Length of the valid UTF-8 sequence at s (which ends with a zero byte), 0 if there is none: overlong forms, surrogates
 * and code points above U+10FFFF are not valid. */
static size_t sequence(const unsigned char *s)
{
    if (s[0] < 0x80) return 1;
    size_t length = s[0] >= 0xF0 ? 4 : s[0] >= 0xE0 ? 3 : 2;
    if (s[0] < 0xC2 || s[0] > 0xF4) return 0;
    for (size_t i = 1; i < length; i++)
        if ((s[i] & 0xC0) != 0x80) return 0;
    if ((s[0] == 0xE0 && s[1] < 0xA0) || (s[0] == 0xED && s[1] > 0x9F)) return 0;
    if ((s[0] == 0xF0 && s[1] < 0x90) || (s[0] == 0xF4 && s[1] > 0x8F)) return 0;
    return length;
}

char *rmp_text_utf8(const char *text)
{
    const unsigned char *in = (const unsigned char *)(text ? text : "");
    size_t bound = strlen((const char *)in) * (sizeof replacement - 1) + 1;
    char *out = malloc(bound), *end = out;
    if (!out) return NULL;
    while (*in) {
        size_t length = sequence(in);
        if (length) {
            memcpy(end, in, length);
            end += length;
            in += length;
        } else {
            memcpy(end, replacement, sizeof replacement - 1);
            end += sizeof replacement - 1;
            in++;
        }
    }
    *end = '\0';
    return out;
}

void rmp_text_html(FILE *out, const char *text)
{
    const unsigned char *in = (const unsigned char *)(text ? text : "");
    while (*in) {
        size_t length = sequence(in);
        if (*in == '&')
            fputs("&amp;", out);
        else if (*in == '<')
            fputs("&lt;", out);
        else if (*in == '>')
            fputs("&gt;", out);
        else if (*in == '"')
            fputs("&quot;", out);
        else if (*in == '\'')
            fputs("&#39;", out);
        else if (length == 0)
            fputs(replacement, out);
        else if ((*in < 0x20 && *in != '\n' && *in != '\t') || *in == 0x7F)
            fputc(' ', out);
        else
            fwrite(in, 1, length, out);
        in += length ? length : 1;
    }
}

void rmp_text_csv(FILE *out, const char *text)
{
    if (text[strcspn(text, ",\"\r\n")] == '\0') {
        fputs(text, out);
        return;
    }
    fputc('"', out);
    for (const char *c = text; *c != '\0'; c++) {
        if (*c == '"') fputc('"', out);
        fputc(*c, out);
    }
    fputc('"', out);
}

void rmp_text_base64(FILE *out, const void *bytes, size_t size)
{
    static const char digit[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    const unsigned char *in = bytes;
    for (size_t i = 0; i < size; i += 3) {
        uint32_t group = (uint32_t)in[i] << 16;
        if (i + 1 < size) group |= (uint32_t)in[i + 1] << 8;
        if (i + 2 < size) group |= in[i + 2];
        fputc(digit[group >> 18], out);
        fputc(digit[group >> 12 & 63], out);
        fputc(i + 1 < size ? digit[group >> 6 & 63] : '=', out);
        fputc(i + 2 < size ? digit[group & 63] : '=', out);
    }
}
