"""VoiceBank-DEMAND: the gate before its test set, and the test set made of its pairs."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import soundfile

from smoe import config, metrics
from smoe.corpora import Corpus, open_corpus, voicebank
from smoe.corpora.pool import PAIRED, Recording, load, save
from smoe.corpora.public import laid_out
from smoe.corpora.voicebank import Measured, gated, verdict
from smoe.errors import UserError
from smoe.evaluation.evaluate import evaluate, evaluate_unprocessed
from smoe.mixtures.test_set import test_set as make_test_set
from smoe.network.unet import SpeechEnhancer

PUBLISHED = Measured(
    seconds=2073, above_4khz_db=-25, pesq_wb=1.97, stoi=0.921, pesq_nb=2.9, estoi=0.79
)


@pytest.mark.parametrize("pesq_wb", [1.951, 1.97, 1.989])
@pytest.mark.parametrize("stoi", [0.9161, 0.921, 0.9259])
def test_the_published_test_set_passes(pesq_wb: float, stoi: float) -> None:
    assert verdict(replace(PUBLISHED, pesq_wb=pesq_wb, stoi=stoi)) is None


@pytest.mark.parametrize(
    ("changed", "looks_like"),
    [
        ({"pesq_wb": 1.94}, "another mixture"),
        ({"stoi": 0.93}, "another mixture"),
        ({"pesq_wb": 2.9}, "narrowband PESQ"),
        ({"stoi": 0.79}, "ESTOI, not STOI"),
        ({"pesq_wb": 4.64, "pesq_nb": 4.55, "stoi": 1.0}, "holds the clean recordings"),
        ({"pesq_wb": 2.3, "above_4khz_db": -62}, "nothing above 4 kHz"),
        ({"pesq_wb": 1.5, "seconds": 3 * 2073}, "3.00 times as long: the files claim a wrong"),
    ],
)
def test_another_one_is_described(changed: dict[str, float], looks_like: str) -> None:
    said = verdict(replace(PUBLISHED, **changed))
    assert said
    assert looks_like in said
    assert "1.97 and 0.921 are published" in said


def speech_and_noise(corpus: Corpus, count: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Clean speech of different lengths with a little noise at 10 dB below."""
    pool = corpus.pools["speech", "test"]
    rng = np.random.default_rng(0)
    pairs = []
    for i in range(count):
        clean = np.array(pool.item(i)[: 16_000 + 4_000 * i])
        noise = rng.standard_normal(len(clean)) * clean.std() * 10**-0.5
        pairs.append((clean, (clean + noise).astype(np.float32)))
    return pairs


@pytest.fixture
def small_tree(tiny_corpus: Corpus, tmp_path: Path) -> Path:
    """The 28-speaker layout at 48 kHz, two files each."""
    root = tmp_path / "vb"
    pairs = iter(speech_and_noise(tiny_corpus, 4))
    for split, speakers in (("trainset_28spk", ("p226", "p227")), ("testset", ("p232", "p257"))):
        for speaker, pair in zip(speakers, pairs, strict=False):
            for side, audio in zip(("clean", "noisy"), pair, strict=True):
                path = root / f"{side}_{split}_wav" / f"{speaker}_001.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                soundfile.write(path, np.repeat(audio, 3), 48_000)
    return root


def test_both_sides_of_the_test_set_are_found(small_tree: Path) -> None:
    found = {s.name: (s.kind, s.split) for s in laid_out("voicebank-demand", small_tree)}
    assert found == {
        "voicebank-demand/clean_testset_wav/p232_001.wav": ("speech", "test"),
        "voicebank-demand/clean_testset_wav/p257_001.wav": ("speech", "test"),
        "voicebank-demand/clean_trainset_28spk_wav/p226_001.wav": ("speech", "valid"),
        "voicebank-demand/clean_trainset_28spk_wav/p227_001.wav": ("speech", "train"),
        "voicebank-demand/noisy_testset_wav/p232_001.wav": (PAIRED, "test"),
        "voicebank-demand/noisy_testset_wav/p257_001.wav": (PAIRED, "test"),
    }


def demand_and_rooms(root: Path) -> str:
    rng = np.random.default_rng(1)
    for place in ("DKITCHEN", "NRIVER", "TBUS"):
        (root / place).mkdir(parents=True)
        soundfile.write(root / place / "ch01.wav", 0.1 * rng.standard_normal(16_000), 16_000)
    for i in range(3):
        decay = rng.standard_normal(8000) * 10 ** (-3 * np.arange(8000) / 8000 / 0.6)
        (root / "Audio").mkdir(exist_ok=True)
        audio = np.concatenate([[1.0], 0.1 * decay])
        soundfile.write(root / "Audio" / f"h00{i}_Hall_1txts.wav", audio, 16_000)
    return f"demand:{root}+mit:{root}"


def test_an_incomplete_test_set_is_refused_before_anything_is_kept(
    small_tree: Path, tmp_path: Path
) -> None:
    spec = f"voicebank-demand:{small_tree}+{demand_and_rooms(tmp_path / 'rest')}"
    with pytest.raises(UserError, match=r"2 clean and 2 noisy files.*824 pairs are expected"):
        open_corpus(spec, tmp_path / "cache")
    assert not list((tmp_path / "cache").iterdir())


