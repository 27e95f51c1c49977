"""The corpus of a study as MLflow's page of data sets shows it: what describes a test utterance."""

import json
from typing import Any

from ablations.tracking.limits import DIGEST, NAME, bounded

COLUMNS = {  # as in `utterances.parquet`
    "utterance": ("string", True),
    "condition": ("string", True),
    "snr_db": ("double", False),
    "rt60_s": ("double", False),
    "speaker": ("string", False),
    "noise": ("string", False),
    "noise_type": ("string", False),
    "room": ("string", False),
}


def corpus_dataset(data: str, data_hash: str, utterances: int) -> Any:
    """Return MLflow's input for a corpus.

    Args:
        data: Specification of the corpus.
        data_hash: Its hash.
        utterances: Test utterances; 0 where it is not known.
    """
    from mlflow.entities import Dataset, DatasetInput, InputTag

    columns = [
        {"name": name, "type": kind, "required": required}
        for name, (kind, required) in COLUMNS.items()
    ]
    name = bounded(data, NAME)
    dataset = Dataset(
        name,
        data_hash[:DIGEST],
        "corpus",
        name,
        schema=json.dumps({"mlflow_colspec": columns}),
        profile=json.dumps({"num_rows": utterances}) if utterances else None,
    )
    return DatasetInput(dataset, [InputTag("mlflow.data.context", "training and test")])
