"""Speaks the sentences of one voice with the espeak-ng library; run as a program of its own.

espeak-ng keeps state between sentences (and calls libc's `rand`), so a voice sounds the same twice
only if a fresh process speaks the same sentences in the same order. This file therefore imports
nothing of the package, reads a request as JSON from standard input and writes to standard output
one JSON line with the sample rate and the sentences' lengths, then their int16 samples.
"""

import ctypes
import json
import sys

import espeakng_loader

SYNCHRONOUS = 2  # AUDIO_OUTPUT_SYNCHRONOUS of speak_lib.h, as the numbers below
RATE, PITCH, RANGE, WORD_GAP = 1, 3, 4, 7
CHARS_UTF8 = 1

Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


def main() -> None:
    """Speak the request {voice, rate_wpm, pitch, pitch_range, word_gap, sentences}."""
    request = json.load(sys.stdin)
    spoken: list[bytes] = []

    @Callback
    def collect(samples, count, _events):
        if samples and count > 0:
            spoken.append(ctypes.string_at(samples, 2 * count))
        return 0

    library = ctypes.CDLL(espeakng_loader.get_library_path())
    sample_rate = library.espeak_Initialize(
        SYNCHRONOUS, 0, espeakng_loader.get_data_path().encode(), 0
    )
    library.espeak_ng_SetRandSeed(ctypes.c_long(1))  # otherwise the time of day: aspiration differs
    library.espeak_SetSynthCallback(collect)
    if library.espeak_SetVoiceByName(request["voice"].encode()):
        sys.exit(f"espeak-ng has no voice {request['voice']}")
    for parameter, key in (
        (RATE, "rate_wpm"),
        (PITCH, "pitch"),
        (RANGE, "pitch_range"),
        (WORD_GAP, "word_gap"),
    ):
        library.espeak_SetParameter(parameter, request[key], 0)
    sentences = []
    for sentence in request["sentences"]:
        spoken.clear()
        text = sentence.encode()
        library.espeak_Synth(text, len(text) + 1, 0, 1, 0, CHARS_UTF8, None, None)
        library.espeak_Synchronize()
        sentences.append(b"".join(spoken))
    header = {"sample_rate": sample_rate, "samples": [len(s) // 2 for s in sentences]}
    sys.stdout.buffer.write(json.dumps(header).encode() + b"\n" + b"".join(sentences))


if __name__ == "__main__":
    main()
