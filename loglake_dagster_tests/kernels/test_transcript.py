"""Readable transcripts: what a reader would have seen, cleared pages too, and no control character."""

import re
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loglake_dagster.kernels.terminal import MAX_WORK
from loglake_dagster.kernels.transcript import PLAYED_CHARS, readable, strip_controls

SEEN = {
    "plain text": ("sh-5.2$ whoami\nssm-user\n", "sh-5.2$ whoami\nssm-user\n"),
    "spaces at the end of plain text": ("a  \n", "a  \n"),
    "nothing": ("", ""),
    "carriage returns of a script": ("a\r\nb\r\n", "a\nb"),
    "empty lines": ("\r\n\r\na\r\n\r\nb", "\n\na\n\nb"),
    "header of script": (
        "Script started on 2026-03-02 01:02:03+00:00 [COMMAND=\"cat /tmp/ipc\"]\r\n\x1b[?2004hsh-5.2$ ls\r\n",
        "Script started on 2026-03-02 01:02:03+00:00 [COMMAND=\"cat /tmp/ipc\"]\nsh-5.2$ ls",
    ),
    "a mended typing error": ("sh-5.2$ lss\b\x1b[K -l", "sh-5.2$ ls -l"),
    "a typing error mended as older shells do": ("sh-5.2$ lss\b \b -l", "sh-5.2$ ls -l"),
    "a letter put in": ("sh-5.2$ ct\b\x1b[1@a\r\n", "sh-5.2$ cat"),
    "a letter taken out": ("sh-5.2$ caat\b\b\x1b[1P\r\n", "sh-5.2$ cat"),
    "letters erased in place": ("abcdef\r\x1b[3Xx", "x  def"),
    "more backspaces than letters": ("ab\b\b\b\b\bx", "xb"),
    "the line called back from history": ("$ id\r\x1b[K$ whoami\r\n", "$ whoami"),
    "a line killed from its beginning": ("secret\x1b[1Kx", "      x"),
    "a line killed whole": ("secret\x1b[2Kx", "      x"),
    "a progress bar": ("10 %\r50 %\r100 %\r\ndone\r\n", "100 %\ndone"),
    "a shorter line over a longer one": ("Downloading\rDone", "Doneloading"),
    "a title ended by BEL": ("\x1b]0;ana@host: ~\x07$ ls", "$ ls"),
    "a title ended by ST": ("\x1b]2;ana@host: ~\x1b\\$ ls", "$ ls"),
    "a title ended by ST of eight bits": ("\x1b]2;ana@host\x9c$ ls", "$ ls"),
    "a title that another sequence ends": ("\x1b]2;ana\x1b[1mbold", "bold"),
    "a title cut off at the end of its line hides nothing": ("\x1b]2;ana\r\nrm -rf /\r\n", "2;ana\nrm -rf /"),
    "a device string": ("\x1bP1$r0m\x1b\\a\x1b_apc\x1b\\b\x1b^pm\x1b\\c\x1bXsos\x1b\\d", "abcd"),
    "strings of eight bits": ("\x90dcs\x9ca\x9dosc\x07b\x9fapc\x9cc", "abc"),
    "sequences of eight bits": ("abc\x9b2Dx\x9b31m", "axc"),
    "next line of eight bits": ("a\x85b\x84c", "a\nb\n c"),
    "colours": ("\x1b[1;31mred\x1b[0m \x1b[38;5;9mred\x1b[m", "red red"),
    "colours with colons": ("\x1b[38:2::255:0:0mred\x1b[4:3mcurly\x1b[m", "redcurly"),
    "sequences that nobody means": (
        "\x1b[1;2;3;4Ha\x1b[?;;Hb\x1b[99999999999999999999Cc\x1b[\u00b2Ad",
        " ab" + " " * 496 + "c\u00b2Ad",
    ),
    "private sequences": ("\x1b[>4;2m\x1b[=0c\x1b[!p\x1b[ q\x1b[?1$p\x1b[<ua", "a"),
    "sets of characters": ("\x1b(B\x1b)0\x1b*A\x1b%Ga\x0eb\x0fc", "abc"),
    "drawn lines": ("\x1b(0lqqk\x1b(B\r\nbox", "┌──┐\nbox"),
    "a repeated letter": ("=\x1b[4b>", "=====>"),
    "bells and other controls": ("a\x07b\x00c\x7fd\x1ae\x05f", "abcdef"),
    "a sequence cut off at the end": ("a\x1b", "a"),
    "a sequence cut off before its end": ("a\x1b[3", "a"),
    "movement": ("one\r\ntwo\r\nthree\x1b[2A\x1b[1GONE\x1b[BTWO\x1b[2E4", "ONE\ntwoTWO\nthree\n4"),
    "no further up than the page": ("one\x1b[99A\x1b[2Cx", "one  x"),
    "the column asked for": ("a\x1b[10Gb\x1b[3`c", "a c      b"),
    "a column that no terminal has": ("\x1b[9999Ga", " " * 499 + "a"),
    "a saved cursor": ("a\x1b7bc\r\nd\x1b8x\x1b[sy\x1b[uz", "axz\nd"),
    "tabs": ("a\tb\n\tc\t\n12345678\td", "a       b\n        c\n12345678        d"),
    "tabs in colour": ("\x1b[1ma\tb\x1b[m", "a       b"),
    "wide letters": ("日本語\b\b言\r\n", "日本言"),
    "half of a wide letter": ("日本\rx", "x 本"),
    "marks": ("e\u0301\x07 हिन्दी\x07 \u0301", "e\u0301 हिन्दी \u0301"),
    "a mark at the beginning of a line": ("\x07\u0301a", "\u0301a"),
    "invisible characters": ("\x07r\u200bm \u202egpj.exe\u202c \ufeff", "r\u200bm \u202egpj.exe\u202c \ufeff"),
    "a face of several": ("\x07👩\u200d💻!", "👩\u200d💻!"),
    "damaged letters": ("caf\ufffd\x08\x1b[Ke\ufffd\ufffd", "cafe\ufffd\ufffd"),
    "a cleared screen": ("$ id\r\nroot\r\n$ clear\r\n\x1b[H\x1b[2J\x1b[3J$ ls\r\n", "$ id\nroot\n$ clear\n$ ls"),
    "a screen cleared from home": ("secret\r\n\x1b[H\x1b[Jnew", "secret\nnew"),
    "a reset terminal": ("secret\r\n\x1bcnew", "secret\nnew"),
    "below the cursor": ("a\r\nb\r\nc\x1b[2A\r\x1b[1C\x1b[Jx", "ax"),
    "above the cursor": ("a\r\nb\r\nc\x1b[1Jx", "\n\n x"),
    "a full-screen program": (
        "$ vi f\r\n\x1b[?1049h\x1b[1;1Htext\x1b[24;1H:wq\x1b[?1049l$ id\r\n",
        "$ vi f\ntext" + "\n" * 23 + ":wq\n$ id",
    ),
    "frames of one page overwrite": ("\x1b[H\x1b[2Jcpu 1\x1b[2;1Hx\x1b[Hcpu 2", "cpu 2\nx"),
    "home on a page longer than a screen": (
        "\r\n".join(map(str, range(120))) + "\x1b[Hover",
        "\n".join(map(str, range(120))) + "\nover",
    ),
    "up from the end of a long page": (
        "\r\n".join(map(str, range(120))) + "\x1b[999A\x1b[J",
        "\n".join([*map(str, range(20)), "20"]),
    ),
    "a row that no terminal has": ("\x1b[999;999H\x1b[6nx\x1b[Ha", "a" + "\n" * 99 + " " * 499 + "x"),
    "erased above what was never written": ("\x1b[5d\x1b[1Jx", "\n\n\n\nx"),
    "insert mode": ("ac\b\x1b[4hb\x1b[4l", "abc"),
    "a line wider than any terminal": ("\x1b[m" + "x" * 9000 + "\r\ny", "x" * 9000 + "\ny"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "seen"), SEEN.values(), ids=SEEN)
