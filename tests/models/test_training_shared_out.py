"""A training that is killed, shared out over processes, or run in float16 comes to what it should."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from framestate.errors import OptionError, TrainingError
from framestate.models.training.board import has_board
from framestate.models.training.config import LoopConfig
from framestate.models.training.distributed import Ranks, current, joined, main_first, pick_device
from framestate.models.training.loaders import Shares, batches_of
from framestate.models.training.loop import train
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.data import Dataset

STEPS = 24
BATCH = 4


class Numbers(Dataset[dict[str, Any]]):
    """Sample ``i`` follows from ``i``."""

    def __init__(self, first: int, count: int) -> None:
        self.first, self.count = first, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> dict[str, Any]:
        if index >= self.count:
            raise IndexError(index)
        generator = torch.Generator().manual_seed(self.first + index)
        x = torch.randn(6, generator=generator, dtype=torch.float64)
        return {"x": x, "y": x.square().sum()[None]}


class Fit:
    """Fits a sum of squares, with dropout where ``drop`` says so."""

    def __init__(self, steps: int = STEPS, drop: float = 0.5, workers: int = 0) -> None:
        torch.manual_seed(1)
        layers = (nn.Linear(6, 16), nn.Tanh(), nn.Dropout(drop), nn.Linear(16, 1))
        self.model: nn.Module = nn.Sequential(*layers).double()
        self.steps, self.workers = steps, workers

    def batches(self, start: int) -> Iterator[dict[str, Tensor]]:
        data = Numbers(start * BATCH, (self.steps - start) * BATCH)
        yield from batches_of(data, BATCH, self.workers)

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        loss = (self.model(batch["x"]) - batch["y"]).square().mean()
        return loss, {"loss": loss.item()}

    def validate(self, model: nn.Module) -> dict[str, float]:
        return {"seen": float(sum(len(batch["x"]) for batch in batches_of(Numbers(0, 8), 8, 0)))}


def options(**changes: Any) -> LoopConfig:
    given = {"steps": STEPS, "warmup_steps": 4, "learning_rate": 1e-2, "save_every": 1, "log_every": 1}
    return LoopConfig(**(given | changes))


def start(out: Path, kind: str, *, world: int = 1) -> subprocess.Popen[bytes]:
    """This file as a program of its own, under torchrun where there is more than one process."""
    alone = [sys.executable, __file__]
    many = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(world), __file__]
    command = alone if world == 1 else [sys.executable, *many]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    return subprocess.Popen([*command, kind, str(out)], env=environment, stderr=subprocess.PIPE)


@pytest.mark.slow  # another process has to import PyTorch
def test_a_killed_run_goes_on_bit_for_bit(tmp_path: Path) -> None:
    """Killed at a random step without warning, with dropout and a loader process: the same weights."""
    straight = train(Fit(workers=1), options(), tmp_path / "straight")
    process = start(tmp_path / "cut", "slow")
    log, stop = tmp_path / "cut" / "log.jsonl", random.randint(2, STEPS - 6)
    deadline = time.monotonic() + 300
    while not log.exists() or len(log.read_text().splitlines()) < stop:
        assert process.poll() is None, process.communicate()[1].decode()
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    done = int(load_file(tmp_path / "cut" / "checkpoint.safetensors")["step"])
    assert 1 <= done < STEPS
    torch.manual_seed(99)
    resumed = train(Fit(workers=1), options(), tmp_path / "cut")
    first, second = (
        load_file(folder / "checkpoint.safetensors") for folder in (tmp_path / "straight", tmp_path / "cut")
    )
    assert first.keys() == second.keys()
    for name, value in first.items():
        assert torch.equal(value, second[name]), f"{name} differs after a stop at step {done}"
    for name, value in straight.model.state_dict().items():
        assert torch.equal(value, resumed.model.state_dict()[name])


@pytest.mark.slow
def test_two_processes_learn_what_one_does_with_the_whole_batch(tmp_path: Path) -> None:
    train(Fit(drop=0.0), options(), tmp_path / "one")
    process = start(tmp_path / "two", "shared", world=2)
    errors = process.communicate(timeout=300)[1]
    assert process.returncode == 0, errors.decode()
    one, two = (load_file(tmp_path / name / "checkpoint.safetensors") for name in ("one", "two"))
    assert one.keys() == two.keys()
    for name in one:
        if not name.startswith("generator"):
            torch.testing.assert_close(one[name], two[name], rtol=1e-9, atol=1e-12)
    logs = [
        [json.loads(line) for line in (tmp_path / name / "log.jsonl").read_text().splitlines()]
        for name in ("one", "two")
    ]
    assert [line["step"] for line in logs[1]] == list(range(1, STEPS + 1))  # written once
    for alone, shared in zip(*logs, strict=True):
        assert alone["loss"] == pytest.approx(shared["loss"], abs=2e-5)  # the mean of both halves
    assert (tmp_path / "made-shared").read_text() == "by 0"
    assert (tmp_path / "two" / "result.json").read_text() == '{"rank": 0, "seen": 8.0}'


def test_shares_are_the_batch() -> None:
    whole = list(Shares(12, 4, Ranks()))
    parts = [list(Shares(12, 4, Ranks(rank, 2, rank))) for rank in range(2)]
    assert [a + b for a, b in zip(*parts, strict=True)] == whole
    assert list(Shares(6, 4, Ranks())) == [[0, 1, 2, 3], [4, 5]]
    assert len(Shares(6, 4, Ranks())) == 2
    with pytest.raises(OptionError, match="multiple"):
        Shares(12, 3, Ranks(0, 2))


def test_one_process_is_alone() -> None:
    with joined() as ranks:
        assert ranks == Ranks() == current()
    assert ranks.is_main
    assert ranks.agreed(2.5) == 2.5
    assert ranks.mean({"loss": 1.0}) == {"loss": 1.0}


def test_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert pick_device("auto").type == pick_device("cpu").type == "cpu"
    with pytest.raises(OptionError, match="no CUDA device"):
        pick_device("cuda")
    with pytest.raises(OptionError, match="device is 'tpu'"):
        LoopConfig(steps=1, device="tpu")
    with pytest.raises(OptionError, match="amp_dtype is 'float8'"):
        LoopConfig(steps=1, amp_dtype="float8")


class Single(Fit):
    """In single precision, so that there is something to halve; ``spoil`` what the loss is multiplied by."""

    def __init__(self, spoil: float = 1.0) -> None:
        super().__init__(drop=0.0)
        self.model, self.spoil = self.model.float(), spoil

    def loss(self, batch: dict[str, Tensor]) -> tuple[Tensor, dict[str, float]]:
        made = self.model(batch["x"].float())
        loss = (made.float() - batch["y"].float()).square().mean() * self.spoil
        return loss, {"loss": loss.item(), "halved": float(made.dtype != torch.float32)}


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
def test_autocast_learns_as_single_precision_does(tmp_path: Path, dtype: str) -> None:
    plain = train(Single(), options(), tmp_path / "plain")
    halved = train(Single(), options(amp=True, amp_dtype=dtype, ema=0.0), tmp_path / "half")
    lines = [json.loads(line) for line in (tmp_path / "half" / "log.jsonl").read_text().splitlines()]
    assert {line["halved"] for line in lines} == {1.0}
    kept = load_file(tmp_path / "half" / "checkpoint.safetensors")
    assert ("scaler.scale" in kept) == (dtype == "float16")
    assert plain.steps == halved.steps == STEPS
    last = [
        json.loads((tmp_path / n / "log.jsonl").read_text().splitlines()[-1])["loss"]
        for n in ("plain", "half")
    ]
    assert last[1] == pytest.approx(last[0], rel=0.05)


def test_a_loss_that_overflows_is_scaled_less_and_its_scale_is_kept(tmp_path: Path) -> None:
    config = options(amp=True, amp_dtype="float16")
    train(Single(1e4), config, tmp_path)  # 65536 times this is beyond float16
    kept = load_file(tmp_path / "checkpoint.safetensors")
    assert 1e-3 < float(kept["scaler.scale"]) < 65536
    assert all(value.isfinite().all() for name, value in kept.items() if name.startswith("model."))
    before = float(kept["scaler.scale"])
    again = train(Single(1e4), options(amp=True, amp_dtype="float16", steps=STEPS + 1), tmp_path)
    assert again.steps == STEPS  # its batches are at an end, and the scale is as it was
    assert float(load_file(tmp_path / "checkpoint.safetensors")["scaler.scale"]) == before
    with pytest.raises(TrainingError, match="gradient at step"):
        train(Single(float("nan")), config, tmp_path / "broken")


def test_a_checkpoint_of_before_still_loads(tmp_path: Path) -> None:
    """Checkpoints without generators, as they were once."""
    from safetensors.torch import save_file

    train(Fit(drop=0.0), options(), tmp_path / "straight")
    train(Fit(drop=0.0), options(steps=9), tmp_path / "old")
    path = tmp_path / "old" / "checkpoint.safetensors"
    save_file({k: v for k, v in load_file(path).items() if not k.startswith("generator")}, path)
    assert train(Fit(drop=0.0), options(), tmp_path / "old").steps == STEPS


@pytest.mark.skipif(not has_board(), reason="tensorboard is not installed")
def test_the_log_goes_to_tensorboard(tmp_path: Path) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    train(Fit(), options(steps=6, tensorboard=True, validate_every=3), tmp_path)
    train(Fit(), options(steps=8, tensorboard=True), tmp_path)
    events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
    assert {"loss", "rate", "norm", "seen"} <= set(events.Tags()["scalars"])
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 9))
    lines = [json.loads(line) for line in (tmp_path / "log.jsonl").read_text().splitlines()]
    assert [event.value for event in events.Scalars("loss")] == pytest.approx(
        [line["loss"] for line in lines]
    )


def main(kind: str, out: Path) -> None:
    """What the processes of the tests above run."""
    torch.set_num_threads(1)
    task = Fit(workers=1) if kind == "slow" else Fit(drop=0.0)
    with joined() as ranks:
        with main_first():
            made = out.parent / f"made-{kind}"
            if not made.exists():
                made.write_text(f"by {ranks.rank}")
        assert ranks.agreed(7.0 + ranks.rank) == 7.0
        result = train(task, options(), out, lambda *_: time.sleep(0.02 if kind == "slow" else 0))
        if ranks.is_main:
            (out / "result.json").write_text(json.dumps({"rank": ranks.rank, **result.metrics}))


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]))
