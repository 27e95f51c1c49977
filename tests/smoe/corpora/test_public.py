"""Public corpora, each on a small tree in its true layout and with its true names."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from smoe.corpora import NAMED_ROOTS, open_corpus
from smoe.corpora.public import LAYOUTS, joined, laid_out
from smoe.errors import UserError

RATE = 16_000

# Files of each corpus with the group and split that they should get; None: not to be used.
TREES: dict[str, dict[str, tuple[str, str] | None]] = {
    "librispeech": {
        "LibriSpeech/train-clean-100/103/1240/103-1240-0000.flac": ("103", "train"),
        "LibriSpeech/dev-clean/1272/128104/1272-128104-0003.flac": ("1272", "valid"),
        "LibriSpeech/test-other/1688/142285/1688-142285-0000.flac": ("1688", "test"),
    },
    "vctk": {
        "VCTK-Corpus-0.92/wav48_silence_trimmed/p225/p225_001_mic1.flac": ("p225", ""),
        "VCTK-Corpus-0.92/wav48_silence_trimmed/p225/p225_001_mic2.flac": None,
        "VCTK-Corpus/wav48/p226/p226_001.wav": ("p226", ""),
    },
    "voicebank-demand": {
        "clean_trainset_28spk_wav/p227_001.wav": ("p227", "train"),
        "clean_trainset_28spk_wav/p226_001.wav": ("p226", "valid"),
        "clean_testset_wav/p232_001.wav": ("p232", "test"),
        "noisy_trainset_28spk_wav/p227_001.wav": None,
    },
    "demand": {
        "DKITCHEN/ch01.wav": ("DKITCHEN", "train"),
        "DKITCHEN/ch02.wav": None,
        "TMETRO/TMETRO/ch01.wav": ("TMETRO", "train"),
        "NRIVER/ch01.wav": ("NRIVER", "valid"),
        "DLIVING/ch01.wav": ("DLIVING", "test"),
    },
    "wham": {
        "wham_noise/tr/011a0101_0.061105_401c020r_-0.061105.wav": ("wham", "train"),
        "wham_noise/cv/20aa010a_1.3829_01xo030r_-1.3829.wav": ("wham", "valid"),
        "wham_noise/tt/050a0501_1.7783_442o030z_-1.7783.wav": ("wham", "test"),
    },
    "musan": {
        "musan/noise/free-sound/noise-free-sound-0000.wav": ("free-sound", ""),
        "musan/noise/sound-bible/noise-sound-bible-0000.wav": ("sound-bible", ""),
        "musan/speech/librivox/speech-librivox-0000.wav": None,
    },
    "esc50": {
        "ESC-50-master/audio/1-100032-A-0.wav": ("class 0", "train"),
        "ESC-50-master/audio/4-102844-A-49.wav": ("class 49", "valid"),
        "ESC-50-master/audio/5-103415-A-2.wav": ("class 2", "test"),
    },
    "rirs-noises": {
        "RIRS_NOISES/simulated_rirs/smallroom/Room001/Room001-00001.wav": ("smallroom/Room001", ""),
        "RIRS_NOISES/simulated_rirs/largeroom/Room001/Room001-00001.wav": ("largeroom/Room001", ""),
        "RIRS_NOISES/pointsource_noises/noise-free-sound-0000.wav": None,
    },
    "but-reverbdb": {
        "VUT_FIT_L207/MicID01/SpkID01_20170901_S/01/RIR/IR_sweep_15s_45Hzto22kHz_FS16kHz.v00.wav": (
            "VUT_FIT_L207",
            "",
        ),
        "VUT_FIT_L207/MicID01/SpkID01_20170901_S/01/silence/silence.wav": None,
    },
    "mit": {
        "Audio/h001_Bedroom_65txts.wav": ("h001_Bedroom_65txts", ""),
        "Audio/h270_Hallway_House_1txts.wav": ("h270_Hallway_House_1txts", ""),
    },
}


def make(root: Path, files: list[str], kind: str, rate: int = RATE) -> None:
    for seed, file in enumerate(files):
        rng = np.random.default_rng((seed, len(file)))
        audio = 0.1 * rng.standard_normal(rate)
        if kind == "rir":
            audio = np.concatenate([[1.0], audio * 10 ** (-3 * np.arange(rate) / rate / 0.3)])
        path = root / file
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, audio, rate)


@pytest.mark.parametrize("name", TREES)
def test_every_file_gets_its_group_and_split(name: str, tmp_path: Path) -> None:
    expected = TREES[name]
    make(tmp_path, list(expected), LAYOUTS[name].kind)
    found = {s.name.removeprefix(f"{name}/"): s for s in laid_out(name, tmp_path)}
    assert set(found) == {file for file, place in expected.items() if place}
    for file, source in found.items():
        group, split = expected[file] or ("", "")
        assert (source.kind, source.group, source.split) == (
            LAYOUTS[name].kind,
            f"{name}/{group}",
            split,
        )


def test_every_layout_is_tested_and_named() -> None:
    assert set(TREES) == set(LAYOUTS)
    assert set(NAMED_ROOTS) == {*LAYOUTS, "folders"}


def test_the_root_may_be_the_corpus_itself(tmp_path: Path) -> None:
    make(tmp_path, ["LibriSpeech/test-clean/61/70968/61-70968-0000.flac"], "speech")
    for root in ("LibriSpeech", "LibriSpeech/test-clean"):
        (source,) = laid_out("librispeech", tmp_path / root)
        assert (source.group, source.split) == ("librispeech/61", "test")


def test_speech_noise_and_rooms_are_joined(tmp_path: Path) -> None:
    make(tmp_path / "speech", [f for f, place in TREES["librispeech"].items() if place], "speech")
    places = ("DKITCHEN", "NRIVER", "TBUS", "SPSQUARE")
    make(tmp_path / "noise", [f"{place}/ch01.wav" for place in places], "noise", rate=48_000)
    make(tmp_path / "rir", [f"Audio/h00{i}_Hall_1txts.wav" for i in range(4)], "rir")
    spec = f"librispeech:{tmp_path / 'speech'}+demand:{tmp_path / 'noise'}+mit:{tmp_path / 'rir'}"
    corpus = open_corpus(spec, tmp_path / "cache")
    assert len(corpus.pools) == 9
    assert corpus.pools["speech", "valid"].groups == ["librispeech/1272"]
    assert "4 x noise resampled from 48000 Hz" in corpus.notes


def test_corpora_with_and_without_splits_are_joined(tmp_path: Path) -> None:
    make(tmp_path / "speech", [f for f, place in TREES["librispeech"].items() if place], "speech")
    make(tmp_path / "demand", ["DKITCHEN/ch01.wav", "NRIVER/ch01.wav", "TBUS/ch01.wav"], "noise")
    musan = [f"musan/noise/free-sound/noise-free-sound-000{i}.wav" for i in range(10)]
    make(tmp_path / "musan", musan, "noise")
    make(tmp_path / "rir", [f"Audio/h00{i}_Hall_1txts.wav" for i in range(3)], "rir")
    roots = {"librispeech": "speech", "demand": "demand", "musan": "musan", "mit": "rir"}
    found = joined("+".join(f"{name}:{tmp_path / root}" for name, root in roots.items()))
    splits = {s.name: s.split for s in found}
    assert splits["demand/TBUS/ch01.wav"] == "test"
    dealt = [split for name, split in splits.items() if name.startswith("musan")]
    assert sorted(dealt) == ["test"] * 2 + ["train"] * 7 + ["valid"]


def test_what_is_missing_is_said_with_where_to_get_it(tmp_path: Path) -> None:
    make(tmp_path, list(TREES["mit"]), "rir")
    with pytest.raises(UserError, match=r"holds no librispeech.*openslr\.org/12.*--download"):
        open_corpus(f"librispeech:{tmp_path}", tmp_path / "cache")
    with pytest.raises(UserError, match="holds no speech files; join one"):
        open_corpus(f"mit:{tmp_path}", tmp_path / "cache")
    with pytest.raises(UserError, match="no corpus musak"):
        open_corpus(f"mit:{tmp_path}+musak:{tmp_path}", tmp_path / "cache")
    with pytest.raises(UserError, match="did you mean librispeech:ROOT"):
        open_corpus("libri-speech:/data", tmp_path / "cache")
