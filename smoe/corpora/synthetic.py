"""The embedded corpus: espeak-ng voices, twelve families of noise, simulated rooms.

Every recording comes from its own seed, computes in float64 and is rounded to 16 (audio) or 24 bit
(impulse responses), so that the same package versions give the same bytes on any machine and with
any number of workers. Voices, noise seeds and rooms belong to one split each.
"""

import json
import os
import pickle
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import cast

import numpy as np
from joblib import Parallel, delayed

from smoe.audio.resampling import resampled
from smoe.config import SAMPLE_RATE
from smoe.corpora.pool import SPLITS, Recording
from smoe.errors import UserError
from smoe.synthesis import noises
from smoe.synthesis.sentences import sentence

Progress = Callable[[str, int, int], None]
SEED = 20_260  # of the corpus as a whole
SPEECH_RMS = 0.05
# Under the speech: what room and microphone leave in every recording. Without it the pauses would
# be digital silence, on which PESQ punishes any noise at all.
FLOOR_DB = (-45.0, -35.0)
NOISE_RMS = 0.05
BABBLE_TALKERS = 5
SENTENCE_S = 6.4  # on average, with the pause after it
ROOM_SABINE_S = (0.2, 0.86)  # measured, these rooms reverberate 0.2 to 1.2 s


@dataclass(frozen=True)
class Size:
    """How much of each kind there is; three numbers are train, valid, test.

    Attributes:
        voices: Number of voices.
        voice_s: Seconds of speech per voice.
        noises: Recordings per family.
        noise_s: Seconds per noise recording.
        rooms: Number of rooms.
        positions: Impulse responses per room.
    """

    voices: tuple[int, int, int]
    voice_s: tuple[float, float, float]
    noises: tuple[int, int, int]
    noise_s: float
    rooms: tuple[int, int, int]
    positions: int


FULL = Size((20, 4, 8), (36.0, 30.0, 30.0), (4, 1, 2), 12.0, (16, 4, 8), 3)
TINY = Size((4, 2, 2), (10.0, 6.0, 10.0), (1, 1, 1), 4.0, (3, 2, 2), 1)


@dataclass(frozen=True)
class Voice:
    """A talker: an espeak-ng voice with its variant, speed and pitch."""

    number: int
    name: str
    language: str
    espeak: str
    rate_wpm: int
    pitch: int
    pitch_range: int
    word_gap: int


# (grammar, espeak-ng language) of the talkers in turn: more than half of them speak English.
LANGUAGES = (
    ("en", "en-us"), ("de", "de"), ("en", "gmw/en"), ("fr", "fr"), ("en", "en-gb-scotland"),
    ("es", "es"), ("en", "en-gb-x-rp"), ("it", "it"), ("en", "en-029"),
)  # fmt: skip
# Female and male in turn; as the languages are odd in number, each meets both.
VARIANTS = (
    "f1", "m1", "f2", "m2", "f3", "m3", "f4", "m4", "f5", "m5", "linda", "m6", "steph", "m7",
    "belinda", "m8", "Annie", "Andy", "anika", "adam", "Alicia", "david", "aunty", "edward",
    "shelby", "max", "steph2", "paul", "Andrea", "ian", "steph3", "Lee", "grandma", "boris",
    "f1", "michel", "f3", "benjamin", "f4", "john",
)  # fmt: skip


def voice(number: int) -> Voice:
    """The talker of a number; language and variant together recur only after 360."""
    rng = np.random.default_rng((SEED, 0, number))
    language, espeak_language = LANGUAGES[number % len(LANGUAGES)]
    variant = VARIANTS[number % len(VARIANTS)]
    return Voice(
        number=number,
        name=f"voice{number:02d}-{espeak_language.split('/')[-1]}-{variant}",
        language=language,
        espeak=f"{espeak_language}+{variant}",
        rate_wpm=int(rng.integers(135, 200)),
        pitch=int(rng.integers(30, 70)),
        pitch_range=int(rng.integers(35, 75)),
        word_gap=int(rng.integers(0, 4)),
    )


def recordings(size: Size, jobs: int, progress: Progress, work: Path) -> Iterator[Recording]:
    """Generate the whole corpus.

    Args:
        size: `FULL` or `TINY`.
        jobs: Worker processes; the result does not depend on it.
        progress: Called with what is being made, how much is done, and of how much.
        work: Folder of finished pieces, with which a preparation that was killed goes on; to be
            deleted afterwards.
    """
    work.mkdir(parents=True, exist_ok=True)
    # The talkers of each split's babble follow those of the speech pools and are in none of them.
    tasks = [
        delayed(_babble)(size, split, sum(size.voices) + BABBLE_TALKERS * i)
        for i, split in enumerate(SPLITS)
    ]
    tasks += [delayed(_rooms)(size, split, room) for split, room in _numbers(size.rooms)]
    tasks += [delayed(_speech)(size, split, number) for split, number in _numbers(size.voices)]
    tasks += [
        delayed(_noise)(size, split, family, take)
        for family in noises.FAMILIES
        for split, take in _numbers(size.noises)
    ]
    kept = [
        delayed(_kept)(work / f"{number:04d}.pickle", *task) for number, task in enumerate(tasks)
    ]
    making = cast(Iterator[list[Recording]], Parallel(n_jobs=jobs, return_as="generator")(kept))
    for done, some in enumerate(making, start=1):
        yield from some
        progress("synthetic corpus", done, len(tasks))


def _kept(path: Path, make: Callable, arguments: tuple, _named: dict) -> list[Recording]:
    """A piece of the corpus: as an earlier preparation left it, or made now and left there."""
    try:
        return pickle.loads(path.read_bytes())
    except (OSError, EOFError, pickle.UnpicklingError):  # there is none, or the machine went down
        made = make(*arguments)
    temporary = path.with_suffix(f".{os.getpid()}")
    with temporary.open("wb") as file:
        pickle.dump(made, file)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    return made


