"""The settings of a recipe that belong to the core: data preparation, training, optimiser, EMA. Torch-free."""

from __future__ import annotations

from typing import Literal

from pydantic import Field, model_validator

from facekit.interfaces import Options

NETWORK_NAME = r"[a-z][a-z0-9_]*"
"""The form of the names that recipes give networks and players."""


class ReferenceSettings(Options):
    """How the reference photo is drawn from the training photo, so that a model cannot copy it pixel by pixel."""

    crop: float = Field(1.0, gt=0.2, le=1.0)
    """Smallest side of a random crop of the reference, as a share of the picture; 1 crops nothing."""
    mirror: bool = False
    """Mirror the reference at random, apart from the photo itself."""
    hide_regions: float = Field(0.0, ge=0, lt=1)
    """Chance of each region of the reference, but for the three largest, to be painted over with what surrounds it.
    So models learn to paint what a mask asks for and a reference does not show: teeth, where its mouth is closed."""


class DataSettings(Options):
    """What the core does with a dataset; these keys stand beside the dataset's own options under ``data:``."""

    size: int = Field(128, ge=16, le=2048)
    """Picture side in pixels."""
    mirror: bool = True
    """Mirror training photos at random; left and right classes change places."""
    reference: ReferenceSettings = ReferenceSettings()
    """How the reference of a training photo is drawn."""
    cache: str | None = None
    """Folder of packed caches; by default ``FACEKIT_CACHE`` or the user's cache folder."""
    workers: int = Field(1, ge=0, le=64)
    """Threads that prepare batches ahead; 0 prepares them in the training loop. The result is the same."""


class NetworkSettings(Options):
    """What the core does with a network; these keys stand beside the network's own options under ``model:``."""

    frozen: bool = False
    """Keep its weights as they are: it computes in evaluation mode, is neither optimised nor averaged, and is written
    into the run folder once, not into every checkpoint."""
    weights: str | None = None
    """Weights that it starts from, or keeps when it is frozen: a run folder, or a safetensors file."""
    source: str | None = None
    """The part of these weights to take; by default the network of the same name of a run, all of a file."""

    @model_validator(mode="after")
    def _source_of_weights(self) -> NetworkSettings:
        if self.source is not None and self.weights is None:
            raise ValueError("source names a part of the weights, and there are no weights")
        return self


class LossSettings(Options):
    """What the core does with a loss; these keys stand beside the loss's own options."""

    weight: float = Field(1.0, ge=0)
    """Factor on the loss's value."""
    label: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]+$")
    """Its name in logs; by default the component's name."""


class OptimiserSettings(Options):
    """The optimiser of both players."""

    use: Literal["adam", "adamw"] = "adam"
    """Fused where the device has it."""
    lr: float = Field(2e-4, gt=0)
    """Learning rate."""
    betas: tuple[float, float] = (0.5, 0.999)
    """Decay of the first and second moments."""
    eps: float = Field(1e-8, gt=0)
    """Added to the denominator."""
    weight_decay: float = Field(0.0, ge=0)
    """Decoupled for adamw, L2 for adam."""
    lr_scale: dict[str, float] = Field(default_factory=dict)
    """Factor on the learning rate of a part of the model, e.g. ``{style_encoder: 5, discriminator: 2}`` (TTUR)."""


class ScheduleSettings(Options):
    """The learning rate over the run."""

    use: Literal["linear_decay", "constant"] = "linear_decay"
    """``linear_decay`` holds the rate, then lowers it to zero at the last step."""
    decay_from: float = Field(0.5, ge=0, le=1)
    """Where the decay starts, as a share of all steps."""
    warmup_steps: int = Field(0, ge=0)
    """Steps of linear warm-up at the start."""


class EmaSettings(Options):
    """Exponential moving average of the generator's (and style encoder's) weights."""

    decay: float = Field(0.999, ge=0, lt=1)
    """Share of the average that is kept each step; 0 switches the average off."""
    warmup: bool = True
    """Use ``min(decay, (1 + step) / (10 + step))``, so that short runs are not stuck at their first weights."""


class KeepSettings(Options):
    """Which checkpoints stay on disk."""

    last: int = Field(2, ge=2)
    """The newest ones; at least two, so that a damaged one has another before it."""
    best: str | None = None
    """A metric (``name`` or ``name/part``) whose best checkpoint is kept as well; measured at ``evaluate_every``."""