def test_a_transcript_shows_what_a_reader_saw(text, seen):
    assert readable(text) == seen


STRIPPED = {
    "backspaces": ("sh-5.2$ lss\b \b -l", "sh-5.2$ ls -l"),
    "a progress bar": ("10 %\r50 %\r100 %\r\ndone\r\n", "100 %\ndone\n"),
    "sequences and strings": ("\x1b]0;t\x07\x1b[1;31ma\x1b[m\x1bP1$r\x1b\\b\x9b2Kc\x1b(Bd", "abcd"),
    "a title cut off": ("\x1b]0;t\nrm -rf /", "0;t\nrm -rf /"),
    "tabs": ("a\tb", "a       b"),
    "cleared screens": ("a\x1b[2Jb", "ab"),
}


@pytest.mark.parametrize(("text", "left"), STRIPPED.values(), ids=STRIPPED)
def test_stripping_takes_sequences_out_and_overwrites_within_a_line(text, left):
    assert strip_controls(text) == left


PIECES = st.sampled_from(
    ["\x1b[", "\x1b]", "\x1b", "\x9b", "\x9d", "\x1bP", "\x07", "\x1b\\", "?", ";", "1", "9999", "2J", "H", "A", "B",
     "C", "D", "K", "1K", "2K", "J", "1J", "@", "P", "X", "b", "d", "G", "1049h", "4h", "4l", "(0", "(B", "7", "8", "M",
     "c", "\b", "\r", "\n", "\r\n", "\t", "\v", "\0", "\x85", "\x8d", "日", "e\u0301", "\u0301", "\u200b", "ab "]
)  # fmt: skip
WHOLE = st.builds("\x1b[{}{}".format, st.sampled_from(["", "0", "1", "2", "9", "999", "3;4", "?1049", "4"]),
                  st.sampled_from("ABCDEFGHJKPX@`abdefhlmsu"))  # fmt: skip
