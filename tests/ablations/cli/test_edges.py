"""Settings at the edge: said in one sentence before any work begins, exit status 2."""

from pathlib import Path

import pytest
import torch

from ablations.execution.resources import means_of
from ablations.studies.study import load_study
from ablations.tracking.addresses import require_tracking
from smoe.config import RunConfig
from smoe.errors import UserError
from smoe.network.unet import SpeechEnhancer
from tests.ablations.conftest import run_here

STUDY = """
title = "Edge"
question = "Is it said?"
cells = ["dense"]
seeds = [0]
data = "synthetic:tiny"
"""
FILES = {
    "negative seed": (STUDY.replace("[0]", "[-1]"), "seeds"),
    "seed twice": (STUDY.replace("[0]", "[0, 0]"), "seed 0 stands there twice"),
    "huge seed": (STUDY.replace("[0]", "[99999999999999999999999]"), "seeds"),
    "seed of another type": (STUDY.replace("[0]", "[true]"), "seeds"),
    "fraction as a seed": (STUDY.replace("[0]", "[1.0]"), "seeds"),
    "no seed": (STUDY.replace("[0]", "[]"), "seeds"),
    "infinite setting": (STUDY + "[train]\nlearning_rate = inf\n", "train.learning_rate"),
    "no number": (STUDY + "[mix]\ncrop_s = nan\n", "mix.crop_s"),
    "no number in a list": (STUDY + "[test]\nsnrs_db = [0.0, nan]\n", "test.snrs_db"),
    "NUL in a text": (STUDY.replace('"Edge"', '"E\\u0000e"'), "NUL"),
    "NUL in the data": (STUDY.replace("synthetic:tiny", "a\\u0000b"), "NUL"),
    "nobody's home": (STUDY.replace("synthetic:tiny", "~nobody-has-this/x"), "nobody's home"),
}
CONTENTS = {
    "NUL in the file": (STUDY.encode() + b"\0", "NUL character"),
    "UTF-16": (STUDY.encode("utf-16"), "not UTF-8"),
    "Latin-1": (STUDY.replace("Edge", "Ränder").encode("latin-1"), "not UTF-8"),
    "binary": (bytes(range(256)), "not UTF-8"),
    "empty": (b"", "field required"),
}
OPTIONS = {
    "no hours": (["--max-hours", "0"], "--max-hours"),
    "negative hours": (["--max-hours", "-1"], "--max-hours"),
    "hours that are no number": (["--max-hours", "nan"], "--max-hours"),
    "endless hours": (["--max-hours", "inf"], "--max-hours"),
    "no time for a run": (["--timeout", "0"], "--timeout"),
    "checkpoints at no time": (["--checkpoint-every", "nan"], "--checkpoint-every"),
    "no jobs": (["--jobs", "0"], "--jobs"),
    "negative jobs": (["--jobs", "-3"], "--jobs"),
    "raised two": (["--jobs", "²"], "--jobs"),
    "fraction of a job": (["--jobs", "1.5"], "--jobs"),
    "huge jobs": (["--jobs", "99999999999"], "--jobs"),
    "no threads": (["--threads", "0"], "--threads"),
    "huge threads": (["--threads", "9999999999"], "--threads"),
    "no tracking server": (["--tracking-uri", "nonsense"], "--tracking-uri"),
    "tracking database nowhere": (["--tracking-uri", "sqlite:////nowhere/x.db"], "--tracking-uri"),
    "tracking server without a host": (["--tracking-uri", "http://"], "--tracking-uri"),
    "tracking server with a strange port": (["--tracking-uri", "http://a:b"], "--tracking-uri"),
    "infinite setting": (["--set", "train.learning_rate=inf"], "train.learning_rate"),
    "raised two as a setting": (["--set", "train.steps=²"], "train.steps"),
    "varied to the impossible": (["--study", "VARIED"], "train.steps is 0; give a number from 1"),
    "two settings in one": (["--set", "train.steps=3\nx=4"], "train.steps"),
}


def refused(*arguments: str | Path) -> str:
    """Return the sentence with which a command line is refused."""
    finished = run_here(*arguments)
    assert finished.returncode == 2, finished
    assert "Traceback" not in finished.stderr
    assert len(finished.stderr.strip().splitlines()) == 1
    assert finished.stdout == ""
    return finished.stderr


@pytest.mark.parametrize("case", FILES)
def test_a_study_file(case: str, tmp_path: Path):
    text, sentence = FILES[case]
    path = tmp_path / "edge.toml"
    path.write_text(text, encoding="utf-8")
    assert sentence in refused("run", "--study", path, "--results", tmp_path / "results")
    assert not list(tmp_path.glob("results/.runs/*/*"))


@pytest.mark.parametrize("case", CONTENTS)
def test_the_content_of_a_study_file(case: str, tmp_path: Path):
    content, sentence = CONTENTS[case]
    path = tmp_path / "edge.toml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=sentence) as caught:
        load_study(str(path))
    assert str(path) in str(caught.value)


def test_a_byte_order_mark_is_no_fault(tmp_path: Path):
    path = tmp_path / "edge.toml"
    path.write_bytes(STUDY.encode("utf-8-sig"))
    assert load_study(str(path)).title == "Edge"


def test_a_folder_of_a_study_s_name_is_said(tmp_path: Path):
    path = tmp_path / "edge.toml"
    path.mkdir()
    with pytest.raises(UserError, match=r"edge\.toml cannot be read"):
        load_study(str(path))


@pytest.mark.parametrize("name", [".runs", "bench", "Corpus", "a\x1bb", " a", "x" * 120, "-x"])
def test_a_name_that_stands_for_something_else_is_refused(name: str, tmp_path: Path):
    path = tmp_path / f"{name}.toml"
    path.write_text(STUDY)
    with pytest.raises(UserError, match="cannot name a study"):
        load_study(str(path))