class InitialiseSettings(Options):
    """Weights a part of the model starts from, in place of its own initialisation."""

    part: str
    """Slot, or slot and submodule: ``generator``, ``generator.global_generator``."""
    weights: str
    """A run folder, or a safetensors file."""
    source: str | None = None
    """The part of the file's weights to take, e.g. ``generator``; by default ``part`` for runs, all for files."""


class FreezeSettings(Options):
    """A part of the model that is not trained at first (coarse-to-fine schedules)."""

    part: str
    """Slot, or slot and submodule: ``generator.global_generator``."""
    until: float = Field(1.0, gt=0, le=1)
    """Share of all steps after which it is trained too; 1 never trains it."""


class TrainSettings(Options):
    """How the model is trained. Exactly one of ``steps`` and ``epochs`` holds.

    The recipe reader keeps the one given last.
    """

    steps: int | None = Field(None, ge=1)
    """Generator updates."""
    epochs: float | None = Field(None, gt=0)
    """Passes over the training split."""
    batch: int = Field(8, ge=1)
    """Photos a step (a micro-batch when ``accumulate`` is above 1)."""
    accumulate: int = Field(1, ge=1)
    """Micro-batches whose gradients are averaged for one update."""
    seed: int = Field(0, ge=0)
    """Seed of everything random in the run."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """bf16 is autocast; weights, penalties and losses stay in fp32. ``auto`` is bf16 where the device multiplies faster
    in it (CUDA, processors with AMX or the like), else fp32."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """``auto`` takes CUDA where there is one."""
    channels_last: bool = True
    """Memory layout of convolutions."""
    compile: bool = False
    """``torch.compile`` the networks; the first steps then take minutes."""
    cuda_graphs: bool = False
    """Record the kernels of each network once as a CUDA graph and replay them, so that small batches do not wait for
    the processor to start every kernel. With ``compile``, those of the compiled networks. Needs a CUDA device."""
    deterministic: bool = True
    """On CUDA, compute in the same order each time, so that the same recipe and seed give the same weights; without it
    the fastest convolutions are searched for and taken. On the CPU runs are the same either way."""
    activation_checkpointing: bool = False
    """Compute parts of the networks again in the backward pass rather than keep them: less memory, more time, the same
    result."""
    turns: dict[str, int] = Field(default_factory=dict)
    """Updates of a player a step, where it is not one: ``{discriminator: 5}``. Each of them sees faces of its own."""
    optimiser: OptimiserSettings = OptimiserSettings()
    """Adam by default."""
    schedule: ScheduleSettings = ScheduleSettings()
    """Linear decay over the second half by default."""
    ema: EmaSettings = EmaSettings()
    """On by default."""
    gradient_clip: float | None = Field(None, gt=0)
    """Largest norm of a player's gradient; longer ones are scaled down."""
    initialise: tuple[InitialiseSettings, ...] = ()
    """Weights that parts of the model start from; read once, when the run starts."""
    freeze: tuple[FreezeSettings, ...] = ()
    """Parts of the model that are not trained at first."""
    log_every: int = Field(20, ge=1)
    """Steps between lines of ``metrics.jsonl``."""
    checkpoint_every: int = Field(500, ge=1)
    """Steps between checkpoints; the last step and an interruption write one as well."""
    sample_every: int = Field(500, ge=1)
    """Steps between sample grids."""
    samples: int = Field(8, ge=1, le=64)
    """Fixed validation faces in a sample grid."""
    evaluate_every: int | None = Field(None, ge=1)
    """Steps between measurements on the validation split; always measured on the test split at the end."""
    keep: KeepSettings = KeepSettings()
    """Which checkpoints stay."""

    @model_validator(mode="after")
    def _one_length(self) -> TrainSettings:
        if (self.steps is None) == (self.epochs is None):
            raise ValueError("give train.steps or train.epochs, one of the two")
        if self.compile and self.activation_checkpointing:
            raise ValueError(
                "train.compile and train.activation_checkpointing cannot be on together: compiled networks decide by "
                "themselves what they compute again"
            )
        if self.cuda_graphs and self.activation_checkpointing:
            raise ValueError(
                "train.cuda_graphs and train.activation_checkpointing cannot be on together: a graph keeps the memory "
                "that its kernels were recorded with"
            )
        return self
