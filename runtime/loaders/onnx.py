"""ONNX models, run by onnxruntime: one input with a row per example; the output is the label, else the first one."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from runtime.errors import InputError, ModelError
from runtime.formats import Format
from runtime.loaders.predictor import ModelInfo, Predictor

_TYPES = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(int64)": np.int64,
    "tensor(int32)": np.int32,
    "tensor(bool)": np.bool_,
    "tensor(string)": np.object_,
}


class OnnxModel:
    def __init__(self, session: Any, library_version: str) -> None:
        given = _only_input(session)
        self._session = session
        self._input = given.name
        self._type = _TYPES[given.type]
        self._shape: Sequence[int | str | None] = given.shape
        self._output = _chosen_output([output.name for output in session.get_outputs()])
        table = len(given.shape) == 2 and given.type != "tensor(string)"
        self.numeric = table
        self.n_features = given.shape[1] if table and isinstance(given.shape[1], int) else None
        self.info = ModelInfo(session.get_modelmeta().graph_name or "graph", "onnxruntime", library_version)

    def predict(self, rows: Any) -> Any:
        (answer,) = self._session.run([self._output], {self._input: self._tensor(rows)})
        is_column = isinstance(answer, np.ndarray) and answer.ndim == 2 and answer.shape[1] == 1
        return answer[:, 0] if is_column else answer

    def _tensor(self, rows: Any) -> Any:
        try:
            tensor: np.ndarray[Any, Any] = np.array(rows, dtype=self._type)
        except (ValueError, TypeError) as error:
            raise InputError(
                "invalid_inputs", f"The inputs are not an array of {np.dtype(self._type)}: {error}"
            ) from error
        if not _fits(tensor.shape, self._shape):
            raise InputError(
                "invalid_inputs",
                f"The model takes inputs of shape {_words(self._shape)}; these have {_words(tensor.shape)}.",
            )
        if self.numeric and not np.array_equal(tensor, rows) and np.issubdtype(self._type, np.integer):
            raise InputError("invalid_inputs", "The model takes whole numbers.")
        return tensor


def load(path: Path, model_format: Format, threads: int) -> Predictor:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return OnnxModel(session, onnxruntime.__version__)


def _only_input(session: Any) -> Any:
    inputs = session.get_inputs()
    if len(inputs) != 1 or inputs[0].type not in _TYPES or not inputs[0].shape:
        raise ModelError(
            "The model's inputs can't be served",
            f"It takes {', '.join(f'{i.name}: {i.type} {i.shape}' for i in inputs) or 'nothing'}. Export it with a "
            "single tensor as input, whose first dimension is the example.",
        )
    return inputs[0]


def _chosen_output(names: Sequence[str]) -> str:
    return next((name for name in names if "label" in name.lower()), names[0])


def _fits(shape: Sequence[int], wanted: Sequence[int | str | None]) -> bool:
    return len(shape) == len(wanted) and all(
        want == have for want, have in zip(wanted, shape, strict=True) if isinstance(want, int)
    )


def _words(shape: Sequence[int | str | None]) -> str:
    return f"[{', '.join('any' if size is None or isinstance(size, str) else str(size) for size in shape)}]"