@pytest.mark.parametrize("case", OPTIONS)
def test_an_option(case: str, tmp_path: Path):
    arguments, sentence = OPTIONS[case]
    results, varied = tmp_path / "results", tmp_path / "varied.toml"
    varied.write_text(f"{STUDY}[vary]\ntrain.steps = [10, 0]\n")
    arguments = [str(varied) if each == "VARIED" else each for each in arguments]
    assert sentence in refused("run", "--study", "smoke", "--results", results, *arguments)
    assert not list(results.glob(".*/*"))  # nor is a corpus prepared


SETTINGS = {
    "model.init_channels": (0, 1025, "from 1 up to 1024"),
    "model.n_layers": (2, 9, "from 3 up to 8"),
    "model.n_fft": (16, 16384, "from 32 up to 8192"),
    "model.win_length": (0, 8193, "from 16 up to 8192"),
    "model.hop_length": (-1, 4097, "from 8 up to 4096"),
    "train.steps": (0, 10_000_001, "from 1 up to 10000000"),
    "train.batch_size": (0, 4097, "from 1 up to 4096"),
    "train.warmup_steps": (-1, 10_000_001, "from 0 up to 10000000"),
    "mix.crop_s": (0.4, 61, "from 0.5 up to 60"),
    "mix.snr_db_min": (-101, 101, "from -100 up to 100"),
    "test.seed": (-1, 2**32, "from 0 up to 4294967295"),
    "test.per_snr": (0, 10_001, "from 1 up to 10000"),
    "test.clean": (-1, 100_001, "from 0 up to 100000"),
    "test.counterfactual_per_condition": (-1, 100_001, "from 0 up to 100000"),
}


@pytest.mark.parametrize("name", SETTINGS)
def test_a_number_out_of_bounds_is_said_with_what_can_be(name: str):
    *values, bounds = SETTINGS[name]
    for value in (*values, 10**30):
        with pytest.raises(UserError) as caught:
            load_study("smoke", None, [f"{name}={value}"]).base("")
        assert f"{name} is {value}" in str(caught.value)
        assert str(caught.value).endswith(f"give a number {bounds}.")


def test_every_whole_number_has_bounds():
    """So has every other number, but for the rate of learning, which may be tried to the end."""
    unbounded = []
    for section in ("model", "loss", "mix", "train", "test"):
        for name, field in type(RunConfig.model_fields[section].default).model_fields.items():
            bounded = any(hasattr(each, "le") or hasattr(each, "lt") for each in field.metadata)
            if field.annotation in (int, float) and not bounded:
                unbounded.append(f"{section}.{name}")
    assert unbounded == ["train.learning_rate"]


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ("model.level_channels=[0, 2, 3, 4, 5]", "model.level_channels is 0; give a number from 1"),
        ("model.level_channels=[1, 2]", "level_channels needs 5 entries"),
        ("model.win_length=600", "make it at most n_fft"),
        ("model.hop_length=300", "make it at most half of win_length"),
        ("model.n_layers=8", "mix.crop_s is 1, which is 63 frames, and 8 layers take 256"),
        ("model.n_fft=60", "win_length is 512, longer than n_fft (60)"),
        ("mix.crop_s=3\ntest.crop_s=1\nmodel.n_layers=6", "test.crop_s is 1, which is 63 frames"),
        ("train.steps=true", "true is no number; give a number"),
        ("model.level_channels=[1, 2, true, 4, 5]", "true is no number"),
        ("test.snrs_db=[]", "at least 1"),
        ("test.snrs_db=[5, 5]", "snrs_db names an SNR twice; remove one"),
        ("test.snrs_db=[500]", "give a number up to 100"),
        ("mix.snr_db_min=20", "exchange them"),
        ("train.precision=half", "'float32' or 'bfloat16'"),
    ],
)
def test_a_setting_that_cannot_be(setting: str, sentence: str):
    with pytest.raises(UserError) as caught:
        load_study("smoke", None, setting.split("\n")).base("")
    assert sentence in str(caught.value) and "\n" not in str(caught.value)


def test_settings_at_the_bounds_are_taken_and_compute():
    """The smallest spectrogram of each depth."""
    for layers, n_fft, hop_length in ((3, 32, 8), (5, 62, 31), (8, 510, 31)):
        settings = [f"model.n_layers={layers}", f"model.n_fft={n_fft}", "model.init_channels=1",
                    f"model.win_length={2 * hop_length}", f"model.hop_length={hop_length}",
                    "mix.crop_s=0.5"]  # fmt: skip
        config = load_study("smoke", None, settings).base("").model
        assert config is not None
        signal = torch.randn(2, 8000, generator=torch.Generator().manual_seed(0))
        enhanced = SpeechEnhancer(config)(signal, torch.tensor([2, 0]))["enhanced_waveform"]
        enhanced.square().mean().backward()
        assert enhanced.shape == signal.shape and enhanced.isfinite().all()


def test_numbers_that_can_be_are_taken():
    means = means_of("2", "cpu", "loky", 0.0, 1, max_hours=0.5, timeout_hours=1e-3)
    assert means.jobs == 2 and means.timeout_s == pytest.approx(3.6)
    assert means.deadline is not None


@pytest.mark.parametrize("uri", ["http://host:5000", "https://host/path", "sqlite:////tmp/a.db",
                                 "postgresql+psycopg2://u:p@host/db", "databricks"])  # fmt: skip
def test_addresses_that_can_be_are_taken(uri: str):
    require_tracking(uri)
    require_tracking(None)