def _numbers(per_split: tuple[int, int, int]) -> list[tuple[str, int]]:
    """Consecutive numbers with their split: no number serves two splits."""
    splits = [split for split, count in zip(SPLITS, per_split, strict=True) for _ in range(count)]
    return [(split, number) for number, split in enumerate(splits)]


def _speech(size: Size, split: str, number: int) -> list[Recording]:
    talker = voice(number)
    seconds = size.voice_s[SPLITS.index(split)]
    spoken = _with_pauses(_speak(talker, seconds), seed=(SEED, 1, number))
    return [
        Recording(f"speech/{talker.name}/{i:02d}", "speech", talker.name, split, audio)
        for i, audio in enumerate(spoken)
    ]


def _speak(talker: Voice, seconds: float) -> list[np.ndarray]:
    """Sentences of one talker, float64 [samples] each at 16 kHz, in total about `seconds`."""
    rng = np.random.default_rng((SEED, 2, talker.number))
    sentences = [sentence(talker.language, rng) for _ in range(max(2, round(seconds / SENTENCE_S)))]
    request = {**vars(talker), "voice": talker.espeak, "sentences": sentences}
    espeak = find_spec("smoe.synthesis.espeak")
    assert espeak is not None and espeak.origin is not None
    program = [sys.executable, "-P", espeak.origin]
    result = subprocess.run(
        program, input=json.dumps(request).encode(), capture_output=True, check=False
    )
    if result.returncode:
        reason = result.stderr.decode(errors="replace").strip().splitlines()[-1:]
        raise UserError(
            f"espeak-ng could not speak ({'; '.join(reason)}); reinstall espeakng-loader"
        )
    header, samples = result.stdout.split(b"\n", 1)
    layout = json.loads(header)
    ends = np.cumsum(layout["samples"])[:-1]
    return [
        resampled(part.astype(np.float64), layout["sample_rate"])
        for part in np.split(np.frombuffer(samples, dtype="<i2"), ends)
    ]


def _with_pauses(spoken: list[np.ndarray], seed: tuple[int, ...]) -> list[np.ndarray]:
    """Trim what espeak-ng leaves around each sentence, and pause 0.15 to 0.7 s after it instead."""
    rng = np.random.default_rng(seed)
    loud = [_trimmed(s) for s in spoken]
    paused = [np.pad(s, (0, int(rng.uniform(0.15, 0.7) * SAMPLE_RATE))) for s in loud]
    scale = SPEECH_RMS / np.sqrt(np.mean(np.concatenate(loud) ** 2))
    floor = SPEECH_RMS * 10 ** (rng.uniform(*FLOOR_DB) / 20)
    return [_rounded(s * scale + floor * noises.pink(len(s), rng)) for s in paused]


def _trimmed(spoken: np.ndarray) -> np.ndarray:
    """From 10 ms before the first to 50 ms after the last sample above -56 dB of full scale."""
    loud = np.flatnonzero(np.abs(spoken) > 50)
    return spoken[max(loud[0] - 160, 0) : loud[-1] + 800]


def _babble(size: Size, split: str, first_talker: int) -> list[Recording]:
    """Talkers of this split's babble all at once, each take with its own delays and levels."""
    samples = int(size.noise_s * SAMPLE_RATE)
    talkers = [
        np.concatenate(_speak(voice(first_talker + i), size.noise_s)) for i in range(BABBLE_TALKERS)
    ]
    takes = []
    for take in range(size.noises[SPLITS.index(split)]):
        rng = np.random.default_rng((SEED, 3, first_talker, take))
        voices = [np.resize(np.roll(t, rng.integers(len(t))), samples) for t in talkers]
        mixed = sum(v / v.std() * 10 ** rng.uniform(-0.25, 0.25) for v in voices)
        name = f"noise/babble/{split}{take}"
        takes.append(Recording(name, "noise", "babble", split, _levelled(np.asarray(mixed))))
    return takes


def _noise(size: Size, split: str, family: str, take: int) -> list[Recording]:
    rng = np.random.default_rng((SEED, 4, list(noises.FAMILIES).index(family), take))
    audio = noises.FAMILIES[family](int(size.noise_s * SAMPLE_RATE), rng)
    return [Recording(f"noise/{family}/{take}", "noise", family, split, _levelled(audio))]


def _rooms(size: Size, split: str, room: int) -> list[Recording]:
    from smoe.synthesis.rooms import simulate  # pyroomacoustics is slow to import

    # Spread evenly within each split, so that every split has dry and reverberant rooms.
    index = room - sum(size.rooms[: SPLITS.index(split)])
    share = (index + 0.5) / size.rooms[SPLITS.index(split)]
    low_s, high_s = ROOM_SABINE_S
    responses = simulate(low_s + share * (high_s - low_s), size.positions, seed=(SEED, 5, room))
    name = f"room{room:02d}"
    return [
        Recording(f"rir/{name}/{i}", "rir", name, split, r.audio, r.rt60_s, r.drr_db)
        for i, r in enumerate(responses)
    ]


def _levelled(noise: np.ndarray) -> np.ndarray:
    return _rounded(noise * min(NOISE_RMS / noise.std(), 0.99 / np.abs(noise).max()))


def _rounded(audio: np.ndarray) -> np.ndarray:
    """Round to 16 bit, which hides the last bits in which machines differ; float32."""
    return (np.clip(np.round(audio * 2**15), -(2**15), 2**15 - 1) / 2**15).astype(np.float32)