def test_partners_of_unequal_length_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(voicebank, "PAIRS", 1)
    pair = [
        Recording("clean_testset_wav/p232_001.wav", "speech", "p232", "test", np.ones(9)),
        Recording("noisy_testset_wav/p232_001.wav", PAIRED, "p232", "test", np.ones(8)),
    ]
    with pytest.raises(UserError, match=r"p232_001\.wav is not as long as its clean partner"):
        list(gated(pair, 1, lambda *_: None))


def test_a_corpus_without_published_pairs_passes_the_gate() -> None:
    one = Recording("a", "speech", "a", "test", np.ones(9))
    assert list(gated([one], 1, lambda *_: None)) == [one]


def test_the_gate_scores_what_the_suite_scores(
    tiny_corpus: Corpus, monkeypatch: pytest.MonkeyPatch
) -> None:
    pairs = speech_and_noise(tiny_corpus, 3)
    recordings = [
        Recording(f"{side}_testset_wav/p232_{i}.wav", kind, "p232", "test", audio)
        for i, pair in enumerate(pairs)
        for side, kind, audio in zip(("clean", "noisy"), ("speech", PAIRED), pair, strict=True)
    ]
    wideband, intelligibility = (
        np.mean([metric(reference=clean, estimate=noisy) for clean, noisy in pairs])
        for metric in (metrics.pesq_wb, metrics.stoi)
    )
    for name, value in (
        ("PAIRS", 3),
        ("PESQ_WB", wideband),
        ("STOI", intelligibility),
        ("SECONDS", sum(len(clean) for clean, _ in pairs) / config.SAMPLE_RATE),
    ):
        monkeypatch.setattr(voicebank, name, value)
    seen: list[tuple[int, int]] = []
    passed = list(gated(recordings, 1, lambda _what, done, of: seen.append((done, of))))
    assert passed == recordings
    assert seen == [(1, 3), (2, 3), (3, 3)]
    monkeypatch.setattr(voicebank, "PESQ_WB", wideband + 0.03)
    with pytest.raises(UserError, match=r"not the published test set.*doi\.org"):
        list(gated(recordings, 1, lambda *_: None))


@pytest.fixture
def paired_corpus(tiny_corpus: Corpus, tmp_path: Path) -> Corpus:
    """The tiny corpus with two published pairs in its test split."""
    members = [
        Recording(n, kind, g, split, np.array(pool.item(i)), rt60_s=float(pool.rt60_s[i]))
        for (kind, split), pool in tiny_corpus.pools.items()
        for i, (n, g) in enumerate(zip(pool.names, pool.groups, strict=True))
    ]
    for i, (clean, noisy) in enumerate(speech_and_noise(tiny_corpus, 2)):
        members += [
            Recording(f"clean_testset_wav/p232_{i:03d}.wav", "speech", "p232", "test", clean),
            Recording(f"noisy_testset_wav/p232_{i:03d}.wav", PAIRED, "p232", "test", noisy),
        ]
    save(tmp_path / "paired", members)
    corpus = load(tmp_path / "paired", "paired")
    assert corpus is not None
    return corpus


def test_published_pairs_are_the_noise_condition_as_they_are(
    paired_corpus: Corpus, tiny_corpus: Corpus
) -> None:
    made = make_test_set(paired_corpus, config.TestSetConfig(crop_s=1.5, per_snr=1, clean=1))
    assert made.utterance[:2] == ["noise/p232_000", "noise/p232_001"]
    assert made.condition == ["noise"] * 2 + ["reverb"] * 5 + ["both"] * 5 + ["clean"]
    assert made.samples == [16_000, 20_000] + [24_000] * 11
    for row, (clean, noisy) in enumerate(speech_and_noise(tiny_corpus, 2)):
        samples = made.samples[row]
        assert np.array_equal(made.mixture.noisy[row, :samples], noisy)
        assert np.array_equal(made.mixture.clean[row, :samples], clean)
        # Further on the pair repeats, without silence in between.
        assert np.array_equal(made.mixture.noisy[row, samples:], noisy[: 24_000 - samples])
        assert 10 <= made.mixture.snr_db[row] <= 13  # 10 dB over all, more over active speech
        assert made.mixture.label[row] == 0
        assert made.mixture.rt60_s[row].isnan()


def test_published_pairs_are_scored_at_their_own_length(paired_corpus, tiny_corpus) -> None:
    """Shorter pairs are repeated for the network, and scored without the repetition."""
    settings = config.TestSetConfig(crop_s=1.5, per_snr=1, clean=1, counterfactual_per_condition=1)
    test = make_test_set(paired_corpus, settings)
    pairs = speech_and_noise(tiny_corpus, 2)
    rows = evaluate_unprocessed(test).utterances
    for row, (clean, noisy) in zip(rows, pairs, strict=False):
        expected = metrics.score(reference=clean, estimate=noisy)
        assert row["pesq_wb"] == pytest.approx(expected["pesq_wb"], abs=1e-6)
        assert row["si_sdr_db"] == pytest.approx(expected["si_sdr_db"], abs=1e-4)
    enhancer = SpeechEnhancer(config.ModelConfig(init_channels=2))
    lengths = [len(example.noisy) for example in evaluate(enhancer, test, settings).examples]
    assert lengths == [20_000, 24_000, 24_000]
