"""Evaluating a torch model on new samples: from a file, or from arrays that a server was sent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from dioptra.errors import InvalidParameterError
from dioptra.learning._sample_files import check_kinds, fit_samples, read_samples, write_result
from dioptra.learning._torch_batches import on_device
from dioptra.learning._torch_model import TorchModel
from dioptra.learning._wire import is_shape

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["Evaluation"]


class Evaluation(TorchModel):
    """How a task evaluates: `eval_path` -> `load_sample`, `eval` -> `prepare_eval`, `forward_eval`, `postprocess`."""

    eval_batch: int = 256
    """How many samples of a file are evaluated at once."""

    # What a script says.

    def load_sample(self, path: Path) -> Any:
        """Read what to evaluate from a file; by default samples `(n, ...)` from `npz` or `csv`, as the model's type."""
        dtype = str(self.describe_input()["dtype"])
        samples = fit_samples(read_samples(Path(path)), dtype, Path(path))
        return torch.tensor(np.ascontiguousarray(samples)).to(getattr(torch, dtype))

    def store_result(self, result: Any, path: Path) -> None:
        """Write a result to a file; by default as `npz` or `csv`."""
        write_result(_to_array(result), Path(path))

    # Evaluation.

    def eval_path(self, input_path: Path, output_path: Path) -> None:
        """Evaluate the model on a file, and write the result to another.

        Raises:
            InvalidParameterError: The samples do not have the shape that the model was trained with, and it failed.
        """
        sample = self.load_sample(Path(input_path))
        try:
            result = self._eval_in_pieces(sample)
        except (RuntimeError, ValueError, IndexError) as error:
            self._check_shape(sample, Path(input_path), error)
            raise
        self.store_result(result, Path(output_path))

    def check_files(self, input_path: Path, output_path: Path) -> None:
        """Check the files, and their kinds unless the task reads or writes them in a way of its own."""
        super().check_files(input_path, output_path)
        check_kinds(self, Evaluation, input_path, output_path)

    def _eval_in_pieces(self, sample: Any) -> Any:
        """Return the result for samples of which not all need fit into memory at once, if its pieces can be joined."""
        if not isinstance(sample, torch.Tensor) or not sample.ndim or len(sample) <= self.eval_batch:
            return self.eval(sample)
        pieces = sample.split(self.eval_batch)
        first = self.eval(pieces[0])
        if not isinstance(first, torch.Tensor | np.ndarray) or not first.ndim or len(first) != len(pieces[0]):
            return self.eval(sample)
        return np.concatenate([_to_array(first), *(_to_array(self.eval(piece)) for piece in pieces[1:])])

    def _check_shape(self, sample: Any, path: Path, error: Exception) -> None:
        wanted = self.describe_input()["sample_shape"]
        if not isinstance(sample, torch.Tensor) or wanted is None or is_shape(tuple(sample.shape[1:]), wanted):
            return
        have, want = (" x ".join(map(str, shape)) or "one number" for shape in (sample.shape[1:], wanted))
        want = want.replace("-1", "any")
        raise InvalidParameterError(
            f"{str(path)!r} holds samples of {have}, and the model was trained with {want}",
            hint="give it such samples",
        ) from error

    def eval(self, sample: Any) -> Any:
        """Return the result for a batch of samples."""
        self.settle_model()
        with torch.no_grad():
            return self.postprocess(self.forward_eval(self.prepare_eval(sample)))

    def prepare_eval(self, sample: Any) -> Any:
        """Return the samples on the device."""
        return on_device(sample, self.device)

    def forward_eval(self, inputs: Any) -> Any:
        """Return the model's outputs."""
        return self.model(inputs)

    def postprocess(self, outputs: Any) -> Any:
        """Return the result that outputs amount to; by default themselves."""
        return outputs

    def predict(self, batch: NDArray[np.generic]) -> NDArray[np.generic]:
        """Return the results for a batch of samples `(n, ...)`, computed as `eval` does."""
        samples = torch.tensor(np.ascontiguousarray(batch)).to(getattr(torch, self.describe_input()["dtype"]))
        found: NDArray[np.generic] = _to_array(self.eval(samples))
        return found


def _to_array(result: Any) -> Any:
    return result.detach().cpu().numpy() if isinstance(result, torch.Tensor) else result
