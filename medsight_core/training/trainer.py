"""One trainer for all stages: transformers' `Trainer`, told what a step is divided by and how a stage is measured.

A step's loss is the same for any split of its samples into micro-batches and processes. A checkpoint counts once it is
whole, so a process killed at any moment goes on from the last one that is. It holds what learns: all else is in the
folder that the stage starts from.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate import PartialState
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, RandomSampler
from transformers import PrinterCallback, Trainer, TrainerCallback, TrainingArguments

from medsight_core.errors import InputError
from medsight_core.training.optimizer import build_optimizer
from medsight_core.training.recipe import Recipe, used_precision
from medsight_core.training.sharding import keep_precise, sharding_of
from medsight_core.training.task import Task, freeze_all_but

_WHOLE = "whole"  # marker file of a finished checkpoint
Progress = Callable[[int, int, Mapping[str, float]], None]  # step, steps in all, last figures


class StageTrainer(Trainer):
    """Trains a `Task` by a `Recipe`; figures of loss terms go to TensorBoard beside the loss.

    begin: called when the model is where it will be trained, before the first step.
    fsdp: spread the model over the processes, which `join_processes` has brought together.
    """

    def __init__(
        self,
        task: Task,
        recipe: Recipe,
        folder: Path,
        train: Dataset,
        held_out: Dataset,
        collate: Callable,
        begin: Callable[[], None],
        progress: Progress | None = None,
        fsdp: bool = False,
    ) -> None:
        self.recipe, self.held_out = recipe, held_out
        self._terms: dict[str, list[Tensor]] = {}
        freeze_all_but(task.model, task.trainable)
        if not torch.cuda.is_available():
            # Fused attention saves memory, but its backward pass on CPUs takes half as long again (torch 2.13).
            task.model.vision.set_attn_implementation("eager")
        os.environ["TENSORBOARD_LOGGING_DIR"] = str(folder / "tensorboard")
        super().__init__(
            model=task,
            args=_arguments(recipe, folder, sharding_of(task.model, recipe.checkpointing) if fsdp else None),
            train_dataset=train,
            data_collator=collate,
            callbacks=[_Begin(begin), _AfterStep(task), _MarkWhole(), *([_Report(progress)] if progress else [])],
        )
        self.remove_callback(PrinterCallback)  # figures are shown by `progress` and kept for TensorBoard
        self.model_accepts_loss_kwargs = True  # compute_loss divides by the totals of the whole step

    @property
    def task(self) -> Task:
        """The task without what processes wrap around it."""
        return self.accelerator.unwrap_model(self.model)

    def get_batch_samples(
        self, epoch_iterator: Iterator, num_batches: int, device: torch.device
    ) -> tuple[list, Tensor | None]:
        """The micro-batches of a step, and its totals (n,) over all of them and all processes."""
        batches = [batch for _, batch in zip(range(num_batches), epoch_iterator)]
        if not batches:
            return batches, None
        # Whole numbers: sharded models round all other inputs to their precision.
        counts = torch.tensor([self.task.count(batch) for batch in batches], dtype=torch.int64).sum(0)
        return batches, self.accelerator.reduce(counts.to(device), reduction="sum")

    def compute_loss(
        self, model: Any, inputs: dict, return_outputs: bool = False, num_items_in_batch: Tensor | int | None = None
    ) -> Any:
        """This micro-batch's part of the step's loss, scaled so that averaging over processes gives the sum."""
        terms = model(totals=num_items_in_batch, **inputs)
        for name, value in terms.items():
            self._terms.setdefault(name, []).append(value.detach())
        loss = terms["loss"] * self.accelerator.num_processes
        return (loss, terms) if return_outputs else loss

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add the loss's terms, this process's share of them, means over the steps since the last log."""
        steps = max(1, len(self._terms.get("loss", ())) // self.recipe.accumulation)
        for name, values in self._terms.items():
            if name != "loss":
                logs[f"loss_{name}"] = float(torch.stack(values).sum()) / steps
        self._terms = {}
        super().log(logs, start_time)

    def _save(self, output_dir: str | None = None, state_dict: dict | None = None) -> None:
        """Leave out of a checkpoint what does not learn."""
        if state_dict is None:
            frozen = self._frozen()
            state_dict = {name: value for name, value in self.task.state_dict().items() if name not in frozen}
        super()._save(output_dir, state_dict)

    def _issue_warnings_after_load(self, load_result: Any) -> None:
        """Raise InputError for a checkpoint that lacks more than what does not learn, or holds something else."""
        wrong = sorted({*load_result.missing_keys} - self._frozen() | {*load_result.unexpected_keys})
        if wrong:
            raise InputError(
                f"The last checkpoint in '{self.args.output_dir}' does not fit ({len(wrong)} keys, the first is "
                f"{wrong[0]}): train anew in another folder."
            )

    def _frozen(self) -> set[str]:
        named = self.task.named_parameters(remove_duplicate=False)
        return {name for name, parameter in named if not parameter.requires_grad}

    def _get_train_sampler(self, train_dataset: Dataset | None = None) -> RandomSampler:
        """Whole steps only: a rest of less than a batch is left out of each epoch, whatever the accumulation."""
        data = self.train_dataset if train_dataset is None else train_dataset
        assert data is not None  # noqa: S101
        return RandomSampler(data, num_samples=len(data) // self.recipe.batch * self.recipe.batch)  # type: ignore[arg-type]

    def create_optimizer(self, model: Any = None) -> torch.optim.Optimizer:
        """The recipe's; the tower, where it learns, at its own rate."""
        recipe = self.recipe
        self.optimizer = build_optimizer(
            recipe.optimizer,
            (model or self.task).named_parameters(),
            recipe.learning_rate,
            recipe.learning_rate * recipe.tower_rate,
            (recipe.beta1, recipe.beta2),
        )
        return self.optimizer

    def create_scheduler(
        self, num_training_steps: int, optimizer: torch.optim.Optimizer | None = None
    ) -> torch.optim.lr_scheduler.LRScheduler:
        """The recipe's rate by step."""
        samples = len(self.train_dataset)  # type: ignore[arg-type]
        epoch_steps = max(1, samples // self.recipe.batch)
        optimizer = optimizer or self.optimizer
        assert optimizer is not None  # noqa: S101 - it is made first
        self.lr_scheduler = torch.optim.lr_scheduler.LambdaLR(
            optimizer, lambda step: self.recipe.rate(step, num_training_steps, epoch_steps)
        )
        return self.lr_scheduler

    @torch.no_grad()
    def measure(self) -> dict[str, float]:
        """Figures of the stage on the held-out data, over all processes."""
        model: Any = self.model  # wrapped, where processes share it
        model.eval()
        sums: dict[str, Tensor] = {}
        # Trainer's own loader would leave out the last, smaller batch, as training does.
        loader = DataLoader(self.held_out, self.args.eval_batch_size, collate_fn=self.data_collator)
        for batch in self.accelerator.prepare(loader):
            with self.compute_loss_context_manager():
                for name, value in model(**self._prepare_inputs(batch)).items():
                    sums[name] = sums.get(name, 0) + value.double()
        model.train()
        return self.task.summarise({name: self.accelerator.reduce(value) for name, value in sums.items()})


def last_whole_checkpoint(folder: Path) -> Path | None:
    """The newest checkpoint of a stage's folder that was written to its end."""
    found = [path.parent for path in folder.glob(f"checkpoints/checkpoint-*/{_WHOLE}")]
    return max(found, key=lambda path: int(path.name.rpartition("-")[2]), default=None)


class _Begin(TrainerCallback):
    def __init__(self, begin: Callable[[], None]) -> None:
        self.begin = begin

    def on_train_begin(self, args: TrainingArguments, *others: Any, model: Any = None, **kwargs: Any) -> None:
        if args.fsdp:
            model.set_reduce_scatter_unused_params(True)  # a process's batch may hold no image and no code
        self.begin()


class _AfterStep(TrainerCallback):
    def __init__(self, task: Task) -> None:
        self.task = task

    def on_optimizer_step(self, *args: Any, **kwargs: Any) -> None:
        self.task.after_step()


class _MarkWhole(TrainerCallback):
    def on_save(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        PartialState().wait_for_everyone()  # each process writes its own part
        if state.is_world_process_zero:
            (Path(str(args.output_dir)) / f"checkpoint-{state.global_step}" / _WHOLE).touch()


class _Report(TrainerCallback):
    def __init__(self, progress: Progress) -> None:
        self.progress = progress

    def on_step_end(self, args: TrainingArguments, state: Any, control: Any, **kwargs: Any) -> None:
        last = state.log_history[-1] if state.log_history else {}
        self.progress(state.global_step, state.max_steps, last)


def _arguments(recipe: Recipe, folder: Path, sharding: Mapping[str, Any] | None) -> TrainingArguments:
    processes = int(os.environ.get("WORLD_SIZE", "1"))
    micro_batch, rest = divmod(recipe.batch, recipe.accumulation * processes)
    if rest:
        raise InputError(
            f"A batch of {recipe.batch} cannot be split over {processes} processes and {recipe.accumulation} "
            "micro-batches: make it a multiple of both."
        )
    checkpointing = recipe.checkpointing and sharding is None  # sharded models bring their own
    spread: dict[str, Any] = {} if sharding is None else {"fsdp": True, "fsdp_config": dict(sharding)}
    arguments = TrainingArguments(
        output_dir=str(folder / "checkpoints"),
        per_device_train_batch_size=micro_batch,
        per_device_eval_batch_size=micro_batch,
        gradient_accumulation_steps=recipe.accumulation,
        num_train_epochs=recipe.epochs,
        max_steps=recipe.steps or -1,
        max_grad_norm=recipe.clip,
        bf16=used_precision(recipe.precision) == "bf16",
        activation_checkpointing=checkpointing,
        activation_checkpointing_kwargs={"use_reentrant": False} if checkpointing else None,
        seed=recipe.seed,
        data_seed=recipe.seed,
        dataloader_num_workers=recipe.workers,
        dataloader_drop_last=True,  # every step has a full batch, on every process
        save_steps=recipe.save_every,
        save_total_limit=2,
        logging_steps=recipe.log_every,
        report_to=["tensorboard"],
        disable_tqdm=True,
        remove_unused_columns=False,
        label_names=[],
        average_tokens_across_devices=False,
        ddp_find_unused_parameters=processes > 1,  # a process's batch may hold no code
        use_cpu=not torch.cuda.is_available(),
        **spread,
    )
    if sharding is not None:
        keep_precise(arguments)
    return arguments
