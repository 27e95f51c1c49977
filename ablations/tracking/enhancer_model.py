"""A trained network as MLflow serves it; this file travels in the model and defines it there."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from mlflow.models import set_model
from mlflow.pyfunc.model import PythonModel, PythonModelContext

from smoe.config import ModelConfig
from smoe.evaluation.enhance import enhance, load_enhancer


class EnhancerModel(PythonModel):
    """Enhances recordings [recordings, samples], float32 at 16 kHz in [-1, 1], each on its own."""

    def load_context(self, context: PythonModelContext) -> None:
        """Builds the network from the model's two files."""
        settings = json.loads(Path(context.artifacts["config"]).read_text("utf-8"))
        self._enhancer = load_enhancer(ModelConfig(**settings), Path(context.artifacts["weights"]))

    def predict(
        self, context: PythonModelContext, model_input: np.ndarray, params: Any = None
    ) -> np.ndarray:
        """What `run_all.py enhance` makes of the same recordings, of the same shape."""
        waves = [torch.from_numpy(np.ascontiguousarray(wave)) for wave in model_input]
        return np.stack([enhance(self._enhancer, wave).numpy() for wave in waves])


set_model(EnhancerModel())