BUSY = st.lists(PIECES | WHOLE, max_size=40).map("".join) | st.text(max_size=40)


@given(BUSY)
def test_any_text_becomes_lines_without_control_characters(text):
    for seen in (readable(text), strip_controls(text)):
        assert [c for c in seen if unicodedata.category(c) == "Cc" and c != "\n"] == []
        seen.encode()


@given(BUSY)
def test_what_is_readable_stays_so(text):
    assert readable(readable(text)) == readable(text)
    assert strip_controls(strip_controls(text)) == strip_controls(text)


PLAIN = st.text(st.characters(exclude_categories=["Cc", "Cs"]), max_size=12)


@given(st.lists(PLAIN, max_size=5))
def test_text_without_control_characters_is_given_back_as_it_is(lines):
    assert readable("\n".join(lines)) == "\n".join(lines)


@given(
    st.lists(PLAIN, min_size=1, max_size=5), st.sampled_from(["", "\x1b[1m", "\x1b]0;title\x07", "\x07", "\x1b[?2004h"])
)
def test_lines_of_a_script_keep_their_text_and_their_order(lines, before):
    played = readable("".join(f"{before}{line}\r\n" for line in lines))
    assert played == "\n".join(line.rstrip(" ") for line in lines).rstrip("\n")


WORDS = st.lists(st.from_regex(r"[a-z]{1,6}", fullmatch=True), min_size=1, max_size=4)
CLEARING = st.sampled_from(["\x1b[H\x1b[2J", "\x1b[2J", "\x1bc", "\x1b[?1049h", "\x1b[?1049l", "\x1b[?47h", "\x1b[3J"])


@given(st.lists(st.tuples(WORDS, CLEARING), min_size=1, max_size=5))
def test_no_page_is_lost_when_the_screen_is_cleared(pages):
    text = "".join("\r\n".join(words) + clear for words, clear in pages)
    assert readable(text) == "\n".join(word for words, _clear in pages for word in words)


HUNDRED_KB = 100_000
HOSTILE = ["\x1b[999C.", "\x1b[1Jx", "\x1b[500b", "\x1b[999@a", "\x1b[9999;9999H.", "a\u0301", "\u0301", "\n\x1b[999A",
           "a\b", "\t", "\t.", "\x1b[2J.", "\x1b]", "\x9d", "\x1b[", "\x1b[1;", "\x1bP", "\x1b[4h.", "\x1b[P",
           "\x1b[J"]  # fmt: skip


@pytest.mark.parametrize("unit", HOSTILE)
def test_a_text_that_keeps_the_terminal_busy_costs_no_more_than_a_moment(unit):
    text = "x" * HUNDRED_KB + unit * (PLAYED_CHARS // len(unit))
    for size in (PLAYED_CHARS, len(text)):
        start = time.process_time()
        readable(text[:size])
        assert time.process_time() - start < 3  # half a second on an idle machine


def test_a_busy_text_and_a_long_one_are_stripped():
    busy = "a\b\x1b[A" * MAX_WORK
    assert readable(busy[:PLAYED_CHARS]) == strip_controls(busy[:PLAYED_CHARS])
    long = "\x1b[1mone\x1b[A\r\n" * (PLAYED_CHARS // 10)
    assert readable(long) == strip_controls(long)
    assert set(readable(long).split("\n")) == {"one", ""}


@pytest.mark.parametrize(
    "unit", ["\x1b]", "\x9d", "\x1bP\x1b", "\x1b[", "\x1b[1;", "\x1b  ", "\r", "\b", "a\b", "\x1b]a"]
)
def test_stripping_is_linear(unit):
    def seconds(count):
        start = time.process_time()
        strip_controls(unit * count)
        return time.process_time() - start

    assert seconds(400_000) < 20 * max(seconds(40_000), 0.01)


def test_every_sequence_of_the_cases_is_taken_out_by_stripping_too():
    for text, _seen in SEEN.values():
        assert re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f]", strip_controls(text)) is None
